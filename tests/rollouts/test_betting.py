"""The bets: what may never be broken whatever comes."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollouts import betting

BELOW = 1e-9
COUNT = st.integers(0, 400)


@pytest.mark.parametrize("bets", [betting.WORSE_RATIOS, betting.BETTER_RATIOS])
@given(
    exposure=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    rate=st.floats(0.001, 0.7),
    margin=st.floats(0.5, 3.0),
)
def test_a_block_is_never_expected_to_win_where_the_hypothesis_holds(
    bets: betting.Bets, exposure: tuple[int, int], rate: float, margin: float
) -> None:
    """At exactly the margin each bet's expected factor over all outcomes of a block is at most 1."""
    candidate_rate = min(rate * margin, 1.0) if bets is betting.WORSE_RATIOS else rate * margin
    if candidate_rate > 1:
        return
    expected = np.zeros_like(bets.grid)
    for events in itertools.product(range(exposure[0] + 1), range(exposure[1] + 1)):
        chance = _binomial(exposure[0], events[0], candidate_rate) * _binomial(exposure[1], events[1], rate)
        expected += chance * np.exp(betting.ratio_growth(bets, margin, exposure, events))
    assert (expected <= 1 + BELOW).all()


def _binomial(n: int, k: int, p: float) -> float:
    return math.comb(n, k) * p**k * (1 - p) ** (n - k)


@pytest.mark.parametrize("bets", [betting.WORSE_RATIOS, betting.BETTER_RATIOS])
@given(rate=st.floats(0.001, 0.3), shared=st.floats(0, 1), margin=st.floats(0.8, 2.0))
def test_a_shadow_pair_is_never_expected_to_win_however_its_halves_depend(
    bets: betting.Bets, rate: float, shared: float, margin: float
) -> None:
    """A request that both versions ran, at the margin: dependence only makes the bet more careful."""
    candidate = rate * margin
    both = rate * candidate + shared * (min(rate, candidate) - rate * candidate)
    chances = {
        (1, 1): both,
        (1, 0): candidate - both,
        (0, 1): rate - both,
        (0, 0): 1 - candidate - rate + both,
    }
    expected = np.zeros_like(bets.grid)
    for events, chance in chances.items():
        expected += chance * np.exp(betting.ratio_growth(bets, margin, (1, 1), events))
    assert (expected <= 1 + BELOW).all()


@given(level=st.floats(-0.3, 0.3), spread=st.floats(0.31, 1.0))
def test_a_pair_is_never_expected_to_win_at_the_level(level: float, spread: float) -> None:
    """With the mean exactly at the level, the mixture over bets expects 1 from one more outcome."""
    plus, minus = (spread + level) / 2, (spread - level) / 2
    expected = sum(
        chance * math.exp(betting.mean_evidence(betting.MEAN_BETS, level, counts))
        for chance, counts in ((minus, (1, 0, 0)), (1 - plus - minus, (0, 1, 0)), (plus, (0, 0, 1)))
    )
    assert expected == pytest.approx(1.0)


@pytest.mark.parametrize("bets", [betting.HIGHER_RATES, betting.LOWER_RATES])
@given(level=st.floats(0.0005, 0.4))
def test_a_request_is_never_expected_to_win_at_the_level(bets: betting.Bets, level: float) -> None:
    """With the rate exactly at the level, one more request is a fair bet."""
    bad, good = (math.exp(betting.rate_evidence(bets, level, 1, event)) for event in (1, 0))
    assert level * bad + (1 - level) * good == pytest.approx(1.0)


def test_without_events_or_without_a_partner_nothing_is_learnt_of_a_ratio() -> None:
    """An arm without requests, and a block without events, leave the capital as it is."""
    for exposure, events in (((0, 50), (0, 3)), ((50, 0), (3, 0)), ((50, 50), (0, 0))):
        assert not betting.ratio_growth(betting.WORSE_RATIOS, 1.25, exposure, events).any()


@given(events=st.tuples(COUNT, COUNT), scale=st.integers(1, 1000))
def test_only_the_share_of_the_exposure_matters(events: tuple[int, int], scale: int) -> None:
    """Ten times the traffic with the same errors is the same evidence: the base rate cancels."""
    one = betting.ratio_growth(betting.WORSE_RATIOS, 1.25, (10, 90), events)
    many = betting.ratio_growth(betting.WORSE_RATIOS, 1.25, (10 * scale, 90 * scale), events)
    assert many == pytest.approx(one)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), max_size=6), st.floats(-5, 50))
def test_restarting_costs_at_most_the_weight_of_its_start(
    gaps: list[tuple[int, int]], evidence: float
) -> None:
    """All evidence since start j counts at least its prior weight, and without items there is none."""
    indices = sorted({sum(gap for gap, _ in gaps[: place + 1]) for place in range(len(gaps))})
    starts = [(index, evidence if place == len(indices) - 1 else 0.0) for place, index in enumerate(indices)]
    mixture = betting.restarted(starts)
    if not starts:
        assert mixture == betting.NO_EVIDENCE
        return
    last = indices[-1]
    assert mixture >= evidence - math.log((last + 1) * (last + 2)) - BELOW
    assert mixture <= max(evidence, 0.0) + BELOW


def test_restarted_is_the_sum_over_every_start() -> None:
    """Starts between two items bet on what the later item did; the rest of the purse stands at 1."""
    weights = [1 / ((j + 1) * (j + 2)) for j in range(6)]
    values = [math.e**2, math.e, math.e, math.e**3, math.e**3, math.e**3]
    expected = sum(weight * value for weight, value in zip(weights, values, strict=True)) + 1 / 7
    assert betting.restarted([(0, 2.0), (2, 1.0), (5, 3.0)]) == pytest.approx(math.log(expected))
