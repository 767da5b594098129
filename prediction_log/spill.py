"""Rows of a request that is larger than an empty buffer of its row file: a file of their own in the slot.

    7.rows            two buffers, allocated when the stream is opened
    7-00…4096.rows    one request that has no room there, and the rows before it; gone when in the log

Rules:

* It is whole when it appears, and it appears before anybody has the answer: rows survive the process as they
  do in a buffer. Its two halves are frames, so whoever recovers row files needs to know nothing of it.
* It holds the rows that waited in the active buffer too, for they come before it in the stream.
* Its frame has at most FRAME_BYTES: no segment can hold more, and all that comes behind it would wait for it.
* At most MOST wait for the log, so that a log that cannot be written bounds memory and disk here as well; and
  none takes what others shall find free of the disk.
* Its numbers are drawn at once and its rows may be written later, in a thread (`begin`, `write`, `end`).
  Meanwhile the active buffer has passed its numbers over, and is not handed over; what is killed then leaves
  a log without the rows of a request that nobody was answered.
* `drop` may come while the thread still writes: a thread cannot be stopped when its client leaves. Whichever
  of the two ends last takes the file away: `drop` says that it is not wanted before it looks for the file,
  `write` asks after it has made it. `publish` comes after `write`, never beside it.

Cost: the request's bytes are copied three times and written to the page cache: some 10 ms for 10 MB, for a
request whose decoding took ten times as long; with `add` on the event loop.
"""

import mmap
import shutil
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Self

from groundwork.errors import NoRoomError
from groundwork.files import allocate
from prediction_log import frame, layout
from prediction_log.layout import Head
from prediction_log.record import Schema
from prediction_log.slot_buffer import SlotBuffer, empty_head
from prediction_log.transport import FRAME_BYTES

MOST: Final = 4


class Spill:
    """One request whose numbers are drawn; `write` belongs to any one thread, all else to the event loop.

    Of these only `drop` may be called beside `write`.

    `path` is its file, None for rows of a buffer that are in another's; `frame` is there when it is whole.
    """

    def __init__(self, frame: bytes | None, path: Path | None, end: int = 0) -> None:
        self.frame = frame
        self.path = path
        self.end = end
        self._made: bytes | None = None
        self._dropped = False
        self._make: Callable[[], bytes] = bytes

    @classmethod
    def begun(cls, path: Path, end: int, make: Callable[[], bytes]) -> Self:
        """One that is to be written: `make` writes its file aside and gives its frame."""
        begun = cls(None, path, end)
        begun._make = make
        return begun

    def write(self) -> bool:
        """Write it aside: as long as its bytes take; False where the disk cannot hold it."""
        try:
            self._made = self._make()
        except (NoRoomError, OSError):
            return False
        finally:
            if self._dropped:
                self._take_away()
        return True

    def drop(self) -> None:
        """Leave no file, whether it is written already, just now, or never."""
        self._dropped = True  # first: a `write` that ends later looks at it
        self._take_away()

    def _take_away(self) -> None:
        if self.path is not None:
            _aside(self.path).unlink(missing_ok=True)

    def publish(self) -> bool:
        """Give the file its name and let the flush thread have the frame; False where it was not written."""
        if self._made is None or self.path is None:
            return False
        try:
            _aside(self.path).rename(self.path)
        except OSError:
            return False
        self.frame = self._made
        return True


class Spills:
    """The spilled requests of one stream: added to by the event loop, taken from by the flush thread."""

    def __init__(self, path: Path, head: Head, schema: Schema, reserve_bytes: int = 0) -> None:
        """Of the row file at `path`, whose buffers begin with `head`; `reserve_bytes` of disk stay free."""
        self._reserve = reserve_bytes
        self._path = path
        self._head = head
        self._schema = schema
        self._waiting: deque[Spill] = deque()

    def __len__(self) -> int:
        """How many frames wait for the log."""
        return len(self._waiting)

    @property
    def full(self) -> bool:
        """Whether no more may be added now."""
        return sum(one.path is not None for one in list(self._waiting)) >= MOST

    @property
    def pending(self) -> bool:
        """Whether one is still being written."""
        return any(one.frame is None for one in list(self._waiting))

    def add(self, active: SlotBuffer, columns: Mapping[str, Any], rows: int, validity: Any) -> int:
        """Keep what `active` holds, and these rows behind it; returns the sequence that comes next.

        NoRoomError when the disk cannot hold it and the reserve; then nothing was kept.
        """
        before = frame.compact(active.memory)
        holds = active.rows or active.skipped
        span = active.end if holds else active.first, active.end
        large = self._large(span, columns, rows, validity, active.rate)
        path = self._path_of(active.end)
        self._write(path, before, large)
        _aside(path).rename(path)
        if holds:
            self._waiting.append(Spill(before, None))
        self._waiting.append(Spill(large, path))
        return active.end + rows

    def begin(self, active: SlotBuffer, columns: Mapping[str, Any], rows: int, validity: Any) -> Spill:
        """Rows that come next, to be written; `active`, which holds none, passes their numbers over."""
        span, rate, empty = (active.first, active.end), active.rate, frame.compact(active.memory)
        path = self._path_of(active.end)

        def make() -> bytes:
            large = self._large(span, columns, rows, validity, rate)
            self._write(path, empty, large)
            return large

        begun = Spill.begun(path, active.end + rows, make)
        self._waiting.append(begun)
        active.pass_over(rows)
        return begun

    def drop(self, begun: Spill) -> None:
        """Forget one that was begun and not published, whether or not a thread still writes it."""
        self._waiting.remove(begun)
        begun.drop()

    def _path_of(self, sequence: int) -> Path:
        return self._path.with_name(f"{self._path.stem}-{sequence:020d}{self._path.suffix}")

    def _write(self, path: Path, before: bytes, large: bytes) -> None:
        """Both halves, beside the name that the file is to have."""
        half, aside = max(len(before), len(large)), _aside(path)
        self._check_reserve(path, 2 * half)
        aside.unlink(missing_ok=True)
        allocate(aside, 2 * half)
        with aside.open("r+b") as file:
            for place, body in enumerate((before, large)):
                file.seek(place * half)
                file.write(body)

    def _check_reserve(self, path: Path, size: int) -> None:
        if self._reserve and shutil.disk_usage(path.parent).free < self._reserve + size:
            raise NoRoomError(
                f"{path}: {size} bytes would leave less of the disk free than log.reserve_bytes"
                f" ({self._reserve}); free disk space"
            )

    def _large(
        self, span: tuple[int, int], columns: Mapping[str, Any], rows: int, validity: Any, rate: float
    ) -> bytes:
        """The frame of these rows, behind a `span` of numbers that were not drawn at `rate`."""
        first, sequence = span
        arenas = SlotBuffer.needs(self._schema, columns, rows)
        places = layout.plan(self._schema, rows, arenas, validity=True)
        if places.length > FRAME_BYTES:
            raise NoRoomError(
                f"{self._path}: a request of {places.length} bytes, {FRAME_BYTES} at most are kept"
            )
        of = self._head
        head = empty_head(of.kind, of.incarnation, of.stream, rows, rate, places)
        # Pages that are there when they are written to: to clear them first would keep other threads waiting.
        memory = memoryview(mmap.mmap(-1, places.length))
        buffer = SlotBuffer(memory, head, self._schema, places)
        buffer.begin(first, rate)
        buffer.pass_over(sequence - first)
        buffer.write(columns, rows, validity)
        return frame.compact(buffer.memory)

    def take(self) -> bytes | None:
        """The frame that comes next in the log, or None; the same again until `release`."""
        return self._waiting[0].frame if self._waiting else None

    def release(self) -> None:
        """The frame taken is in the log; with a request's last frame its file goes."""
        path = self._waiting.popleft().path
        if path is not None:
            path.unlink(missing_ok=True)


def stream_of(path: Path) -> str:
    """What the row file and the spilled requests of one stream have in common: the number in their names."""
    return path.stem.partition("-")[0]


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.new")
