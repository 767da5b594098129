"""Tests of monitor.label_times: no row from before a moment counts as one from after it."""

from hypothesis import given
from hypothesis import strategies as st

from monitor.label_times import NEWEST, LabelTimes

SECOND = 10**9
NOW = 1_800_000_000 * SECOND


def made(times: list[int]) -> LabelTimes:
    """What is known after rows of these times."""
    known = LabelTimes()
    for time in times:
        known.add(time)
    return known


@given(st.lists(st.integers(0, 3 * SECOND), max_size=60), st.integers(0, 3 * SECOND), st.integers(0, 60))
def test_rows_since_a_moment_are_counted_exactly(times: list[int], moment: int, cut: int) -> None:
    """To the nanosecond, in whatever order the labels came, and after a restart anywhere between them."""
    first = made([NOW + time for time in times[:cut]])
    known = LabelTimes(first.newest, first.older)
    for time in times[cut:]:
        known.add(NOW + time)
    assert known.since(NOW + moment) == sum(time >= moment for time in times)


def test_beyond_the_newest_no_row_too_many_is_counted() -> None:
    """Far back rows are counted by whole seconds, of which one that the moment divides is left out."""
    step = SECOND // 1000
    known = made([NOW + at * step for at in range(NEWEST + 3500)])
    assert known.since(NOW + 3499 * step) == NEWEST
    assert known.since(NOW + 3500 * step) == NEWEST
    assert known.since(NOW) == NEWEST + 3500
    assert known.since(NOW + 1) == NEWEST + 2500


def test_what_is_kept_is_bounded() -> None:
    """After rows of many hours the newest and some thousand seconds are known."""
    known = made([NOW + at * SECOND for at in range(3 * NEWEST)])
    assert len(known.newest) == len(known.older) == NEWEST
    assert known.since(0) == 2 * NEWEST


def test_a_clock_that_was_set_back_leaves_no_row_to_come() -> None:
    """Rows dated later than the moment that a clock was set back to are known no more."""
    known = made([NOW + at * SECOND for at in range(2 * NEWEST)])
    known.forget(NOW + 10 * SECOND)
    assert known.since(0) == 11
