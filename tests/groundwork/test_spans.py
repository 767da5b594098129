"""Stretches of a region."""

from hypothesis import given
from hypothesis import strategies as st

from groundwork.spans import Spans


def test_what_comes_back_is_given_out_again() -> None:
    """A stretch that was given back serves the next of its length before new ground is broken."""
    spans = Spans(8, 64, grain=16)
    first, second = spans.take(3), spans.take(17)
    assert (first, second, spans.used) == (8, 24, 56)
    assert spans.take(1) is None
    spans.give(8, 3)
    assert spans.take(16) == 8


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 40)), max_size=60))
def test_nothing_is_given_out_twice(steps: list[tuple[bool, int]]) -> None:
    """Whatever is taken and given back, stretches that are out never overlap and never leave the region."""
    spans = Spans(4, 200, grain=8)
    out: list[tuple[int, int]] = []
    for back, length in steps:
        if back and out:
            spans.give(*out.pop(length % len(out)))
            continue
        start = spans.take(length)
        if start is not None:
            assert start >= 4
            assert start + length <= 200
            assert all(start + length <= other or other + size <= start for other, size in out)
            out.append((start, length))
