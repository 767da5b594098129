"""Error rate: does the candidate fail more often than stable does, by more than the margin?

FAIL needs two proofs at once, and the weaker one counts: the candidate's rate exceeds `margin` times
stable's, and it exceeds `floor` (nobody is rolled back for 0.001 % against 0.004 %). PASS needs one of two,
each on half the stake: the rate is below `margin` times stable's, or below `cap` whatever stable's is.

Both arms are compared only within a route revision, so changing weights and shared outages cancel out. Shadow
runs count as the candidate's; a shadow and the answer it was paired with may depend on each other, which only
makes both sides more careful (docs/rollouts.md has the proof).
"""

import math
from collections.abc import Iterable
from typing import Final

import msgspec
import numpy as np
from msgspec.structs import replace

from rollouts import betting
from rollouts.evidence import ArmCounts
from rollouts.metric import Settings, Tick, call, grouped, judged, proof
from rollouts.rollout import MetricSpec
from rollouts.verdict import Verdict

ENOUGH: Final = 5
"""Requests each arm must have before a block is bet on. Fewer would waste evidence, never validity."""

_HALF: Final = math.log(0.5)


class Stratum(msgspec.Struct, frozen=True):
    """One route revision: what is waiting for its block to fill, what is counted, and ln capital by bet."""

    waiting: tuple[ArmCounts, ArmCounts] = (ArmCounts(), ArmCounts())
    candidate: ArmCounts = ArmCounts()
    stable: ArmCounts = ArmCounts()
    worse: tuple[float, ...] = (0.0,) * len(betting.WORSE_RATIOS.grid)
    better: tuple[float, ...] = (0.0,) * len(betting.BETTER_RATIOS.grid)


class ErrorRateState(msgspec.Struct, frozen=True):
    """The strata by offset; the margin is kept because the capital was bet against it."""

    margin: float
    strata: dict[int, Stratum] = {}


class ErrorRate:
    """The metric "error-rate"."""

    name = "error-rate"
    needs_monitor = False
    defaults = MetricSpec(name="error-rate", margin=1.25, floor=0.001, cap=0.01)
    largest_margin = 100.0
    state = ErrorRateState

    def start(self, settings: Settings) -> ErrorRateState:
        """Return the state before any request."""
        return ErrorRateState(margin=settings.margin)

    def update(self, state: ErrorRateState, tick: Tick) -> ErrorRateState:
        """Return the state after a stratum's new requests; a block is bet once both arms have five."""
        candidate = plus(tick.candidate, tick.shadow)
        former = state.strata.get(tick.offset, Stratum())
        if not (candidate.requests or candidate.errors or tick.stable.requests or tick.stable.errors):
            return state
        grown = _bet(
            replace(
                former,
                waiting=(plus(former.waiting[0], candidate), plus(former.waiting[1], tick.stable)),
                candidate=plus(former.candidate, candidate),
                stable=plus(former.stable, tick.stable),
            ),
            state.margin,
        )
        return replace(state, strata={**state.strata, tick.offset: grown})

    def verdict(self, state: ErrorRateState, settings: Settings) -> Verdict:
        """Return the verdict; `n` counts the candidate's requests, answered or in shadow."""
        strata = sorted(state.strata.items())
        candidate = total(stratum.candidate for _, stratum in strata)
        stable = total(stratum.stable for _, stratum in strata)
        fail = _fail_evidence(strata, settings)
        passed = _pass_evidence(strata, candidate, settings)
        return judged(
            settings,
            (fail, passed),
            n=candidate.requests,
            unit="candidate requests",
            detail={
                "candidate_requests": candidate.requests,
                "candidate_errors": candidate.errors,
                "stable_requests": stable.requests,
                "stable_errors": stable.errors,
            },
            reason=_sentence(candidate, stable, settings, fail, passed),
        )


def plus(one: ArmCounts, other: ArmCounts) -> ArmCounts:
    """Return the sum of two counts."""
    return ArmCounts(one.requests + other.requests, one.errors + other.errors)


def total(counts: Iterable[ArmCounts]) -> ArmCounts:
    """Return the sum of counts; errors never exceed requests, however the two were read."""
    requests = errors = 0
    for one in counts:
        requests += one.requests
        errors += one.errors
    return ArmCounts(max(requests, errors), errors)


def _bet(stratum: Stratum, margin: float) -> Stratum:
    candidate, stable = stratum.waiting
    if min(candidate.requests, stable.requests) < ENOUGH:
        return stratum
    exposure, events = (candidate.requests, stable.requests), (candidate.errors, stable.errors)
    worse = betting.ratio_growth(betting.WORSE_RATIOS, margin, exposure, events)
    better = betting.ratio_growth(betting.BETTER_RATIOS, margin, exposure, events)
    return replace(
        stratum,
        waiting=(ArmCounts(), ArmCounts()),
        worse=tuple((np.array(stratum.worse) + worse).tolist()),
        better=tuple((np.array(stratum.better) + better).tolist()),
    )


def _fail_evidence(strata: list[tuple[int, Stratum]], settings: Settings) -> float:
    """Return the weaker of the two proofs, each a mixture over the stratum at which betting began."""
    ratio: list[tuple[int, float]] = []
    floor: list[tuple[int, float]] = []
    capital = np.zeros_like(betting.WORSE_RATIOS.grid)
    seen = ArmCounts()
    for offset, stratum in reversed(strata):
        capital = capital + np.array(stratum.worse)
        seen = total((seen, stratum.candidate))
        ratio.append((offset, betting.WORSE_RATIOS.mixture(capital)))
        if settings.floor:
            evidence = betting.rate_evidence(betting.HIGHER_RATES, settings.floor, seen.requests, seen.errors)
            floor.append((offset, evidence))
    above_margin = betting.restarted(ratio[::-1])
    return min(above_margin, betting.restarted(floor[::-1])) if settings.floor else above_margin


def _pass_evidence(strata: list[tuple[int, Stratum]], candidate: ArmCounts, settings: Settings) -> float:
    """Return the average of the two proofs that one would be enough for, or the ratio's where cap is 0."""
    capital = np.zeros_like(betting.BETTER_RATIOS.grid)
    for _, stratum in strata:
        capital = capital + np.array(stratum.better)
    ratio = betting.BETTER_RATIOS.mixture(capital)
    if not settings.cap:
        return ratio
    capped = betting.rate_evidence(betting.LOWER_RATES, settings.cap, candidate.requests, candidate.errors)
    return betting.log_sum(np.array([ratio, capped]) + _HALF)


def _sentence(candidate: ArmCounts, stable: ArmCounts, settings: Settings, fail: float, passed: float) -> str:
    said = call(settings, fail, passed)
    if not candidate.requests:
        return f"error-rate {said}: the candidate has had no request yet"
    return (
        f"error-rate {said}: {_rate(candidate)} for the candidate, {_rate(stable)} for stable, "
        f"margin {settings.margin:g} times; {proof(settings, fail, passed)}"
    )


def _rate(counts: ArmCounts) -> str:
    if not counts.requests:
        return "no requests"
    rate = 100 * counts.errors / counts.requests
    return f"{grouped(counts.errors)} of {grouped(counts.requests)} requests ({rate:.3g} %)"
