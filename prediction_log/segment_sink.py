"""The writing end of a folder of segments, the log on disk.

Rules:

* One `write` is one transaction, whoever else writes. Inside it the segment is seen not to be sealed, and a
  frame whose end is at or below its stream's last sequence is skipped.
* Rotation goes in one order, under the old segment's write lock: make the next file with the carried
  sequences, then seal the old one (synced before anyone sees it). Cut short anywhere, it is done again.
* A log that survived a power cut begins a new segment: commits after the last sync may be gone, and row
  numbers that a reader may have seen must not be given to other frames.
* A segment is written to only by who has seen that it has begun, and in this boot; what fails before that is
  done again by the next call.

It knows frames only as far as the index needs; what their rows mean is the reader's.
"""

import shutil
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np

from groundwork.boot import boot_id
from groundwork.clock import Clock, SystemClock
from groundwork.database import is_without_room, transaction
from groundwork.errors import NoRoomError
from prediction_log import frame as frames_module
from prediction_log import segment_file as files
from prediction_log.errors import SegmentError
from prediction_log.record import Schema
from prediction_log.segment_file import FrameRow

SEGMENT_BYTES: Final = 256 << 20
CHECKPOINT_BYTES: Final = (256 << 10, 4 << 20)
"""What is written ahead of a segment before it is brought into it: a segment's size, within these bounds."""

OWN_STREAM: Final = (0, 0)
"""(incarnation, stream) of frames that no worker wrote; the incarnations of slots begin at 1."""


class SegmentSink:
    """The writing end of a folder of segments; any number of processes may hold one, each on one thread.

    With less than `reserve_bytes` of the disk free, `write` raises NoRoomError: what others need to go on is
    not the log's to take. With `durable` every `write` is on the disk when it returns (one sync per
    transaction); without, a power cut takes what was written after the last `sync`, a killed process nothing.
    """

    def __init__(
        self,
        folder: Path,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        clock: Clock | None = None,
        boot: str | None = None,
        durable: bool = False,
        reserve_bytes: int = 0,
    ) -> None:
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._clock = SystemClock() if clock is None else clock
        self._boot = boot_id() if boot is None else boot
        self._synchronous = "FULL" if durable else "NORMAL"
        self._reserve = reserve_bytes
        self._number = 0
        self._connection: sqlite3.Connection | None = None

    def write(self, frames: Sequence[bytes]) -> int:
        """See Sink.write. One transaction; a millisecond or less beside the frames' own bytes."""
        rows = [self._indexed(body) for body in frames]
        if not rows:
            return 0
        self._check_reserve()
        with self._explained():
            while True:
                connection = self._active()
                if (new := self._insert_all(connection, rows)) is not None:
                    return new
                self._rotate(connection)
                self._move_on(connection)

    def note(self, kind: int, schema: Schema, columns: Mapping[str, Any], *, rows: int) -> None:
        """Append a frame of the log's own (a loss, a deletion), on the stream that is nobody's slot.

        Its sequences follow those of the last such frame, whoever wrote it. Raises what `write` raises.
        """
        with self._explained():
            while True:
                connection = self._active()
                with transaction(connection):
                    if not files.is_sealed(connection):
                        first = files.last_sequence(connection, *OWN_STREAM) or 0
                        body = frames_module.encode(
                            kind, schema, columns,
                            rows=rows, incarnation=OWN_STREAM[0], stream=OWN_STREAM[1], first=first,
                        )  # fmt: skip
                        files.insert(connection, self._indexed(body))
                        return
                self._move_on(connection)

    def reached(self, incarnation: int, stream: int) -> int:
        """See Sink.reached. One look-up in the active segment, which knows of all before it."""
        with self._explained():
            connection = self._active()
            while files.is_sealed(connection):
                connection = self._move_on(connection)
            return files.last_sequence(connection, incarnation, stream) or 0

    def sync(self) -> None:
        """Bring the active segment to the disk; another writer's commits included."""
        with self._explained():
            connection = self._active()
            while files.is_sealed(connection):
                connection = self._move_on(connection)
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()

    def rotate(self, *, older_than: int) -> bool:
        """Seal the active segment if it holds anything and was begun before `older_than` (unix ns).

        Also one that was begun later than now, by a clock that was ahead, whatever it holds: nothing tells
        how old it is. Returns whether a segment was sealed. Raises what `write` raises.
        """
        with self._explained():
            connection = self._active()
            while files.is_sealed(connection):
                connection = self._move_on(connection)
            created = files.created_at(connection)
            is_old = created < older_than and files.last_row(connection) > 0
            if not is_old and created <= self._clock.now():
                return False
            self._rotate(connection)
            self._move_on(connection)
            return True

    def close(self) -> None:
        """Close the file; the next write opens it again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _check_reserve(self) -> None:
        if self._reserve:
            free = self._free()
            if free < self._reserve:
                raise NoRoomError(
                    f"{self._folder}: {free} bytes of disk are left, fewer than log.reserve_bytes"
                    f" ({self._reserve}); free disk space, the rows wait in their slot"
                )

    def _free(self) -> int:
        try:
            return shutil.disk_usage(self._folder).free
        except FileNotFoundError:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return shutil.disk_usage(self._folder).free

    def _active(self) -> sqlite3.Connection:
        """The connection to what is, as far as this sink has seen, the active segment."""
        if self._connection is None:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            connection = self._begun(files.active_number(self._folder) or 1)
            try:
                # Asked once, on opening: a power cut ends every process that had the segment open.
                if files.boot_of(connection) != self._boot:
                    self._rotate(connection)
                    return self._move_on(connection)
            except BaseException:
                connection.close()
                raise
            # Last: where any of this failed, the next call has to do all of it again.
            self._connection = connection
        return self._connection

    def _begun(self, number: int) -> sqlite3.Connection:
        """A connection to segment `number`, which has begun."""
        self._number = number
        connection = self._open(number)
        try:
            if files.is_sealed(connection) is None:
                # On the disk before its first frame: a power cut must not let its rows begin at 1 again.
                with self._synced(connection):
                    carried = self._carried_from(number - 1)
                    files.begin_segment(connection, number, self._clock.now(), self._boot, carried)
        except BaseException:
            connection.close()
            raise
        return connection

    def _is_due(self, connection: sqlite3.Connection) -> bool:
        """Whether to rotate before writing; a segment holds one frame at least, however small the limit."""
        return files.size(connection) >= self._segment_bytes and files.last_row(connection) > 0

    def _insert_all(self, connection: sqlite3.Connection, rows: Sequence[FrameRow]) -> int | None:
        """How many frames were new, or None when the segment takes no more: it is sealed, or ought to be."""
        with transaction(connection):
            if files.is_sealed(connection) or self._is_due(connection):
                return None
            new = 0
            for row in rows:
                last = files.last_sequence(connection, row.incarnation, row.stream)
                if last is not None and row.end_seq <= last:
                    continue
                if last is not None and row.first_seq < last:
                    raise SegmentError(
                        f"stream {row.incarnation}/{row.stream}: a frame of [{row.first_seq}, {row.end_seq})"
                        f" overlaps what is in the log up to {last}; set its row file aside",
                    )
                files.insert(connection, row)
                new += 1
            return new

    def _rotate(self, connection: sqlite3.Connection) -> None:
        """Make the next segment, then seal this one; nothing where another writer has done so."""
        with self._synced(connection), transaction(connection):
            if files.is_sealed(connection):
                return
            self._begin_next(connection)
            connection.execute("UPDATE segment SET sealed = 1")

    @contextmanager
    def _synced(self, connection: sqlite3.Connection) -> Iterator[None]:
        """What is committed here is on the disk, whatever this sink does otherwise."""
        connection.execute("PRAGMA synchronous = FULL")
        try:
            yield
        finally:
            connection.execute(f"PRAGMA synchronous = {self._synchronous}")

    def _begin_next(self, connection: sqlite3.Connection) -> None:
        with closing(files.open_segment(self._folder, self._number + 1)) as following:
            following.execute("PRAGMA synchronous = FULL")
            carried = files.carried(connection)
            files.begin_segment(following, self._number + 1, self._clock.now(), self._boot, carried)

    def _carried_from(self, number: int) -> list[files.StreamEnd]:
        """What a segment carries on; nothing where it is not there."""
        with files.existing(self._folder, number) as connection:
            return [] if connection is None else files.carried(connection)

    def _move_on(self, connection: sqlite3.Connection) -> sqlite3.Connection:
        """Leave a sealed segment for the active one, whose connection is returned.

        Segments in between may have been dropped while this sink had nothing to write, so it does not count
        on: it looks. Where whatever came after it was taken away, the next one is begun again.
        """
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if files.active_number(self._folder) == self._number:
            self._begin_next(connection)
        connection.close()
        self._connection = None
        self._connection = self._begun(files.active_number(self._folder) or self._number + 1)
        return self._connection

    def _open(self, number: int) -> sqlite3.Connection:
        connection = files.open_segment(self._folder, number)
        connection.execute(f"PRAGMA synchronous = {self._synchronous}")
        least, most = CHECKPOINT_BYTES
        ahead = min(max(least, self._segment_bytes), most)
        connection.execute(f"PRAGMA wal_autocheckpoint = {ahead // files.PAGE_BYTES}")
        return connection

    def _indexed(self, body: bytes) -> FrameRow:
        frame = frames_module.decode(body, verify=False)
        times = frame.columns.get("time")
        first = last = self._clock.now()
        if frame.rows and isinstance(times, np.ndarray) and times.dtype == np.int64:
            first, last = int(times.min()), int(times.max())
        return FrameRow(
            frame.kind, frame.schema.model, frame.schema.version, first, last, frame.rows,
            frame.incarnation, frame.stream, frame.first, frame.end, body,
        )  # fmt: skip

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            path = files.segment_path(self._folder, self._number)
            if is_without_room(error):
                raise NoRoomError(
                    f"{path}: the disk is full; free some of it, the rows wait in their slot"
                ) from error
            raise SegmentError(
                f"{path} cannot be written: {error}; nothing was written, the rows wait in their slot",
            ) from error
