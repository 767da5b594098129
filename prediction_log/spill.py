"""Rows of a request that is larger than an empty buffer of its row file: a file of their own in the slot.

    7.rows            two buffers, allocated when the stream is opened
    7-00…4096.rows    one request that has no room there, and the rows before it; gone when in the log

Rules:

* It is whole when it appears, and it appears before anybody has the answer: rows survive the process as they
  do in a buffer. Its two halves are frames, so whoever recovers row files needs to know nothing of it.
* It holds the rows that waited in the active buffer too, for they come before it in the stream.
* At most MOST wait for the log, so that a log that cannot be written bounds memory and disk here as well; and
  none takes what others shall find free of the disk.

Cost: the request's bytes are copied three times and written to the page cache, on the event loop: some 10 ms
for 10 MB, for a request whose decoding took ten times as long.
"""

import shutil
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from groundwork.errors import NoRoomError
from groundwork.files import allocate
from prediction_log import frame, layout
from prediction_log.layout import Head
from prediction_log.record import Schema
from prediction_log.slot_buffer import SlotBuffer, empty_head

MOST: Final = 4


class Spills:
    """The spilled requests of one stream: added to by the event loop, taken from by the flush thread."""

    def __init__(self, path: Path, head: Head, schema: Schema, reserve_bytes: int = 0) -> None:
        """Of the row file at `path`, whose buffers begin with `head`; `reserve_bytes` of disk stay free."""
        self._reserve = reserve_bytes
        self._path = path
        self._head = head
        self._schema = schema
        self._waiting: deque[tuple[bytes, Path | None]] = deque()

    def __len__(self) -> int:
        """How many frames wait for the log."""
        return len(self._waiting)

    @property
    def full(self) -> bool:
        """Whether no more may be added now."""
        return sum(path is not None for _, path in list(self._waiting)) >= MOST

    def add(self, active: SlotBuffer, columns: Mapping[str, Any], rows: int, validity: Any) -> int:
        """Keep what `active` holds, and these rows behind it; returns the sequence that comes next.

        NoRoomError when the disk cannot hold it and the reserve; then nothing was kept.
        """
        before = frame.compact(active.memory)
        holds = active.rows or active.skipped
        large = self._large(active.end if holds else active.first, active.end, columns, rows, validity)
        half = max(len(before), len(large))
        path = self._path.with_name(f"{self._path.stem}-{active.end:020d}{self._path.suffix}")
        self._check_reserve(path, 2 * half)
        _write(path, half, (before, large))
        if holds:
            self._waiting.append((before, None))
        self._waiting.append((large, path))
        return active.end + rows

    def _check_reserve(self, path: Path, size: int) -> None:
        if self._reserve and shutil.disk_usage(path.parent).free < self._reserve + size:
            raise NoRoomError(
                f"{path}: {size} bytes would leave less of the disk free than log.reserve_bytes"
                f" ({self._reserve}); free disk space"
            )

    def _large(
        self, first: int, sequence: int, columns: Mapping[str, Any], rows: int, validity: Any
    ) -> bytes:
        """The frame of these rows, which begins at `first` with numbers that were not drawn."""
        arenas = SlotBuffer.needs(self._schema, columns, rows)
        places = layout.plan(self._schema, rows, arenas, validity=True)
        of = self._head
        head = empty_head(of.kind, of.incarnation, of.stream, rows, of.rate, places)
        buffer = SlotBuffer(memoryview(bytearray(places.length)), head, self._schema, places)
        buffer.begin(first)
        buffer.pass_over(sequence - first)
        buffer.write(columns, rows, validity)
        return frame.compact(buffer.memory)

    def take(self) -> bytes | None:
        """The frame that comes next in the log, or None; the same again until `release`."""
        return self._waiting[0][0] if self._waiting else None

    def release(self) -> None:
        """The frame taken is in the log; with a request's last frame its file goes."""
        _, path = self._waiting.popleft()
        if path is not None:
            path.unlink(missing_ok=True)


def stream_of(path: Path) -> str:
    """What the row file and the spilled requests of one stream have in common: the number in their names."""
    return path.stem.partition("-")[0]


def _write(path: Path, half: int, frames: tuple[bytes, bytes]) -> None:
    aside = path.with_name(f".{path.name}.new")
    aside.unlink(missing_ok=True)
    allocate(aside, 2 * half)
    with aside.open("r+b") as file:
        for place, body in enumerate(frames):
            file.seek(place * half)
            file.write(body)
    aside.rename(path)
