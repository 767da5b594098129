"""Capacity is the highest rate that the whole system sustained below every one that it did not."""

import math

import pytest

from loadtests import capacity
from loadtests.capacity import Trial


def trial(rate: float, *, p99_ms: float = 5.0, bad: int = 0, lag_s: float = 0.1) -> Trial:
    """A rate that is sustained unless something is said."""
    return Trial(rate, p99_ms, bad, lag_s, 0.2)


def search(sustains: float, first: float) -> list[Trial]:
    """All trials of a system that sustains so much and no more."""
    trials: list[Trial] = []
    while (rate := capacity.following(trials, first)) is not None:
        trials.append(trial(rate, bad=int(rate > sustains)))
    return trials


@pytest.mark.parametrize("first", [2_000.0, 6_000.0, 12_000.0, 40_000.0])
@pytest.mark.parametrize("sustains", [5_000.0, 8_000.0])
def test_the_search_ends_close_below_the_limit(sustains: float, first: float) -> None:
    """However good the guess: never above what is sustained, within a fifth below it, in few trials."""
    trials = search(sustains, first)
    assert len(trials) <= capacity.MOST_TRIALS
    assert 0.8 * sustains <= capacity.found(trials) <= sustains


def test_a_rate_above_one_that_failed_does_not_count() -> None:
    """A lucky trial above an unsustained rate is luck."""
    assert capacity.found([trial(4000), trial(5000, bad=1), trial(6000)]) == 4000


@pytest.mark.parametrize(
    "much",
    [
        trial(1, p99_ms=capacity.MOST_P99_MS + 1),
        trial(1, p99_ms=math.nan),
        trial(1, bad=1),
        trial(1, lag_s=capacity.MOST_LAG_S + 0.1),
        trial(1, lag_s=math.inf),
    ],
)
def test_slow_failing_or_unread_is_not_sustained(much: Trial) -> None:
    """Latency, failures and the monitor each end it alone; no answer at all does too."""
    assert not much.sustained
    assert "too much" in str(much)


def test_a_machine_that_sustains_nothing_has_no_capacity() -> None:
    """The search gives up after so many trials, and says 0."""
    assert capacity.found(search(0.0, 10_000.0)) == 0
