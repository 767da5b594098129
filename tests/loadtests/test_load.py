"""A load is the rate that keeps the processors busy for a share of the time, and that is sustained."""

import math

import pytest

from loadtests import load
from loadtests.load import Trial

SHARE = 0.6


def trial(
    rate: float, busy: float = SHARE, *, p99_ms: float = 5.0, bad: int = 0, lag_s: float = 0.1
) -> Trial:
    """A rate that is sustained unless something is said."""
    return Trial(rate, busy, p99_ms, bad, lag_s, 0.2)


def search(first: float, *, costs: float, others: float = 0.0, sustains: float = math.inf) -> list[Trial]:
    """All trials of a machine on which a request costs a share of a second, less of it at higher rates."""
    trials: list[Trial] = []
    while (rate := load.following(trials, first, SHARE)) is not None:
        busy = min(others + costs * rate**0.9, 1.0)
        trials.append(trial(rate, busy, bad=int(rate > sustains)))
    return trials


@pytest.mark.parametrize("first", [2_000.0, 6_000.0, 12_000.0, 30_000.0])
@pytest.mark.parametrize("costs", [1.5e-4, 3e-4])
def test_the_search_ends_close_to_the_share(costs: float, first: float) -> None:
    """However good the guess: within a few trials the processors are as busy as was asked."""
    trials = search(first, costs=costs)
    best = load.found(trials, SHARE)
    assert len(trials) <= load.MOST_TRIALS
    assert costs * best**0.9 == pytest.approx(SHARE, abs=2 * load.CLOSE)


def test_what_others_do_counts_as_load() -> None:
    """A neighbour takes his part of the share; the requests get the rest."""
    alone, beside = (load.found(search(5_000, costs=2e-4, others=others), SHARE) for others in (0.0, 0.2))
    assert 0 < beside < 0.8 * alone


def test_a_rate_that_is_not_sustained_is_never_the_load() -> None:
    """Where the processors idle and requests fail all the same, it goes down until none fails."""
    assert 0 < load.found(search(8_000, costs=2e-5, sustains=3_000), SHARE) <= 3_000


@pytest.mark.parametrize(
    "much",
    [
        trial(1, p99_ms=load.MOST_P99_MS + 1),
        trial(1, p99_ms=math.nan),
        trial(1, bad=1),
        trial(1, lag_s=load.MOST_LAG_S + 0.1),
        trial(1, lag_s=math.inf),
    ],
)
def test_slow_failing_or_unread_is_not_sustained(much: Trial) -> None:
    """Latency, failures and the monitor each end it alone; no answer at all does too."""
    assert not much.sustained
    assert load.found([much], SHARE) == 0


def test_a_trial_tells_what_it_was() -> None:
    """One line with the rate and how busy the processors were."""
    assert "4000 a second: processors 60% busy, 99 % within 5.0 ms" in str(trial(4_000))
    assert "given up at once" in str(trial(4_000, p99_ms=math.nan))
