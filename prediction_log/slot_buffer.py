"""One frame with room, written in place row by row: half of a row file.

Rules:

* A row exists from the instant the head's `rows` covers it. It is written first, then `end` is raised, then
  `rows`: a process killed at any point leaves a frame that is true.
* Values go straight into preallocated columns; no Python object per row survives an append.
* `end - first` minus `rows` minus `skipped` is how many sequence numbers were passed over by sampling.

It knows neither files nor threads; `rows.py` decides who writes when.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from prediction_log import layout
from prediction_log.arena import Arena, arena_of, needed, put, wipe
from prediction_log.layout import HEAD, Head, Layout
from prediction_log.quick_pair import QuickPair, is_pair
from prediction_log.quick_reject import QuickReject, is_reject
from prediction_log.quick_row import QuickRow, is_quick
from prediction_log.record import VARIABLE, ColumnSpec, Schema

Array: TypeAlias = NDArray[Any]

_CELLS: Final[Mapping[str, str]] = {
    "|u1": "B", "|i1": "b", "<u2": "H", "<i2": "h", "<u4": "I", "<i4": "i", "<u8": "Q", "<i8": "q",
    "<f4": "f", "<f8": "d", "|b1": "?",
}  # fmt: skip
_PLAIN: Final = frozenset({int, float, bool})

_FIRST: Final = layout.FIRST_AT // 8
_END: Final = layout.END_AT // 8
_SKIPPED: Final = layout.SKIPPED_AT // 8
_ROWS: Final = layout.ROWS_AT // 4
_FLAGS: Final = layout.FLAGS_AT // 4
_RATE: Final = layout.RATE_AT // 8


class Scalar(NamedTuple):
    """A column of single numbers: as cells (the cheap way to set one) and as an array (to set many)."""

    name: str
    cells: Any
    view: Array


class Octets(NamedTuple):
    """A column of a fixed number of bytes: as memory (the cheap way to set one) and as an array."""

    name: str
    width: int
    piece: memoryview
    view: Array


class SlotBuffer:
    """A frame with room inside memory that outlives the process."""

    def __init__(self, memory: memoryview, head: Head, schema: Schema, places: Layout) -> None:
        self.memory = memory
        self.capacity = head.capacity
        self._u32 = memory.cast("I")
        self._u64 = memory.cast("Q")
        self._f64 = memory.cast("d")
        preamble = layout.preamble(head, places)
        memory[: len(preamble)] = preamble
        self._scalars: list[Scalar] = []
        self._octets: list[Octets] = []
        self._arrays: list[tuple[str, Array]] = []
        self._arenas: list[Arena] = []
        table = iter(places.table)
        for column in schema.columns:
            if column.dtype == VARIABLE:
                self._arenas.append(arena_of(memory, column, next(table), next(table)))
            else:
                self._add_fixed(column, next(table))
        offset, length = next(table)
        self._validity = np.frombuffer(memory[offset : offset + length], np.uint8)
        self._validity = self._validity.reshape(head.capacity, len(schema.values))
        self.quick = QuickRow(memory, schema, places, head.capacity) if is_quick(schema) else None
        """The short way for the rows of most requests, where the schema has one."""
        refuses = is_reject(schema)
        self.quick_reject = QuickReject(memory, schema, places, head.capacity) if refuses else None
        """The short way for rejects, where they are what the buffer holds."""
        pairs = is_pair(schema)
        self.quick_pair = QuickPair(memory, schema, places, head.capacity) if pairs else None
        """The short way for most shadow pairs, where they are what the buffer holds."""

    def _add_fixed(self, column: ColumnSpec, place: tuple[int, int]) -> None:
        piece = self.memory[place[0] : sum(place)]
        view: Array = np.frombuffer(piece, column.dtype).reshape((self.capacity, *column.shape))
        code: Any = _CELLS.get(column.dtype)
        if column.shape == ():
            cells = view if code is None else piece.cast("B").cast(code)
            self._scalars.append(Scalar(column.name, cells, view))
        elif column.dtype == "|u1" and len(column.shape) == 1:
            self._octets.append(Octets(column.name, column.width, piece, view))
        else:
            self._arrays.append((column.name, view))

    @property
    def rows(self) -> int:
        """How many rows are published."""
        published: int = self._u32[_ROWS]
        return published

    @property
    def first(self) -> int:
        """The sequence number at which this buffer was begun."""
        sequence: int = self._u64[_FIRST]
        return sequence

    @property
    def end(self) -> int:
        """The sequence number the next row gets."""
        sequence: int = self._u64[_END]
        return sequence

    @property
    def skipped(self) -> int:
        """How many rows of this buffer's range were lost."""
        lost: int = self._u64[_SKIPPED]
        return lost

    @property
    def rate(self) -> float:
        """The lowest sampling rate that this buffer was filled at."""
        lowest: float = self._f64[_RATE]
        return lowest

    @property
    def passed(self) -> bool:
        """Whether any sequence number was used up since the buffer was begun."""
        used: bool = self._u64[_END] > self._u64[_FIRST]
        return used

    @property
    def half_full(self) -> bool:
        """Whether half of the rows, or of any arena, is used."""
        rows: int = self._u32[_ROWS]
        return rows * 2 >= self.capacity or any(
            arena.cells[rows * arena.width] * 2 >= len(arena.data) > 0 for arena in self._arenas
        )

    def lacks(self, columns: Mapping[str, Any], rows: int) -> bool:
        """Whether there is no room here for these rows."""
        at = self._u32[_ROWS]
        if at + rows > self.capacity:
            return True
        for arena in self._arenas:  # a plain loop: this runs for every request
            values = columns.get(arena.name)
            if values and arena.cells[at * arena.width] + needed(values, arena.width, rows) > len(arena.data):
                return True
        return False

    def never_fits(self, columns: Mapping[str, Any], rows: int) -> bool:
        """Whether these rows have no room here even when it is empty."""
        return rows > self.capacity or any(
            needed(columns.get(arena.name), arena.width, rows) > len(arena.data) for arena in self._arenas
        )

    @staticmethod
    def needs(schema: Schema, columns: Mapping[str, Any], rows: int) -> list[int]:
        """The arena bytes that these rows take, for each variable-width column of the schema in order."""
        variable = [column for column in schema.columns if column.dtype == VARIABLE]
        return [needed(columns.get(column.name), column.width, rows) for column in variable]

    def write(self, columns: Mapping[str, Any], rows: int, validity: Any) -> None:
        """Copy the rows in and publish them; there must be room."""
        at = self._u32[_ROWS]
        if rows == 1:
            self._write_row(at, columns.get)
        else:
            self._write_rows(at, rows, columns.get)
        for arena in self._arenas:
            put(arena, at, rows, columns.get(arena.name))
        if validity is not None:
            self._validity[at : at + rows] = validity
            self._u32[_FLAGS] = layout.VALIDITY_KEPT
        self._u64[_END] += rows
        self._u32[_ROWS] = at + rows

    def _write_row(self, at: int, get: Callable[[str], Any]) -> None:
        """One row, which is what most requests have: no slices, and no calls but numpy's."""
        for name, cells, view in self._scalars:
            value = get(name)
            if value.__class__ in _PLAIN:
                cells[at] = value
            else:
                view[at : at + 1] = 0 if value is None else value
        for name, width, piece, view in self._octets:
            value = get(name)
            if value.__class__ is bytes:
                piece[at * width : (at + 1) * width] = value
            else:
                view[at] = 0 if value is None else value
        for name, view in self._arrays:
            value = get(name)
            view[at] = 0 if value is None else value

    def _write_rows(self, at: int, rows: int, get: Callable[[str], Any]) -> None:
        end = at + rows
        for name, _, view in self._scalars:
            value = get(name)
            view[at:end] = 0 if value is None else value
        for name, width, piece, view in self._octets:
            value = get(name)
            if value.__class__ is bytes:
                piece[at * width : end * width] = value * rows  # an eighth of the time numpy takes for it
            else:
                view[at:end] = 0 if value is None else value
        for name, view in self._arrays:
            value = get(name)
            view[at:end] = 0 if value is None else value

    def pass_over(self, rows: int) -> None:
        """Use up sequence numbers of rows that sampling did not draw."""
        self._u64[_END] += rows

    def lose(self, rows: int) -> None:
        """Use up sequence numbers of rows that found no room, and count them."""
        self._u64[_END] += rows
        self._u64[_SKIPPED] += rows

    def leave_before(self, first: int) -> None:
        """Leave numbers that were passed over to another frame: this one covers those from `first` on."""
        self._u64[_FIRST] = first

    def count_lost(self, rows: int) -> None:
        """Count rows as lost whose sequence numbers were passed over."""
        self._u64[_SKIPPED] += rows

    def thin(self, rate: float) -> None:
        """From here on requests are drawn at this rate; the frame says the lowest that it was filled at."""
        self._f64[_RATE] = min(self._f64[_RATE], rate)

    def begin(self, first: int, rate: float) -> None:
        """Start an empty frame at sequence `first`, drawn at `rate`; the buffer must have been cleared."""
        self._f64[_RATE] = rate
        self._u64[_END] = first
        self._u64[_FIRST] = first

    def clear(self) -> None:
        """Forget the rows, whose frame is in the log."""
        used = self._u32[_ROWS]
        self._u32[_ROWS] = 0
        self._u64[_SKIPPED] = 0
        self._u64[_FIRST] = self._u64[_END]
        self._u32[_FLAGS] = 0
        self._validity[:used] = 0
        self._wipe(used)

    def _wipe(self, rows: int) -> None:
        """Overwrite the values of these rows: what is deleted from the log must not live on here."""
        for scalar in self._scalars:
            scalar.view[:rows] = 0
        for octets in self._octets:
            octets.view[:rows] = 0
        for _, view in self._arrays:
            view[:rows] = 0
        for arena in self._arenas:
            wipe(arena, rows)


def empty_head(kind: int, incarnation: int, stream: int, capacity: int, rate: float, places: Layout) -> Head:
    """The head of a frame with `capacity` rows of room and nothing in it."""
    return Head(
        layout.MAGIC, layout.VERSION, kind, HEAD.size, incarnation, stream, 0, 0, 0, capacity,
        rate, 0, places.length, len(places.schema), len(places.table), 0, 0,
    )  # fmt: skip
