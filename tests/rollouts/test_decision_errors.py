"""How often the judge is wrong, and how soon it is right, on simulated rollouts judged at every tick.

A handful of runs each under `make test`; 2 000 each under `make torture`, whose numbers stand in
docs/rollouts.md.
"""

import math
from collections.abc import Callable

import numpy as np
import pytest

from rollouts.rollout import MetricSpec
from tests.counts import count
from tests.rollouts.simulation import Outcome, World, run

RUNS = count(30, 2000)
ERRORS = (MetricSpec(name="error-rate"),)
LABELS = (MetricSpec(name="accuracy"),)
TICKS = count(60, 120)


def outcomes(world: World, seed: int, runs: int = RUNS) -> list[Outcome]:
    """Simulate a world many times."""
    rng = np.random.default_rng(seed)
    return [run(world, rng) for _ in range(runs)]


def assert_at_most(rate: float, world: World, seed: int, wrong: Callable[[Outcome], bool]) -> None:
    """Hold the share of wrong outcomes under a rate, with three standard errors of room for the sample."""
    found = sum(map(wrong, outcomes(world, seed)))
    room = 3 * math.sqrt(rate * (1 - rate) * RUNS)
    print(f"{found} of {RUNS} = {found / RUNS:.2%}")  # noqa: T201  shown by pytest -rP
    assert found <= rate * RUNS + room


def is_rolled_back(outcome: Outcome) -> bool:
    """Whether the rollout fell."""
    return outcome.rolled_back is not None


@pytest.mark.parametrize(
    "world",
    [
        pytest.param(World(ticks=TICKS), id="equal-1-percent"),
        pytest.param(World(ticks=TICKS, stable_rate=0.001, candidate_rate=0.001), id="equal-0.1-percent"),
        pytest.param(
            World(ticks=TICKS, shock=10, stable_rate=0.002, candidate_rate=0.002), id="outage-of-both"
        ),
        pytest.param(World(ticks=TICKS, shadow=True, shock=10), id="shadowed-outage"),
        pytest.param(World(ticks=TICKS, requests=20), id="little-traffic"),
        pytest.param(
            World(ticks=TICKS, candidate_rate=0.0125, loss=0.02, discordance=0.06),
            id="exactly-at-both-margins",
        ),
        pytest.param(
            World(ticks=TICKS, stable_rate=0.2, candidate_rate=0.25, metrics=ERRORS),
            id="at-the-margin-of-a-high-rate",
        ),
        pytest.param(
            World(ticks=TICKS, loss=0.02, discordance=0.06, requests=1, metrics=LABELS),
            id="at-the-margin-of-accuracy",
        ),
    ],
)
def test_a_candidate_within_its_margins_is_rarely_rolled_back(world: World) -> None:
    """Over a whole rollout with changing weights, at every look, at most alpha of good candidates fall."""
    assert_at_most(0.05, world, 1, is_rolled_back)


@pytest.mark.parametrize(
    ("world", "metric"),
    [
        pytest.param(
            World(ticks=TICKS, stable_rate=0.008, candidate_rate=0.01, shadow=True), "error-rate", id="errors"
        ),
        pytest.param(
            World(ticks=TICKS, stable_rate=0.008, candidate_rate=0.01, shock=10), "error-rate", id="outage"
        ),
        pytest.param(
            World(ticks=TICKS, loss=0.02, discordance=0.02, requests=1), "accuracy", id="few-discordant"
        ),
        pytest.param(
            World(ticks=TICKS, loss=0.02, discordance=0.08, requests=1), "accuracy", id="many-discordant"
        ),
    ],
)
def test_a_candidate_at_its_margin_rarely_passes(world: World, metric: str) -> None:
    """A metric says PASS of a candidate that is as bad as its margin in at most beta of rollouts."""
    assert_at_most(0.05, world, 2, lambda outcome: metric in outcome.passed)


@pytest.mark.parametrize(
    ("world", "least"),
    [
        pytest.param(World(candidate_rate=0.05), 0.95, id="one-to-five-percent"),
        pytest.param(World(stable_rate=0.001, candidate_rate=0.01), 0.95, id="a-tenth-to-one-percent"),
        pytest.param(World(loss=0.10, discordance=0.16, requests=1), 0.95, id="ten-points-less-right"),
        pytest.param(World(candidate_rate=0.05, late=0.5, metrics=ERRORS), 0.95, id="breaks-half-way"),
    ],
)
def test_a_bad_candidate_falls(world: World, least: float) -> None:
    """What is clearly beyond a margin is found within the rollout, also when it begins late."""
    runs = outcomes(world, 3, runs=count(12, 300))
    when = sorted(outcome.rolled_back for outcome in runs if outcome.rolled_back is not None)
    print(f"{len(when)} of {len(runs)}, median tick {when[len(when) // 2]}")  # noqa: T201
    assert len(when) >= least * len(runs)
