"""Tests of monitor.blocks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.blocks import BlockBuilder, Rows
from monitor.errors import DetectorStateError

SIZE = 8
SPAN = 50


def make_rows(times: list[int]) -> Rows:
    """Rows whose one number is their place."""
    count = len(times)
    return Rows(
        np.arange(count, dtype=np.float64)[:, None],
        np.zeros((count, 1), np.int32),
        np.zeros((count, 2), np.uint8),
        np.array(times, np.int64),
    )


def builder() -> BlockBuilder:
    """A builder of small blocks."""
    return BlockBuilder(numeric=1, codes=1, size=SIZE, span_ns=SPAN)


def cut(times: list[int], pieces: list[int], *, restore: bool) -> list[tuple[list[float], int, int]]:
    """The blocks made of these rows fed in pieces, each as (values, rows before, rows after)."""
    rows, start = make_rows(times), 0
    made: list[tuple[list[float], int, int]] = []
    current = builder()
    for stop in [*sorted(pieces), len(times)]:
        if restore:
            again = builder()
            again.restore(current.state())
            current = again
        made += [
            (block.rows.numeric[:, 0].tolist(), block.begin.rows, block.end.rows)
            for block in current.feed(rows.part(start, stop), 1, 1)
        ]
        start = stop
    return made


@given(st.data(), st.lists(st.integers(0, 30), max_size=60))
def test_blocks_depend_on_rows_only(data: st.DataObject, gaps: list[int]) -> None:
    """However the rows are cut, and wherever the builder is stored and restored, the blocks are the same."""
    times = np.cumsum(gaps).tolist()
    pieces = data.draw(st.lists(st.integers(0, len(times)), max_size=6))
    assert cut(times, pieces, restore=True) == cut(times, [], restore=False)


@given(st.lists(st.integers(0, 30), max_size=60))
def test_every_block_is_within_size_and_span(gaps: list[int]) -> None:
    """A block holds at most `size` rows, none more than `span` after its first, and no row twice."""
    times = np.cumsum(gaps).tolist()
    seen: list[float] = []
    for values, before, after in cut(times, [], restore=False):
        assert 0 < len(values) <= SIZE
        assert after - before == len(values)
        taken = [times[int(value)] for value in values]
        assert max(taken) - taken[0] <= SPAN
        seen += values
    assert seen == [float(place) for place in range(len(seen))]


def test_a_builder_refuses_the_state_of_another_shape() -> None:
    """A state made for other columns is refused, not misread."""
    other = BlockBuilder(numeric=2, codes=0, size=SIZE, span_ns=SPAN)
    with pytest.raises(DetectorStateError):
        builder().restore(other.state())
