"""Rows of one stream coalesced into blocks, by log order and record time alone.

Rules:
1. A block closes when it holds `size` rows, or before a row whose record time lies more than `span` after the
   block's first row. Nothing else closes a block: not a poll, not a checkpoint, not a frame's end.
2. The rows of an unfinished block are part of the state, so a run cut anywhere and continued makes the same
   blocks as one that was not.

Refuses to know: what the columns mean.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from groundwork import decoders
from monitor.errors import DetectorStateError

PRESENT: Final = 0
MISSING: Final = 1
WITHHELD: Final = 2

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int32]
Flags = npt.NDArray[np.uint8]
Times = npt.NDArray[np.int64]


class Rows(msgspec.Struct, frozen=True):
    """Rows of one stream, by column.

    `numeric` float64 [rows, C]; `codes` int32 [rows, K], an index into the column's categories, or their
    number for a value not among them; `validity` uint8 [rows, C + K] (PRESENT, MISSING, WITHHELD); `times`
    int64 [rows], unix nanoseconds. A value that is not PRESENT means nothing.
    """

    numeric: Floats
    codes: Codes
    validity: Flags
    times: Times

    def __len__(self) -> int:
        return len(self.times)

    def part(self, start: int, stop: int) -> "Rows":
        """Rows `start` to `stop`, as views."""
        return Rows(
            self.numeric[start:stop],
            self.codes[start:stop],
            self.validity[start:stop],
            self.times[start:stop],
        )


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """A place in a stream: rows seen up to it, record time (unix ns), log offset (segment, row)."""

    rows: int = 0
    time: int = 0
    segment: int = 0
    row: int = 0


class Block(msgspec.Struct, frozen=True):
    """What a detector is fed: rows, and the marks of the stream where they begin and end."""

    rows: Rows
    begin: Mark
    end: Mark


class _Saved(msgspec.Struct, frozen=True, array_like=True, tag="blocks-1"):
    """An unfinished block as it is stored."""

    shape: tuple[int, int, int]
    held: int
    begin: Mark
    end: Mark
    arrays: tuple[bytes, bytes, bytes, bytes]


class BlockBuilder:
    """The one owner of a stream's unfinished block."""

    def __init__(self, *, numeric: int, codes: int, size: int, span_ns: int) -> None:
        self._size = size
        self._span = span_ns
        self._rows = Rows(
            np.zeros((size, numeric)),
            np.zeros((size, codes), np.int32),
            np.zeros((size, numeric + codes), np.uint8),
            np.zeros(size, np.int64),
        )
        self._held = 0
        self._begin = Mark()
        self._end = Mark()

    @property
    def end(self) -> Mark:
        """The mark after the last row taken in."""
        return self._end

    def feed(self, rows: Rows, segment: int, row: int) -> Iterator[Block]:
        """Take in rows of the frame at this offset; yield each block that they close.

        A block's arrays are the builder's own and valid until the next step of the iteration.
        """
        start = 0
        while start < len(rows):
            stop = self._reach(rows, start)
            if stop > start:
                self._take(rows.part(start, stop), segment, row)
                start = stop
            if self._held == self._size or start < len(rows):
                yield self._close()

    def _reach(self, rows: Rows, start: int) -> int:
        """How far the rows from `start` on belong to the unfinished block."""
        stop = min(len(rows), start + self._size - self._held)
        opened = int(self._rows.times[0]) if self._held else int(rows.times[start])
        late = np.flatnonzero(rows.times[start:stop] - opened > self._span)
        return start + int(late[0]) if len(late) else stop

    def _take(self, rows: Rows, segment: int, row: int) -> None:
        if not self._held:
            self._begin = Mark(self._end.rows, int(rows.times[0]), segment, row)
        stop = self._held + len(rows)
        for mine, theirs in zip(_arrays(self._rows), _arrays(rows), strict=True):
            mine[self._held : stop] = theirs
        self._held = stop
        self._end = Mark(self._end.rows + len(rows), int(rows.times[-1]), segment, row)

    def _close(self) -> Block:
        block = Block(self._rows.part(0, self._held), self._begin, self._end)
        self._held = 0
        return block

    def state(self) -> bytes:
        """The unfinished block, to be continued by `restore`."""
        held = self._rows.part(0, self._held)
        numeric, codes, validity, times = (array.tobytes() for array in _arrays(held))
        shape = (self._size, self._rows.numeric.shape[1], self._rows.codes.shape[1])
        return msgspec.msgpack.encode(
            _Saved(shape, self._held, self._begin, self._end, (numeric, codes, validity, times))
        )

    def restore(self, state: bytes) -> None:
        """Continue from `state`; DetectorStateError when it was made for other columns or sizes."""
        saved = decoders.msgpack_of(_Saved).decode(state)
        shape = (self._size, self._rows.numeric.shape[1], self._rows.codes.shape[1])
        if saved.shape != shape:
            raise DetectorStateError(
                f"an unfinished block was stored for (rows, numbers, texts) = {saved.shape}, found {shape}"
                " in the settings or the profile; it starts afresh",
            )
        for mine, stored in zip(_arrays(self._rows), saved.arrays, strict=True):
            part = mine[: saved.held]
            part[...] = np.frombuffer(stored, mine.dtype).reshape(part.shape)
        self._held, self._begin, self._end = saved.held, saved.begin, saved.end


def _arrays(rows: Rows) -> tuple[npt.NDArray[Any], ...]:
    return rows.numeric, rows.codes, rows.validity, rows.times
