"""What the monitor knows as its API tells it: JSON with names, and times that people and scripts can read.

Stored forms are short and in nanoseconds; none of them is told as it is stored. A time is RFC 3339 in UTC, or
null where there is none; a place in the log is an object. Fields are only ever added.
"""

import msgspec

from groundwork.dates import rfc3339
from monitor.blocks import Mark
from monitor.incidents import Finding, Incident
from monitor.outbox import PENDING, Attempt, Delivery


class Place(msgspec.Struct, frozen=True):
    """A place in a version's stream: record time, rows of it up to there, offset in the log."""

    time: str | None
    rows: int
    offset: str


class EffectView(msgspec.Struct, frozen=True):
    """What changed: its size, the event's share before and after, over how many rows, since when."""

    size: float
    event: str
    before: float
    after: float
    rows: int
    onset: Place


class FindingView(msgspec.Struct, frozen=True):
    """One signal at fault; evidence in nats."""

    signal: str
    group: str
    evidence: float
    effect: EffectView


class IncidentView(msgspec.Struct, frozen=True, kw_only=True):
    """An incident; every field means what it means in `monitor.incidents.Incident`."""

    id: str
    model: str
    version: str
    state: str
    opened: Place
    onset: Place
    latest: Place
    alarms: int
    over: bool
    groups: tuple[str, ...]
    findings: tuple[FindingView, ...]
    evidence: float
    threshold: float
    low_since: int | None
    resolved: Place | None
    reason: str
    trigger: str
    traces: tuple[str, ...]


class AttemptView(msgspec.Struct, frozen=True):
    """One try to deliver: when, what came of it (a status, or 0 without an answer), a line, milliseconds."""

    at: str
    status: int
    said: str
    took_ms: int


class DeliveryView(msgspec.Struct, frozen=True, kw_only=True):
    """One event for one endpoint; `next_at` is when the next attempt is due, null for now or never."""

    sequence: int
    event: str
    type: str
    model: str
    endpoint: str
    state: str
    attempts: int
    next_at: str | None
    expires: str | None
    time: str
    history: tuple[AttemptView, ...]


class Sent(msgspec.Struct, frozen=True):
    """How an event stands with one endpoint."""

    endpoint: str
    state: str


class RetrainView(msgspec.Struct, frozen=True, kw_only=True):
    """A request to retrain: the event as it was sent, to whom, and the latest report with its time."""

    id: str
    time: str
    event: msgspec.Raw
    report: msgspec.Raw | None
    reported: str | None
    deliveries: tuple[Sent, ...]


def time_of(time: int | None) -> str | None:
    """Unix ns as text; None for none, and for 0, which is stored where there is none."""
    return rfc3339(time) if time else None


def incident(found: Incident) -> IncidentView:
    """An incident as it is told."""
    return IncidentView(
        id=found.id,
        model=found.model,
        version=found.version,
        state=found.state,
        opened=_place(found.opened),
        onset=_place(found.onset),
        latest=_place(found.latest),
        alarms=found.alarms,
        over=found.over,
        groups=found.groups,
        findings=tuple(_finding(one) for one in found.findings),
        evidence=found.evidence,
        threshold=found.threshold,
        low_since=found.low_since,
        resolved=None if found.resolved is None else _place(found.resolved),
        reason=found.reason,
        trigger=found.trigger,
        traces=found.traces,
    )


def delivery(found: Delivery) -> DeliveryView:
    """A delivery as it is told."""
    return DeliveryView(
        sequence=found.sequence,
        event=found.event,
        type=found.type,
        model=found.model,
        endpoint=found.endpoint,
        state=found.state,
        attempts=found.attempts,
        next_at=time_of(found.next_at) if found.state == PENDING else None,
        expires=time_of(found.expires),
        time=rfc3339(found.time),
        history=tuple(_attempt(one) for one in found.history),
    )


def _place(mark: Mark) -> Place:
    return Place(time_of(mark.time), mark.rows, f"{mark.segment:06d}:{mark.row}")


def _finding(found: Finding) -> FindingView:
    effect = found.effect
    what = EffectView(
        effect.size, effect.event, effect.before, effect.after, effect.rows, _place(effect.onset)
    )
    return FindingView(found.signal, found.group, found.evidence, what)


def _attempt(found: Attempt) -> AttemptView:
    return AttemptView(rfc3339(found.at), found.status, found.said, found.took_ms)
