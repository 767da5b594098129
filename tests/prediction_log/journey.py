"""A worker, a supervisor and a monitor as a row's journey needs them, each able to die between steps.

Their parts are the product's own: row files, sinks, sources, recovery. What they do around those is here, and
it is what they do: a flush is swap, take, write, release; a monitor commits what it has counted together with
its offset.
"""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from groundwork.database import Schema, open_database
from prediction_log import segment_file as files
from prediction_log.frame import Frame, decode
from prediction_log.reading import Reader, lost_rows
from prediction_log.recovery import recover_slot
from prediction_log.segment_sink import SegmentSink
from prediction_log.segment_source import SegmentSource
from prediction_log.transport import START, Offset
from tests.prediction_log import samples

CAPACITY: Final = 4

_MONITOR: Final = Schema(
    "test monitor",
    (
        """CREATE TABLE seen (incarnation INTEGER, stream INTEGER, token INTEGER);
        CREATE TABLE progress (at TEXT, lost INTEGER); INSERT INTO progress VALUES ('000000:0', 0);""",
    ),
)


class Worker:
    """One incarnation: a slot folder with a row file, a flush, and a sink. Its folder outlives it."""

    def __init__(self, folder: Path, incarnation: int, segment_bytes: int) -> None:
        self.incarnation = incarnation
        self.slot = folder / "slots" / str(incarnation)
        self.file = samples.row_file(self.slot, incarnation=incarnation, row_capacity=CAPACITY)
        self.sink = sink(folder, segment_bytes)
        self.taken: bytes | None = None

    def answer(self, token: int, rows: int) -> bool:
        """Append a request's rows, whose times are token, token + 1, …; False where they were lost."""
        before = self.file.lost
        self.file.append(samples.columns(token, rows), rows)
        return self.file.lost == before

    def take(self) -> None:
        """The flush's first half."""
        self.taken = self.file.take()

    def write(self) -> None:
        """The flush's transaction."""
        if self.taken is not None:
            self.sink.write([self.taken])

    def release(self) -> None:
        """The flush's last step."""
        if self.taken is not None:
            self.file.release()
            self.taken = None

    def flush(self) -> None:
        """A whole flush."""
        self.file.swap()
        self.take()
        self.write()
        self.release()

    def drain(self) -> None:
        """What a worker does when it is asked to stop."""
        self.write()
        self.release()
        while not self.file.empty:
            self.flush()


def sink(folder: Path, segment_bytes: int, *, boot: str | None = None) -> SegmentSink:
    """A writing end, of a worker or a supervisor."""
    return SegmentSink(folder / "log", segment_bytes=segment_bytes, boot=boot)


def insert_and_die(folder: Path, body: bytes) -> None:
    """A writer killed inside its transaction: rows inserted, nothing committed."""
    number = files.active_number(folder / "log")
    if number is None:
        return
    connection = files.open_segment(folder / "log", number)
    frame = decode(body)
    connection.execute("BEGIN IMMEDIATE")
    files.insert(
        connection,
        files.FrameRow(
            frame.kind,
            "loan",
            "1",
            0,
            0,
            frame.rows,
            frame.incarnation,
            frame.stream,
            frame.first,
            frame.end,
            body,
        ),
    )
    connection.close()


def rotate_and_die(folder: Path) -> None:
    """A writer killed in a rotation: the next file is there, the old one not sealed."""
    number = files.active_number(folder / "log")
    if number is None:
        return
    old = files.open_segment(folder / "log", number)
    following = files.open_segment(folder / "log", number + 1)
    files.begin_segment(following, number + 1, 0, files.boot_of(old), files.sequences(old))
    following.close()
    old.close()


def recover(folder: Path, incarnation: int, segment_bytes: int) -> int:
    """The supervisor spools a dead worker's slot."""
    writer = sink(folder, segment_bytes)
    try:
        return recover_slot(folder / "slots" / str(incarnation), writer, 0).rows
    finally:
        writer.close()


class Killed(Exception):  # noqa: N818  not an error: the end of a process
    """The process is gone."""


class Mortal(SegmentSink):
    """A writing end whose process is killed before it writes once more than it may."""

    def __init__(self, folder: Path, segment_bytes: int, writes: int) -> None:
        super().__init__(folder / "log", segment_bytes=segment_bytes)
        self._left = writes

    def write(self, frames: Sequence[bytes]) -> int:
        """Write, or die."""
        if not self._left:
            raise Killed
        self._left -= 1
        return super().write(frames)


def recover_and_die(folder: Path, incarnation: int, segment_bytes: int, writes: int) -> None:
    """A supervisor killed while it spools a dead worker's slot, unless there was no more to write."""
    writer = Mortal(folder, segment_bytes, writes)
    with contextlib.suppress(Killed):
        recover_slot(folder / "slots" / str(incarnation), writer, 0)
    writer.close()


class Monitor:
    """A consumer that counts each row and each loss, in one transaction with its offset."""

    def __init__(self, folder: Path) -> None:
        self._source = SegmentSource(folder / "log")
        self._store = open_database(folder / "monitor.db", _MONITOR, synchronous="OFF")

    def read(self, limit: int, *, dies_before_commit: bool = False) -> int:
        """Count the next frames; a death before the commit undoes it, one after it changes nothing."""
        reader = Reader(self._source, self.offset)
        taken = reader.read(limit)
        assert (reader.garbage, reader.unknown) == (0, 0)
        self._store.execute("BEGIN IMMEDIATE")
        for _, frame in taken:
            self._store.executemany("INSERT INTO seen VALUES (?, ?, ?)", tokens(frame))
            self._store.execute("UPDATE progress SET lost = lost + ?", (lost_rows(frame),))
        self._store.execute("UPDATE progress SET at = ?", (str(reader.offset),))
        self._store.execute("ROLLBACK" if dies_before_commit else "COMMIT")
        return len(taken)

    @property
    def offset(self) -> Offset:
        """Where a new monitor would resume."""
        return Offset.parse(self._store.execute("SELECT at FROM progress").fetchone()[0])

    def seen(self) -> list[tuple[int, int, int]]:
        """(incarnation, stream, token) of every row counted, in the order of counting."""
        return self._store.execute("SELECT * FROM seen ORDER BY rowid").fetchall()

    def lost(self) -> int:
        """Rows that the log reported as lost."""
        total: int = self._store.execute("SELECT lost FROM progress").fetchone()[0]
        return total

    def close(self) -> None:
        """End as a process ends."""
        self._source.close()
        self._store.close()


def tokens(frame: Frame) -> list[tuple[int, int, int]]:
    """(incarnation, stream, token) of a frame's rows."""
    return [(frame.incarnation, frame.stream, token) for token in frame.array("time").tolist()]


def tiles(folder: Path) -> bool:
    """Whether each stream's frames follow one another without a gap or an overlap."""
    source = SegmentSource(folder / "log", read_bytes=1 << 40)
    ends: dict[tuple[int, int], int] = {}
    for _, body in source.read(START, 1_000_000):
        frame = decode(body)
        stream = (frame.incarnation, frame.stream)
        if frame.first != ends.get(stream, 0):
            return False
        ends[stream] = frame.end
    source.close()
    return True
