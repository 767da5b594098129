"""Accuracy: on requests that both versions answered and somebody labelled, is the candidate right as often?

Each pair gives d = candidate right - stable right, one of -1, 0, +1. With a margin of m (0.02: two points),
FAIL proves E[d] < -m and PASS proves E[d] > -m, by bets whose capital depends on the counts alone: the
order in which labels arrive and restarts do not matter. A pair's stratum is the revision that answered the
request, not the time its label came. Labels must not be more likely to exist for one arm than
for the other.
"""

import msgspec
from msgspec.structs import replace

from rollouts import betting
from rollouts.metric import PairCounts, Settings, Tick, call, grouped, judged, proof
from rollouts.rollout import MetricSpec
from rollouts.verdict import Verdict


class AccuracyState(msgspec.Struct, frozen=True):
    """All labelled pairs by stratum offset: the whole state."""

    strata: dict[int, PairCounts] = {}


class Accuracy:
    """The metric "accuracy"."""

    name = "accuracy"
    needs_monitor = True
    defaults = MetricSpec(name="accuracy", margin=0.02)
    largest_margin = 0.5
    state = AccuracyState

    def start(self, settings: Settings) -> AccuracyState:  # noqa: ARG002  the interface gives every metric its settings
        """Return the state before any label."""
        return AccuracyState()

    def update(self, state: AccuracyState, tick: Tick) -> AccuracyState:
        """Return the state after a stratum's new pairs."""
        if tick.pairs == PairCounts():
            return state
        grown = plus(state.strata.get(tick.offset, PairCounts()), tick.pairs)
        return replace(state, strata={**state.strata, tick.offset: grown})

    def verdict(self, state: AccuracyState, settings: Settings) -> Verdict:
        """Return the verdict; `n` counts labelled pairs."""
        pairs = PairCounts()
        suffixes = []
        for offset, counts in sorted(state.strata.items(), reverse=True):
            pairs = plus(pairs, counts)
            worse, better = pairs.only_stable, pairs.only_candidate
            same = pairs.both_right + pairs.both_wrong
            # "mean of d >= -m" turned round: "mean of -d <= m".
            evidence = betting.mean_evidence(betting.MEAN_BETS, settings.margin, (better, same, worse))
            suffixes.append((offset, evidence))
        fail = betting.restarted(suffixes[::-1])
        agreeing = pairs.both_right + pairs.both_wrong
        outcomes = (pairs.only_stable, agreeing, pairs.only_candidate)
        passed = betting.mean_evidence(betting.MEAN_BETS, -settings.margin, outcomes)
        return judged(
            settings,
            (fail, passed),
            n=pairs.pairs,
            unit="labelled pairs",
            detail=msgspec.structs.asdict(pairs),
            reason=_sentence(pairs, settings, fail, passed),
        )


def plus(one: PairCounts, other: PairCounts) -> PairCounts:
    """Return the sum of two counts."""
    return PairCounts(
        one.both_right + other.both_right,
        one.only_stable + other.only_stable,
        one.only_candidate + other.only_candidate,
        one.both_wrong + other.both_wrong,
    )


def _sentence(pairs: PairCounts, settings: Settings, fail: float, passed: float) -> str:
    said = call(settings, fail, passed)
    if not pairs.pairs:
        return f"accuracy {said}: there is no labelled pair yet"
    candidate = 100 * (pairs.both_right + pairs.only_candidate) / pairs.pairs
    stable = 100 * (pairs.both_right + pairs.only_stable) / pairs.pairs
    return (
        f"accuracy {said}: {grouped(pairs.pairs)} labelled pairs, candidate {candidate:.1f} % right, "
        f"stable {stable:.1f} %, margin {100 * settings.margin:g} points; {proof(settings, fail, passed)}"
    )
