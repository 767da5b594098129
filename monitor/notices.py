"""The events that follow from the log and from the history of rollouts: the same cause, the same event."""

from typing import Final, Literal

from groundwork.dates import rfc3339
from monitor.events import (
    DriftData,
    Event,
    RetrainData,
    RolloutData,
    event_id,
    signals,
    window,
)
from monitor.incidents import Incident
from monitor.policy import Asked
from monitor.settings import MonitorSettings
from monitor.watch import Watch
from rollouts.history import Entry

_NS: Final = 1_000_000_000
_LATEST: Final = 2**63 - 1


def drift(
    watch: Watch, incident: Incident, kind: Literal["detected", "resolved"], settings: MonitorSettings
) -> Event:
    """drift.detected or drift.resolved."""
    end = watch.mark if incident.resolved is None else incident.resolved
    data = DriftData(
        model=watch.model,
        version=watch.version,
        digest=watch.digest,
        incident=incident.id,
        state=incident.state,
        reason=incident.reason,
        groups=incident.groups,
        evidence=round(incident.evidence, 3),
        threshold=round(incident.threshold, 3),
        budget_rows=settings.detection.budget_rows,
        signals=signals(incident),
        window=window(incident.onset, end),
        rows=watch.rows,
        labelled=watch.accuracy.right + watch.accuracy.wrong,
        traces=incident.traces,
    )
    return Event(
        id=event_id("drift", kind, incident.id, end.rows),
        type=f"drift.{kind}",
        model=watch.model,
        subject=f"models/{watch.model}/versions/{watch.version}",
        time=end.time,
        data=data,
        about=incident.id,
    )


def retrain(watch: Watch, incident: Incident, last: Asked | None, settings: MonitorSettings) -> Event:
    """retrain.requested; the next one for the same incident (after a failure) has another id and key."""
    again = last is not None and last.incident == incident.id
    part = f"{incident.id}/{last.event}" if again and last is not None else incident.id
    expires = min(_LATEST, watch.mark.time + round(settings.policy.expires * _NS))
    data = RetrainData(
        model=watch.model,
        version=watch.version,
        digest=watch.digest,
        reason="risk" if "risk" in incident.groups else "drift",
        incident=incident.id,
        dedupe_key=f"{watch.model}/{watch.version}/{part}",
        groups=incident.groups,
        evidence=round(incident.evidence, 3),
        threshold=round(incident.threshold, 3),
        signals=signals(incident),
        window=window(incident.onset, watch.mark),
        rows=watch.rows,
        labelled=watch.accuracy.right + watch.accuracy.wrong,
        labelled_since_onset=watch.labelled_since(incident.onset.time),
        accuracy=watch.accuracy.recent,
        expires=rfc3339(expires),
        traces=incident.traces,
    )
    return Event(
        id=event_id("retrain", watch.model, watch.version, part),
        type="retrain.requested",
        model=watch.model,
        subject=f"models/{watch.model}/versions/{watch.version}",
        time=watch.mark.time,
        expires=expires,
        data=data,
        about=incident.id,
    )


def rollout(entry: Entry) -> Event:
    """rollout.<verb> for one row of history; dashes of a verb become underscores."""
    verb = entry.verb.replace("-", "_")
    data = RolloutData(
        model=entry.model,
        revision=entry.revision,
        verb=entry.verb,
        actor=entry.actor,
        reason=entry.reason,
        verdict=entry.verdict,
        n=entry.n,
        evidence=entry.evidence,
        rollout=entry.rollout,
        history=entry.sequence,
        at=rfc3339(entry.at),
    )
    return Event(
        id=event_id("rollout", entry.sequence, entry.chain),
        type=f"rollout.{verb}",
        model=entry.model,
        subject=f"models/{entry.model}/revisions/{entry.revision}",
        time=entry.at,
        data=data,
        about=entry.rollout or "",
    )
