"""What becomes of alarms: one incident opens, gathers those that follow, and ends. A pure function.

An incident opens with an alarm, gathers every alarm that follows, and ends when the evidence stayed below a
hundredth of the budget for `gather_rows` rows – or when its version is not used any more. So an alarm within
`gather_rows` rows of the last is the same incident, never a second one.
"""

import hashlib
import math
import typing
from typing import Final, Literal

import msgspec

from monitor.blocks import Mark
from monitor.detectors.detector import Effect

State = Literal["open", "resolved"]
STATES: Final[tuple[State, ...]] = typing.get_args(State)
LOW: Final = math.log(100.0)
"""Nats below the threshold at which evidence counts as gone."""


class Finding(msgspec.Struct, frozen=True):
    """One signal at fault: which, how strong (nats), and what changed."""

    signal: str
    group: str
    evidence: float
    effect: Effect


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """A change of one version's data, from its first alarm to its end.

    `onset` is where the strongest signal was last quiet. `low_since` is the row count at which the evidence
    fell low, None while it is not. `trigger` is the id of the retrain request, empty without one. `traces`
    are trace ids of some of the newest rows at the first alarm.
    """

    id: str
    model: str
    version: str
    state: State = "open"
    opened: Mark
    onset: Mark
    latest: Mark
    alarms: int = 1
    over: bool = True
    groups: tuple[str, ...]
    findings: tuple[Finding, ...]
    evidence: float
    threshold: float
    low_since: int | None = None
    resolved: Mark | None = None
    reason: str = ""
    trigger: str = ""
    traces: tuple[str, ...] = ()


class Reading(msgspec.Struct, frozen=True):
    """What the evidence level says after a block: ln evidence, and at an alarm who is at fault."""

    mark: Mark
    evidence: float
    threshold: float
    groups: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def alarm(self) -> bool:
        """Whether the evidence reached the budget."""
        return self.evidence >= self.threshold


Change = Literal["none", "opened", "gathered", "resolved"]


def consider(
    incident: Incident | None, reading: Reading, *, model: str, version: str, gather_rows: int
) -> tuple[Incident | None, Change]:
    """The incident after this reading, and what happened to it."""
    if incident is None or incident.state == "resolved":
        if not reading.alarm:
            return incident, "none"
        return _open(reading, model, version), "opened"
    if reading.alarm:
        return _gather(incident, reading), "none" if incident.over else "gathered"
    return _fade(incident, reading, gather_rows)


def abandon(incident: Incident, mark: Mark, reason: str) -> Incident:
    """The incident ended for a reason other than its evidence."""
    return msgspec.structs.replace(incident, state="resolved", resolved=mark, reason=reason, over=False)


def _open(reading: Reading, model: str, version: str) -> Incident:
    first = min((finding.effect.onset for finding in reading.findings[:1]), default=reading.mark, key=_time)
    return Incident(
        id=incident_id(model, version, reading.mark),
        model=model,
        version=version,
        opened=reading.mark,
        onset=first,
        latest=reading.mark,
        groups=reading.groups,
        findings=reading.findings,
        evidence=reading.evidence,
        threshold=reading.threshold,
    )


def _gather(incident: Incident, reading: Reading) -> Incident:
    return msgspec.structs.replace(
        incident,
        latest=reading.mark,
        alarms=incident.alarms + (not incident.over),
        over=True,
        groups=tuple(sorted({*incident.groups, *reading.groups})),
        findings=reading.findings,
        evidence=max(incident.evidence, reading.evidence),
        low_since=None,
    )


def _fade(incident: Incident, reading: Reading, gather_rows: int) -> tuple[Incident, Change]:
    if reading.evidence > reading.threshold - LOW:
        return msgspec.structs.replace(incident, over=False, low_since=None), "none"
    since = reading.mark.rows if incident.low_since is None else incident.low_since
    if reading.mark.rows - since < gather_rows:
        return msgspec.structs.replace(incident, over=False, low_since=since), "none"
    ended = msgspec.structs.replace(incident, low_since=since)
    return abandon(ended, reading.mark, "the evidence is gone"), "resolved"


def incident_id(model: str, version: str, mark: Mark) -> str:
    """The same incident of the same log always has the same id."""
    text = f"{model}\n{version}\n{mark.rows}\n{mark.segment}:{mark.row}"
    return "inc_" + hashlib.sha256(text.encode()).hexdigest()[:20]


def _time(mark: Mark) -> int:
    return mark.time
