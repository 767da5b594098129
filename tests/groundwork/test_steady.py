"""Tests of groundwork.steady: what passes between two moments, whatever the wall clock says."""

import pytest

from groundwork.clock import FakeClock
from groundwork.steady import UNKNOWN, Steady, passed, steady


@pytest.mark.parametrize(
    ("since", "now", "nanoseconds"),
    [
        (Steady("a", 5), Steady("a", 9), 4),
        (Steady("a", 9), Steady("a", 5), 0),
        (Steady("a", 5), Steady("b", 9), None),
        (Steady("a", 5), UNKNOWN, None),
        (UNKNOWN, UNKNOWN, None),
    ],
)
def test_time_passes_within_one_boot(since: Steady, now: Steady, nanoseconds: int | None) -> None:
    """Between boots, and where the system tells of none, nothing is known."""
    assert passed(since, now) == nanoseconds


def test_a_moment_is_that_of_the_monotonic_clock() -> None:
    """It moves on by what the clock measures, and is of the boot that this is."""
    clock = FakeClock()
    before = steady(clock)
    clock.advance(1.5)
    after = steady(clock)
    assert (after.boot, after.at - before.at) == (before.boot, 1_500_000_000)
