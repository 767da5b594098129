"""The streams of one worker's slot: opened, ended, told where they have no file, and appended to.

Rules: a stream's file is allocated in full when it is opened, in a thread; where the disk has no room, rows
are passed by and counted until a file can be made (`retry`, `adopt`). All else belongs to the event loop.

Refuses to know what the rows mean.
"""

import itertools
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from gateway.meters import LogMeters
from gateway.metrics import LOG_UNLOGGED
from gateway.recording import capacity
from gateway.stream import Stream, StreamSpec
from groundwork.errors import NoRoomError
from groundwork.slots import Slot
from prediction_log.record import Kind
from prediction_log.retention import free_bytes
from prediction_log.rows import FULL, OVERSIZED, SUFFIX, RowFile
from prediction_log.spill import Spill

Spooled = Callable[[], Awaitable[bool]]
"""Wait until all rows recorded so far are in the log and on the disk; False where they could not be."""


class Large(msgspec.Struct, frozen=True):
    """A request that is recorded off the loop, where `begun` says so; else its rows are where they belong."""

    stream: Stream
    identifier: bytes
    rows: int
    begun: Spill | None = None

    def write(self) -> None:
        """In a thread: copy and write its rows."""
        if self.begun is not None:
            self.begun.write()


def _nothing() -> None:
    """Hurry nobody."""


class SlotStreams:
    """The streams of one worker's slot, and their row files.

    A file is allocated only where it leaves `reserve_bytes` of the disk free. `spooled` is set where an
    answer has to wait until its row cannot be lost any more; `missed` then gathers the ids of rows that were.
    `hurry` is called where a buffer was full before anybody looked, so that only the other one is left.
    """

    def __init__(self, slot: Slot, reserve_bytes: int) -> None:
        self.spooled: Spooled | None = None
        self.hurry: Callable[[], None] = _nothing
        self.missed: set[bytes] = set()
        self.incarnation = slot.incarnation
        self._slot = slot
        self._reserve = reserve_bytes
        self._numbers = itertools.count(1)
        self._streams: dict[int, Stream] = {}
        self._closing: list[Stream] = []
        self._opening = threading.RLock()
        self._meters = LogMeters(slot.counters)
        self._values = slot.counters.values

    def files(self) -> list[RowFile]:
        """Every row file that may hold rows, for the flusher."""
        for stream in [stream for stream in self._closing if stream.done]:
            self._closing.remove(stream)
            del self._streams[stream.number]
            if stream.file is not None:
                stream.file.path.unlink(missing_ok=True)
        return [stream.file for stream in list(self._streams.values()) if stream.file is not None]

    def unlogged(self) -> list[str]:
        """Why which streams have no file, one line each; empty when all is logged."""
        return [stream.unlogged for stream in list(self._streams.values()) if stream.unlogged]

    def retry(self) -> list[tuple[Stream, RowFile]]:
        """Make the files for which there was no room before; in a thread. Give the result to `adopt`."""
        found = []
        for stream in list(self._streams.values()):
            if stream.file is None:
                try:
                    found.append((stream, self._create(stream.number, stream.spec)))
                except NoRoomError:
                    break
        return found

    def adopt(self, made: Sequence[tuple[Stream, RowFile]]) -> None:
        """Let the streams go on with their files; on the loop."""
        for stream, file in made:
            if stream.number not in self._streams:  # it ended meanwhile, and owed nothing
                file.path.unlink(missing_ok=True)
                continue
            stream.adopt(file)
            self._show_logged(stream)
            if stream in self._closing:
                file.finish()

    def finish(self) -> None:
        """Nothing more is recorded: the next flush takes everything."""
        for file in self.files():
            file.finish()

    def _append(
        self, stream: Stream, columns: Mapping[str, Any], rows: int, validity: Any, *, promised: bool = True
    ) -> None:
        """Record rows; `promised` says that an answer carries their id, which is then missed with them."""
        file, identifier = stream.file, columns["id"] if promised else None
        if file is None:
            stream.pass_by(rows)
            self._values[self._meters.lost[stream.kind]] += rows
            self._miss(identifier)
            return
        file.append(columns, rows, validity)
        if file.handed_over:
            self.hurry()
        self._count(stream, file, identifier, rows)

    def _count(self, stream: Stream, file: RowFile, identifier: bytes | None, rows: int) -> None:
        """Count rows as accepted, or as lost where the file has lost any since the last time."""
        lost = file.lost_by[FULL] + file.lost_by[OVERSIZED]
        if lost == stream.lost:
            self._values[self._meters.accepted[stream.kind]] += rows
        else:
            stream.lost = lost
            self._values[self._meters.lost[stream.kind]] += rows
            self._miss(identifier)

    def _miss(self, identifier: bytes | None) -> None:
        """Remember whose rows were lost, where an answer promises that they are kept."""
        if self.spooled is not None and identifier is not None:
            self.missed.add(identifier)

    def _end(self, stream: Stream) -> None:
        self._closing.append(stream)
        if stream.file is not None:
            stream.file.finish()
        else:
            stream.unlogged = ""
            self._show_logged(stream)

    def _open(self, spec: StreamSpec) -> Stream:
        schema = spec.schema
        with self._opening:
            number = next(self._numbers)
            try:
                stream = Stream(spec, number, self._create(number, spec))
            except NoRoomError as error:
                title = f"{schema.model} {schema.version} {spec.kind.name.lower()}s".strip()
                stream = Stream(spec, number, None, f"{title} are not logged: {error}")
                self._show_logged(stream)
            self._streams[number] = stream
            return stream

    def _show_logged(self, stream: Stream) -> None:
        """Let the gauge say whether a version is logged; of other streams nothing is shown."""
        schema = stream.spec.schema
        if stream.kind is Kind.PREDICTION:
            of = {"model": schema.model, "version": schema.version}
            self._values[self._slot.counters.series(LOG_UNLOGGED, of, kind="gauge")] = bool(stream.unlogged)

    def _end_large(self, large: Large, *, wanted: bool) -> None:
        """Let the log have what was written, where somebody still wants the answer."""
        if large.begun is not None and large.stream.file is not None:
            large.stream.file.end_large(large.begun, large.rows, wanted=wanted)
            if wanted:
                self._count(large.stream, large.stream.file, large.identifier, large.rows)

    def _create(self, number: int, spec: StreamSpec) -> RowFile:
        rows, arena = capacity(spec.schema, spec.buffer_bytes)
        path = self._slot.folder / f"{number}{SUFFIX}"
        if self._reserve and free_bytes(path.parent) < self._reserve + 2 * spec.buffer_bytes:
            raise NoRoomError(
                f"{path}: {2 * spec.buffer_bytes} bytes would leave less of the disk free than "
                f"log.reserve_bytes ({self._reserve}); free disk space"
            )
        return RowFile.create(
            path,
            kind=spec.kind,
            incarnation=self.incarnation,
            stream=number,
            schema=spec.schema,
            row_capacity=rows,
            arena_bytes=arena,
            rate=spec.rate,
            reserve_bytes=self._reserve,
        )
