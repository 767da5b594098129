"""What a metric of the judge is.

A metric is one class in one file of `rollouts.metrics` and one line in the judge's table. It keeps a small
state, is told of each tick's *new* counts by stratum, and answers with a verdict on both sides. It must be
pure: equal states and ticks give equal verdicts, and a state survives being written and read back to the
last bit.
"""

import math
from typing import Protocol, TypeVar

import msgspec

from rollouts.errors import SpecError
from rollouts.evidence import ArmCounts
from rollouts.rollout import Errors, MetricSpec
from rollouts.verdict import Call, Verdict

S = TypeVar("S", bound=msgspec.Struct)


class PairCounts(msgspec.Struct, frozen=True):
    """Labelled pairs by who was right."""

    both_right: int = 0
    only_stable: int = 0
    only_candidate: int = 0
    both_wrong: int = 0

    @property
    def pairs(self) -> int:
        """All of them."""
        return self.both_right + self.only_stable + self.only_candidate + self.both_wrong


class Tick(msgspec.Struct, frozen=True):
    """What is new in one stratum: the requests of one route revision.

    `offset` is that revision minus the rollout's first one. Weights are constant within a stratum. Pair
    counts are negative where a monitor began anew and has read less than the one before.
    """

    offset: int
    stable: ArmCounts = ArmCounts()
    candidate: ArmCounts = ArmCounts()
    shadow: ArmCounts = ArmCounts()
    pairs: PairCounts = PairCounts()


class Settings(msgspec.Struct, frozen=True):
    """A metric's numbers with every default filled in; thresholds are ln e-values."""

    metric: str
    margin: float
    floor: float
    cap: float
    required: bool
    weight: float
    fail_threshold: float
    pass_threshold: float


class Metric(Protocol[S]):
    """The interface of a metric, frozen."""

    name: str
    needs_monitor: bool
    """Whether its counts come from the monitor rather than from the gateway itself."""
    defaults: MetricSpec
    """Its own values; a number that is None here is one it does not know and refuses."""
    largest_margin: float
    """A margin above this is no margin and is refused."""
    state: type[S]

    def start(self, settings: Settings) -> S:
        """Return the state before any evidence."""
        ...

    def update(self, state: S, tick: Tick) -> S:
        """Return the state after one stratum's new counts."""
        ...

    def verdict(self, state: S, settings: Settings) -> Verdict:
        """Return what is proven so far; with no data OPEN and evidence 0 on both sides."""
        ...


def settle(metric: Metric[S], spec: MetricSpec, errors: Errors, all_weights: float) -> Settings:
    """Return a metric's settings under a specification.

    A metric that carries the share w of all weights fails by itself at 1 / (alpha w), which is where it alone
    brings the weighted average of all metrics to 1 / alpha.

    Raises:
        SpecError: The specification sets a number that this metric does not know, or a margin that is none.
    """
    weight = spec.weight / all_weights
    margin = _number(metric, spec, "margin")
    if margin > metric.largest_margin:
        raise SpecError(
            f"metric {metric.name}: a margin of at most {metric.largest_margin:g} was wanted, "
            f"{margin:g} found; lower it"
        )
    return Settings(
        metric=metric.name,
        margin=margin,
        floor=_number(metric, spec, "floor"),
        cap=_number(metric, spec, "cap"),
        required=spec.required,
        weight=weight,
        fail_threshold=-math.log(errors.rollback_alpha * weight),
        pass_threshold=-math.log(errors.promote_beta),
    )


def _number(metric: Metric[S], spec: MetricSpec, name: str) -> float:
    written: float | None = getattr(spec, name)
    default: float | None = getattr(metric.defaults, name)
    if default is None and written is not None:
        raise SpecError(
            f"metric {metric.name}: it has no {name}, {name}: {written} was found; remove the line"
        )
    return float(written if written is not None else default or 0.0)


def call(settings: Settings, fail_evidence: float, pass_evidence: float) -> Call:
    """Return the verdict two sides of evidence amount to; FAIL comes first."""
    if fail_evidence >= settings.fail_threshold:
        return Call.FAIL
    return Call.PASS if pass_evidence >= settings.pass_threshold else Call.OPEN


def judged(
    settings: Settings,
    evidence: tuple[float, float],
    *,
    n: int,
    unit: str,
    detail: dict[str, float | int],
    reason: str,
) -> Verdict:
    """Return the verdict on the evidence (to fail, to pass) that `n` units gave."""
    fail, passed = evidence
    return Verdict(
        metric=settings.metric,
        verdict=call(settings, fail, passed),
        fail_evidence=fail,
        fail_threshold=settings.fail_threshold,
        pass_evidence=passed,
        pass_threshold=settings.pass_threshold,
        n=n,
        unit=unit,
        required=settings.required,
        weight=settings.weight,
        detail=detail,
        reason=reason,
    )


def proof(settings: Settings, fail_evidence: float, pass_evidence: float) -> str:
    """Return the evidence in words: what was reached, or how far each side is from being proven."""
    said = call(settings, fail_evidence, pass_evidence)
    if said is Call.FAIL:
        return f"evidence {fail_evidence:.1f} ≥ {settings.fail_threshold:.1f}"
    if said is Call.PASS:
        return f"evidence {pass_evidence:.1f} ≥ {settings.pass_threshold:.1f}"
    return (
        f"evidence {pass_evidence:.1f} of {settings.pass_threshold:.1f} to pass, "
        f"{fail_evidence:.1f} of {settings.fail_threshold:.1f} to fail"
    )


def grouped(number: int) -> str:
    """Return a whole number with its digits in threes: 1 012."""
    return f"{number:,}".replace(",", " ")
