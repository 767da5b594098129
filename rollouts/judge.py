"""The judge: absolute totals in, verdicts out.

Pure and frozen as an interface: `judge(rollout, state, seen, observation)` takes the differences between
what was observed and what it has seen, hands each stratum's new counts to every metric of the
specification, and returns the next state together with the totals which that state contains. The two are
kept together (one checkpoint), so nothing is counted twice or lost with a worker. It decides nothing about
the rollout and reads no clock.
"""

import math
from collections.abc import Mapping, Sequence
from pkgutil import resolve_name
from typing import Any, Final

import msgspec
import numpy as np

from groundwork import decoders
from rollouts import betting
from rollouts.errors import EvidenceError, SpecError
from rollouts.evidence import ArmCounts, Counts, Observation, PairTotals, Seen, counts_for
from rollouts.metric import Metric, PairCounts, Settings, Tick, settle
from rollouts.rollout import Rollout, RolloutSpec
from rollouts.verdict import Verdict

METRICS: Final[Mapping[str, str]] = {
    "error-rate": "rollouts.metrics.error_rate:ErrorRate",
    "accuracy": "rollouts.metrics.accuracy:Accuracy",
}

State = dict[str, Any]
"""Each metric's own state, by metric name."""

Strata = dict[tuple[int, str], ArmCounts]

_VERSION: Final = 1


class _Checkpoint(msgspec.Struct, frozen=True):
    """How a state is written: a version, and each metric's state encoded by itself."""

    metrics: dict[str, msgspec.Raw]
    version: int = _VERSION


def metric(name: str) -> Metric[Any]:
    """Return a metric of the table.

    Raises:
        SpecError: No metric has this name.
    """
    if name not in METRICS:
        raise SpecError(f"metric {name!r}: one of {', '.join(sorted(METRICS))} was wanted; correct the name")
    found: Metric[Any] = resolve_name(METRICS[name])()
    return found


def settings(spec: RolloutSpec) -> tuple[Settings, ...]:
    """Return every metric's settings with defaults filled in, in the specification's order."""
    all_weights = math.fsum(one.weight for one in spec.metrics)
    return tuple(settle(metric(one.name), one, spec.decision, all_weights) for one in spec.metrics)


def begin(spec: RolloutSpec) -> tuple[State, Seen]:
    """Return the state before any evidence."""
    return {one.metric: metric(one.metric).start(one) for one in settings(spec)}, Seen()


def judge(
    rollout: Rollout, state: State, seen: Seen, observation: Observation
) -> tuple[State, Seen, tuple[Verdict, ...]]:
    """Return the next state, the totals it has now seen, and one verdict per metric of the spec.

    An observation that repeats or lags what was seen changes nothing. About 1 ms with ten strata.
    """
    fresh, counts = _new_counts(rollout, seen.counts, observation)
    new_pairs, pairs = _new_pairs(rollout, seen.pairs, observation)
    ticks = _ticks(rollout, fresh, new_pairs)
    following: State = {}
    verdicts = []
    for one in settings(rollout.spec):
        entry = metric(one.metric)
        mine = state[one.metric]
        for tick in ticks:
            mine = entry.update(mine, tick)
        following[one.metric] = mine
        verdicts.append(entry.verdict(mine, one))
    return following, Seen(counts=counts, pairs=pairs), tuple(verdicts)


class Rollback(msgspec.Struct, frozen=True):
    """All metrics' evidence for going back, as one e-value (ln), and which metric contributes most."""

    evidence: float
    threshold: float
    leading: Verdict | None = None

    @property
    def reached(self) -> bool:
        """Whether the regression is proven."""
        return self.evidence >= self.threshold


def rollback(verdicts: Sequence[Verdict], alpha: float) -> Rollback:
    """Return the weighted average of the metrics' e-values against 1 / alpha.

    An average of e-values is one under any dependence between the metrics, so the chance that a candidate
    within every margin is ever rolled back stays at most alpha for the whole rollout.
    """
    if not verdicts:
        return Rollback(evidence=betting.NO_EVIDENCE, threshold=-math.log(alpha))
    parts = np.array([one.fail_evidence + math.log(one.weight) for one in verdicts])
    leading = verdicts[int(parts.argmax())]
    return Rollback(evidence=betting.log_sum(parts), threshold=-math.log(alpha), leading=leading)


def encode(state: State, seen: Seen) -> tuple[bytes, bytes]:
    """Return a state and the totals it has seen as bytes for one checkpoint."""
    raw = {name: msgspec.Raw(msgspec.msgpack.encode(mine)) for name, mine in state.items()}
    return msgspec.msgpack.encode(_Checkpoint(metrics=raw)), msgspec.msgpack.encode(seen)


def decode(spec: RolloutSpec, state: bytes, seen: bytes) -> tuple[State, Seen]:
    """Return what `encode` wrote, bit for bit.

    Raises:
        EvidenceError: The bytes are damaged, newer than this program, or of another specification.
    """
    try:
        checkpoint = decoders.msgpack_of(_Checkpoint).decode(state)
        if checkpoint.version != _VERSION:
            raise EvidenceError(
                f"evidence checkpoint: version {_VERSION} was wanted, {checkpoint.version} found; "
                "it was written by another release, upgrade this one"
            )
        names = [one.name for one in spec.metrics]
        metrics = {
            name: decoders.msgpack_of(metric(name).state).decode(checkpoint.metrics[name]) for name in names
        }
        return metrics, decoders.msgpack_of(Seen).decode(seen)
    except (msgspec.DecodeError, KeyError) as error:
        raise EvidenceError(
            f"evidence checkpoint: it cannot be read ({error}); the rollout's evidence starts anew"
        ) from error


def _new_counts(rollout: Rollout, seen: Counts, observation: Observation) -> tuple[Strata, Counts]:
    """Return what is new by stratum, and the totals seen now. A total never goes down."""
    fresh: Strata = {}
    counts: Counts = {incarnation: dict(strata) for incarnation, strata in seen.items()}
    for incarnation, strata in observation.counts.items():
        mine = counts.setdefault(incarnation, {})
        for stratum, now in strata.items():
            if not counts_for(rollout, stratum[0]):
                continue
            before = mine.get(stratum, ArmCounts())
            after = ArmCounts(max(now.requests, before.requests), max(now.errors, before.errors))
            sum_ = fresh.get(stratum, ArmCounts())
            fresh[stratum] = ArmCounts(
                sum_.requests + after.requests - before.requests, sum_.errors + after.errors - before.errors
            )
            mine[stratum] = after
    return fresh, counts


def _new_pairs(
    rollout: Rollout, seen: dict[int, PairTotals], observation: Observation
) -> tuple[dict[int, PairCounts], dict[int, PairTotals]]:
    """Return new pairs by revision (negative where a monitor began anew), and the totals seen now."""
    fresh: dict[int, PairCounts] = {}
    pairs = dict(seen)
    for total in observation.pairs:
        ours = (total.model, total.stable, total.candidate)
        if ours != (rollout.model, rollout.stable, rollout.candidate) or not counts_for(
            rollout, total.revision
        ):
            continue
        before = pairs.get(total.revision)
        fresh[total.revision] = PairCounts(
            *(
                getattr(total, field) - (getattr(before, field) if before is not None else 0)
                for field in PairCounts.__struct_fields__
            )
        )
        pairs[total.revision] = total
    return fresh, pairs


def _ticks(rollout: Rollout, fresh: Strata, pairs: dict[int, PairCounts]) -> list[Tick]:
    revisions = sorted({revision for revision, _ in fresh} | set(pairs))
    return [
        Tick(
            offset=revision - rollout.first_revision,
            stable=fresh.get((revision, "stable"), ArmCounts()),
            candidate=fresh.get((revision, "candidate"), ArmCounts()),
            shadow=fresh.get((revision, "shadow"), ArmCounts()),
            pairs=pairs.get(revision, PairCounts()),
        )
        for revision in revisions
    ]
