"""What was counted: the numbers a judge sees.

Everything here is an absolute, cumulative total: of one worker incarnation for requests and errors, of the
whole log for labelled pairs. Taking differences is the judge's task, so a lost or repeated observation
harms nothing. `Seen` is what was judged so far; an incarnation that disappears keeps its last totals there.
"""

from collections.abc import Iterable, Mapping
from typing import Final, Literal

import msgspec

from groundwork.series import SeriesKey
from rollouts.rollout import Rollout
from rollouts.route import Route

Arm = Literal["stable", "candidate", "shadow", "pinned"]
Stratum = tuple[int, str]
"""(route revision, arm)."""

EVIDENCE_REQUESTS: Final = "evidence_requests_total"
EVIDENCE_ERRORS: Final = "evidence_errors_total"
"""Series of a worker's slot, labelled model, version, arm, revision."""


class ArmCounts(msgspec.Struct, frozen=True):
    """Requests of one arm under one revision and how many of them were errors."""

    requests: int = 0
    errors: int = 0


Counts = dict[int, dict[Stratum, ArmCounts]]
"""Totals by incarnation, then by stratum."""


class PairTotals(msgspec.Struct, frozen=True):
    """Labelled pairs of one revision by who was right, counted up to the log position `offset`."""

    model: str
    revision: int
    stable: str
    candidate: str
    both_right: int = 0
    only_stable: int = 0
    only_candidate: int = 0
    both_wrong: int = 0
    offset: str = ""

    @property
    def pairs(self) -> int:
        """All labelled pairs."""
        return self.both_right + self.only_stable + self.only_candidate + self.both_wrong


class Observation(msgspec.Struct, frozen=True):
    """What one tick read: totals by stratum for each incarnation, and the pair totals in the store."""

    counts: Mapping[int, Mapping[Stratum, ArmCounts]]
    pairs: tuple[PairTotals, ...] = ()


class Seen(msgspec.Struct, frozen=True):
    """What a judge's state already contains: request totals by incarnation, pair totals by revision."""

    counts: Counts = {}
    pairs: dict[int, PairTotals] = {}


def gather(
    slots: Mapping[int, Mapping[SeriesKey, int]], rollout: Rollout, pairs: Iterable[PairTotals] = ()
) -> Observation:
    """Return an observation from the series of each worker slot, by incarnation.

    The candidate's shadow runs count under the arm "shadow"; stable's own (beside answers of the candidate)
    are left out, and so is every other version and model.
    """
    counts: Counts = {}
    for incarnation, series in slots.items():
        for key, value in series.items():
            if key.name not in {EVIDENCE_REQUESTS, EVIDENCE_ERRORS}:
                continue
            stratum = _stratum(dict(key.labels), rollout)
            if stratum is not None:
                mine = counts.setdefault(incarnation, {})
                mine[stratum] = _with(mine.get(stratum, ArmCounts()), key.name, value)
    return Observation(counts=counts, pairs=tuple(pairs))


def _stratum(labels: Mapping[str, str], rollout: Rollout) -> Stratum | None:
    arm, version = labels.get("arm", ""), labels.get("version", "")
    wanted = rollout.stable if arm == "stable" else rollout.candidate
    if labels.get("model") != rollout.model or version != wanted or arm == "pinned":
        return None
    revision = int(labels["revision"])
    return (revision, arm) if counts_for(rollout, revision) else None


def _with(counts: ArmCounts, name: str, value: int) -> ArmCounts:
    if name == EVIDENCE_REQUESTS:
        return ArmCounts(counts.requests + value, counts.errors)
    return ArmCounts(counts.requests, counts.errors + value)


def counts_for(rollout: Rollout, revision: int) -> bool:
    """Return whether requests of a revision compare the rollout's two versions.

    From its first revision on; once promoted, no more, because the candidate then answers as stable.
    """
    ended = rollout.state in {"baking", "succeeded"} and revision >= rollout.step_revision
    return revision >= rollout.first_revision and not ended


def arm_total(seen: Seen, arm: Arm, since: int = 0) -> ArmCounts:
    """Return one arm's requests and errors over all incarnations, of revisions from `since` on."""
    requests = errors = 0
    for strata in seen.counts.values():
        for (revision, name), counts in strata.items():
            if name == arm and revision >= since:
                requests += counts.requests
                errors += counts.errors
    return ArmCounts(requests, errors)


def step_samples(rollout: Rollout, route: Route, seen: Seen) -> int:
    """Return what a hold's `samples` asks for: requests of this step that the candidate answered.

    While the candidate answers nobody (weight 0), its shadow runs are counted instead.
    """
    return arm_total(seen, "candidate" if route.weight else "shadow", rollout.step_revision).requests


def step_pairs(rollout: Rollout, seen: Seen) -> int:
    """Return what a hold's `pairs` asks for: labelled pairs of requests of this step."""
    return sum(total.pairs for revision, total in seen.pairs.items() if revision >= rollout.step_revision)
