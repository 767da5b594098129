"""Rates and concurrency over one shared table."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from groundwork.allowance import NANOSECONDS, Allowance
from groundwork.keys import MOST_KEYS

SECOND = NANOSECONDS


@given(
    st.integers(1, 1000), st.integers(1, 50), st.lists(st.integers(0, 2 * SECOND), min_size=1, max_size=200)
)
def test_no_window_holds_more_than_the_bucket_and_what_it_gained(
    rate: int, burst: int, gaps: list[int]
) -> None:
    """Over any time, at most `burst` plus one per interval are let through, however they come."""
    allowance, interval, now = Allowance.private(), SECOND // rate, 10 * SECOND
    taken: list[int] = []
    for gap in gaps:
        now += gap
        if allowance.take(0, interval, burst, now) == 0:
            taken.append(now)
    for first, start in enumerate(taken):
        for last, end in enumerate(taken[first:], first):
            assert last - first + 1 <= burst + (end - start) / interval


@given(st.integers(1, 1000), st.integers(1, 50))
def test_the_wait_that_is_told_is_exactly_enough(rate: int, burst: int) -> None:
    """A refused caller gets in after the time it was told, and not a nanosecond before."""
    allowance, interval, now = Allowance.private(), SECOND // rate, 10 * SECOND
    for _ in range(burst):
        assert allowance.take(3, interval, burst, now) == 0
    wait = allowance.take(3, interval, burst, now)
    assert 0 < wait <= interval
    assert allowance.take(3, interval, burst, now + wait - 1) > 0
    assert allowance.take(3, interval, burst, now + wait) == 0


def test_a_bucket_from_before_a_reboot_is_full() -> None:
    """Times that this machine's clock has not reached shut nobody out."""
    allowance = Allowance.private()
    assert allowance.take(0, SECOND, 1, 10**6 * SECOND) == 0
    assert allowance.take(0, SECOND, 1, 5 * SECOND) == 0
    assert allowance.take(0, SECOND, 1, 5 * SECOND) == SECOND


def test_workers_share_rate_and_concurrency(tmp_path: Path) -> None:
    """What one worker lets through counts in the other; a worker that starts clears what its place held."""
    path = tmp_path / "allowance"
    one, two = Allowance.shared(path, 0, 2), Allowance.shared(path, 1, 2)
    assert one.take(7, SECOND, 1, 9 * SECOND) == 0
    assert two.take(7, SECOND, 1, 9 * SECOND) == SECOND
    assert (one.enter(7, 2), two.enter(7, 2), one.enter(7, 2)) == (True, True, False)
    assert Allowance.shared(path, 1, 2).enter(7, 2)  # the worker of place 1 has died and come again
    one.leave(7)
    assert one.enter(7, 2)


def test_leaving_more_often_than_entering_gives_nothing() -> None:
    """A count never falls below zero."""
    allowance = Allowance.private()
    allowance.leave(MOST_KEYS - 1)
    assert allowance.enter(MOST_KEYS - 1, 1)
    assert not allowance.enter(MOST_KEYS - 1, 1)
