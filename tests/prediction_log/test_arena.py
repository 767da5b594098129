"""Tests of prediction_log.arena."""

import itertools
from typing import Any

import pytest

from prediction_log.arena import Arena, arena_of, needed, put, wipe
from prediction_log.record import VARIABLE, ColumnSpec

ROWS, BYTES = 8, 64


def arena(width: int = 1) -> Arena:
    """An empty one, with room for eight rows."""
    offsets = 4 * (ROWS * width + 1)
    column = ColumnSpec("city", VARIABLE, (width,) if width > 1 else (), "input")
    return arena_of(memoryview(bytearray(offsets + BYTES)), column, (0, offsets), (offsets, BYTES))


def strings(made: Arena, rows: int) -> list[bytes]:
    """What the first rows hold."""
    cells = [made.cells[place] for place in range(rows * made.width + 1)]
    return [bytes(made.data[start:end]) for start, end in itertools.pairwise(cells)]


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (None, [b""] * 4),
        (b"", [b""] * 4),
        (b"ab", [b"ab"] * 4),
        ([b"a", b"", b"cde", b"f"], [b"a", b"", b"cde", b"f"]),
    ],
)
@pytest.mark.parametrize(("rows", "width"), [(4, 1), (2, 2)])
def test_rows_hold_what_was_put(values: Any, wanted: list[bytes], rows: int, width: int) -> None:
    """Behind the rows before them: one byte string for all, one for each cell, or nothing."""
    made = arena(width)
    put(made, 0, 1, b"x")
    put(made, 1, rows, values)
    assert strings(made, 1 + rows) == [b"x"] * width + wanted
    assert needed(values, width, rows) == sum(map(len, wanted))


@pytest.mark.parametrize("values", [None, b"ab", [b"ab"]])
def test_a_row_alone_is_put_like_many(values: Any) -> None:
    """One row of one cell goes a shorter way to the same bytes."""
    alone, many = arena(), arena()
    for row in range(3):
        put(alone, row, 1, values)
    put(many, 0, 3, values if not isinstance(values, list) else values * 3)
    assert strings(alone, 3) == strings(many, 3)
    assert bytes(alone.data) == bytes(many.data)


def test_what_is_wiped_is_gone() -> None:
    """Of the rows that were put no byte is left, and no end."""
    made = arena()
    put(made, 0, 3, b"secret")
    wipe(made, 3)
    assert strings(made, 3) == [b""] * 3
    assert not any(made.data)
