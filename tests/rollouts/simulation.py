"""A simulated rollout in front of the real judge: traffic, errors and labels drawn from known rates.

Every tick is judged, so the error rates measured here are those of somebody who looks all the time.
"""

from collections.abc import Mapping
from typing import Final

import msgspec
import numpy as np

from rollouts import judge
from rollouts.evidence import ArmCounts, Observation, PairTotals
from rollouts.metric import PairCounts
from rollouts.rollout import MetricSpec, Rollout, RolloutSpec, Step
from rollouts.verdict import Call

WEIGHTS: Final = (0.05, 0.10, 0.25, 0.50)
BOTH: Final = (MetricSpec(name="error-rate"), MetricSpec(name="accuracy"))


class World(msgspec.Struct, frozen=True):
    """True rates of both versions, and how traffic comes.

    Rates are of requests. `loss` is how much less often the candidate is right, `discordance` how often
    exactly one is. `shock` multiplies both error rates for a twelfth of the time, from a random tick on.
    With `shadow` every request that stable answers is run by the candidate too, and seven in ten errors are
    shared.
    """

    stable_rate: float = 0.01
    candidate_rate: float = 0.01
    loss: float = 0.0
    discordance: float = 0.06
    shock: float = 1.0
    shadow: bool = False
    requests: int = 200
    labelled: int = 10
    ticks: int = 240
    late: float = 0.0
    metrics: tuple[MetricSpec, ...] = BOTH


class Outcome(msgspec.Struct, frozen=True):
    """At which tick the rollout was rolled back (None: never), and when each metric first said PASS."""

    rolled_back: int | None
    passed: Mapping[str, int]
    n: Mapping[str, int]


def run(world: World, rng: np.random.Generator) -> Outcome:
    """Simulate one rollout over the four weights, judged at every tick, to its end."""
    spec = RolloutSpec(metrics=world.metrics, steps=(Step(weight=5),))
    rollout = Rollout(id="r", model="m", stable="1", candidate="2", spec=spec, first_revision=2)
    state, seen = judge.begin(spec)
    counts: dict[tuple[int, str], ArmCounts] = {}
    pairs: dict[int, PairTotals] = {}
    passed: dict[str, int] = {}
    n: dict[str, int] = {}
    shocked = int(rng.integers(0, world.ticks))
    for tick in range(world.ticks):
        step = tick * len(WEIGHTS) // world.ticks
        revision = 2 + step
        factor = world.shock if shocked <= tick < shocked + world.ticks // 12 else 1.0
        healthy = tick < world.late * world.ticks
        _serve(world, rng, counts, revision, WEIGHTS[step], factor, healthy=healthy)
        _label(world, rng, pairs, revision)
        observation = Observation(counts={1: counts}, pairs=tuple(pairs.values()))
        state, seen, verdicts = judge.judge(rollout, state, seen, observation)
        for one in verdicts:
            n[one.metric] = one.n
            if one.verdict is Call.PASS:
                passed.setdefault(one.metric, tick)
        if judge.rollback(verdicts, spec.decision.rollback_alpha).reached:
            return Outcome(rolled_back=tick, passed=passed, n=n)
    return Outcome(rolled_back=None, passed=passed, n=n)


def _serve(
    world: World,
    rng: np.random.Generator,
    counts: dict[tuple[int, str], ArmCounts],
    revision: int,
    weight: float,
    factor: float,
    *,
    healthy: bool,
) -> None:
    stable_rate = min(world.stable_rate * factor, 0.9)
    candidate_rate = stable_rate if healthy else min(world.candidate_rate * factor, 0.9)
    requests = int(rng.poisson(world.requests))
    on_candidate = int(rng.binomial(requests, weight))
    on_stable = requests - on_candidate
    draws = rng.random(on_stable)
    _add(counts, (revision, "candidate"), on_candidate, int(rng.binomial(on_candidate, candidate_rate)))
    _add(counts, (revision, "stable"), on_stable, int((draws < stable_rate).sum()))
    if world.shadow:
        alone = rng.random(on_stable) >= 0.7
        draws[alone] = rng.random(int(alone.sum()))
        _add(counts, (revision, "shadow"), on_stable, int((draws < candidate_rate).sum()))


def _label(world: World, rng: np.random.Generator, pairs: dict[int, PairTotals], revision: int) -> None:
    only_stable = (world.discordance + world.loss) / 2
    only_candidate = (world.discordance - world.loss) / 2
    chances = [0.9 - only_stable, only_stable, only_candidate, 0.1 - only_candidate]
    drawn = PairCounts(*map(int, rng.multinomial(world.labelled, chances)))
    # Labels come late: half of them are for requests of the revision before.
    owner = max(revision - int(rng.integers(0, 2)), 2)
    former = pairs.get(owner, PairTotals("m", owner, "1", "2"))
    pairs[owner] = PairTotals(
        "m",
        owner,
        "1",
        "2",
        former.both_right + drawn.both_right,
        former.only_stable + drawn.only_stable,
        former.only_candidate + drawn.only_candidate,
        former.both_wrong + drawn.both_wrong,
    )


def _add(counts: dict[tuple[int, str], ArmCounts], key: tuple[int, str], requests: int, errors: int) -> None:
    former = counts.get(key, ArmCounts())
    counts[key] = ArmCounts(former.requests + requests, former.errors + errors)
