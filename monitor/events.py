"""Events as receivers see them: valid CloudEvents 1.0 and valid Standard Webhooks payloads at once.

Rules: an event is made once and its bytes never change; its id follows from what it tells (the same log gives
the same ids) and has no dot in it; `sequence` orders all events of one monitor. Fields are only ever added.
Schemas of the data, by type, are served at /v1/schemas.
"""

import base64
import hashlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from groundwork.dates import rfc3339
from monitor.blocks import Mark
from monitor.incidents import Finding, Incident
from monitor.traces import span_id, trace_id, traceparent


class Window(msgspec.Struct, frozen=True, kw_only=True, rename={"start": "from", "end": "to"}):
    """A stretch of the log: record times (RFC 3339) and offsets, both ends included."""

    start: str
    end: str
    offset_from: str
    offset_to: str


class SignalData(msgspec.Struct, frozen=True):
    """One signal at fault; evidence and threshold are natural logarithms."""

    name: str
    group: str
    evidence: float
    threshold: float
    effect: float
    event: str
    rate_before: float
    rate_after: float
    rows: int
    since: str


class DriftData(msgspec.Struct, frozen=True, kw_only=True):
    """drift.detected and drift.resolved: what changed, since when, and how sure that is."""

    model: str
    version: str
    digest: str
    incident: str
    state: str
    reason: str
    groups: tuple[str, ...]
    evidence: float
    threshold: float
    budget_rows: float
    signals: tuple[SignalData, ...]
    window: Window
    rows: int
    """Rows that this version predicted so far."""
    labelled: int
    """Those of them that have a label which could be compared."""
    traces: tuple[str, ...] = ()
    """Trace ids of some of the newest rows at the first alarm, of those that carried one."""


class RetrainData(msgspec.Struct, frozen=True, kw_only=True):
    """retrain.requested: everything a training job needs to begin, and to know that it has begun already."""

    model: str
    version: str
    digest: str
    reason: str
    incident: str
    dedupe_key: str
    groups: tuple[str, ...]
    evidence: float
    threshold: float
    signals: tuple[SignalData, ...]
    window: Window
    rows: int
    """Rows that this version predicted so far."""
    labelled: int
    """Those of them that have a label which could be compared."""
    labelled_since_onset: int
    accuracy: float | None
    expires: str
    traces: tuple[str, ...] = ()
    """As in drift.detected."""


class RolloutData(msgspec.Struct, frozen=True, kw_only=True):
    """rollout.*: one row of the rollouts' history."""

    model: str
    revision: int
    verb: str
    actor: str
    reason: str
    verdict: str
    n: int
    evidence: Mapping[str, float | int | str | None]
    rollout: str | None
    history: int
    at: str


class TestData(msgspec.Struct, frozen=True):
    """webhook.test: nothing happened."""

    test: bool = True


DATA: Final[Mapping[str, type[msgspec.Struct]]] = {
    "drift.detected": DriftData,
    "drift.resolved": DriftData,
    "retrain.requested": RetrainData,
    "rollout.*": RolloutData,
    "webhook.test": TestData,
}
"""Type, or family of types, -> what `data` is."""


class Envelope(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The CloudEvents attributes, those of its tracing extension, and what Standard Webhooks adds."""

    specversion: str
    id: str
    source: str
    type: str
    subject: str
    time: str
    timestamp: str
    datacontenttype: str
    dataschema: str
    sequence: str
    partitionkey: str
    traceparent: str
    data: Any


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """An event before it is numbered: `time` is unix ns, `expires` too (None: never).

    Events with the same `about` (an incident, a rollout) are one trace; empty: it is one of its own.
    """

    id: str
    type: str
    model: str
    subject: str
    time: int
    data: msgspec.Struct
    expires: int | None = None
    about: str = ""


def event_id(*parts: object) -> str:
    """`evt_` and 26 letters that follow from the parts alone."""
    digest = hashlib.sha256("\n".join(str(part) for part in parts).encode()).digest()
    return "evt_" + base64.b32encode(digest[:16]).decode().rstrip("=").lower()


def encode(event: Event, *, source: str, sequence: int) -> bytes:
    """The bytes that are stored, signed and sent."""
    family = event.type.split(".")[0]
    schema = event.type if event.type in DATA else f"{family}.*"
    return msgspec.json.encode(
        Envelope(
            specversion="1.0",
            id=event.id,
            source=source,
            type=event.type,
            subject=event.subject,
            time=rfc3339(event.time),
            timestamp=rfc3339(event.time),
            datacontenttype="application/json",
            dataschema=f"/v1/schemas/{schema}",
            sequence=f"{sequence:020d}",
            partitionkey=event.model or event.type,
            traceparent=traceparent(trace_id(event.about or event.id), span_id(event.id)),
            data=event.data,
        )
    )


def schemas() -> dict[str, Any]:
    """The JSON schema of `data` by type or family of types."""
    return {name: msgspec.json.schema(kind) for name, kind in DATA.items()}


def window(start: Mark, end: Mark) -> Window:
    """The stretch between two marks."""
    return Window(
        start=rfc3339(start.time),
        end=rfc3339(end.time),
        offset_from=f"{start.segment:06d}:{start.row}",
        offset_to=f"{end.segment:06d}:{end.row}",
    )


def signals(incident: Incident) -> tuple[SignalData, ...]:
    """The incident's findings as receivers see them."""
    return tuple(_signal(finding, incident.threshold) for finding in incident.findings)


def _signal(finding: Finding, threshold: float) -> SignalData:
    effect = finding.effect
    return SignalData(
        name=finding.signal,
        group=finding.group,
        evidence=round(finding.evidence, 3),
        threshold=round(threshold, 3),
        effect=round(effect.size, 6),
        event=effect.event,
        rate_before=round(effect.before, 6),
        rate_after=round(effect.after, 6),
        rows=effect.rows,
        since=rfc3339(effect.onset.time),
    )
