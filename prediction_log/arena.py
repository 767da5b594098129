"""A variable-width column of a frame with room: where its byte strings end, and the bytes that this cuts.

Rules: what is behind the last published row is written over; an arena never grows. Whoever puts rows has
asked whether their bytes fit.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from prediction_log.record import ColumnSpec


class Arena(NamedTuple):
    """A variable-width column's places: u32 offsets and the bytes they cut, each as cells and as an array."""

    name: str
    width: int
    cells: memoryview
    offsets: NDArray[np.uint32]
    data: memoryview
    bytes: NDArray[np.uint8]


def arena_of(
    memory: memoryview, column: ColumnSpec, offsets: tuple[int, int], data: tuple[int, int]
) -> Arena:
    """The arena whose offsets and bytes lie at these places (start, length) of the memory."""
    ends, held = memory[offsets[0] : sum(offsets)], memory[data[0] : sum(data)]
    return Arena(
        column.name,
        column.width,
        ends.cast("I"),
        np.frombuffer(ends, np.uint32),
        held,
        np.frombuffer(held, np.uint8),
    )


def needed(values: Any, width: int, rows: int) -> int:
    """How many bytes these values of so many rows take."""
    if not values:
        return 0
    if values.__class__ is bytes:
        return len(values) * rows * width
    return sum(map(len, values))


def put(arena: Arena, at: int, rows: int, values: Any) -> None:
    """Write rows, the first at `at`: one byte string for all, or rows * width of them; None is empty ones."""
    first = at * arena.width
    count = rows * arena.width
    start = arena.cells[first]
    if not values and count == 1:
        arena.cells[first + 1] = start
    elif not values:
        arena.offsets[first + 1 : first + 1 + count] = start
    elif values.__class__ is bytes and count == 1:
        end = start + len(values)
        arena.data[start:end] = values
        arena.cells[first + 1] = end
    else:
        texts = [values] * count if values.__class__ is bytes else values
        ends = np.cumsum(np.fromiter(map(len, texts), np.uint32, count), out=None, dtype=np.uint32)
        arena.offsets[first + 1 : first + 1 + count] = ends + np.uint32(start)
        arena.data[start : start + int(ends[-1])] = b"".join(texts)


def wipe(arena: Arena, rows: int) -> None:
    """Overwrite what the first rows have written."""
    arena.bytes[: arena.cells[rows * arena.width]] = 0
    arena.offsets[1 : rows * arena.width + 1] = 0
