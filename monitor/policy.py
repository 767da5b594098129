"""When an incident becomes a request to retrain. A pure function of what is known.

Order of the questions: is the incident one that policy acts on, is its effect worth it, are there enough new
labels to train on, is a request in flight, has the last one cooled down. The answer always says why, and the
status page shows it.
"""

from typing import Final, Literal

import msgspec

from monitor.incidents import Incident
from monitor.settings import PolicySettings

_NS: Final = 1_000_000_000


class Asked(msgspec.Struct, frozen=True, array_like=True):
    """The last request made for a version: event id, incident, record time (unix ns)."""

    event: str
    incident: str
    time: int


class Decision(msgspec.Struct, frozen=True):
    """Whether to ask for a retrain now, and why or why not."""

    kind: Literal["request", "wait", "none"]
    reason: str


def decide(
    incident: Incident | None,
    *,
    labelled: int,
    now: int,
    last: Asked | None,
    report: str,
    policy: PolicySettings,
) -> Decision:
    """What to do about an incident.

    `labelled` counts labelled rows predicted since its onset, `now` is record time (unix ns), `report` is
    what the receiver said of the last request: "", running, succeeded or failed.
    """
    if incident is None or incident.state != "open":
        return Decision("none", "no open incident")
    acting = [name for name in incident.groups if name in policy.retrain_on]
    if not acting:
        return Decision(
            "wait",
            f"the evidence is in {', '.join(incident.groups)}; policy acts on {', '.join(policy.retrain_on)}",
        )
    if incident.trigger and report != "failed":
        return Decision("wait", f"requested as {incident.trigger}")
    effect = max((found.effect.size for found in incident.findings if found.group in acting), default=0.0)
    if effect < policy.min_effect:
        return Decision("wait", f"the effect is {effect:.3f}, policy wants {policy.min_effect:g}")
    if labelled < policy.min_labelled:
        return Decision("wait", f"{labelled} of {policy.min_labelled} labelled rows since the onset")
    return _spaced(now, last, report, policy)


def _spaced(now: int, last: Asked | None, report: str, policy: PolicySettings) -> Decision:
    """One request in flight, and a time between two; one to come is from before the clock was set back."""
    if last is None:
        return Decision("request", "evidence, effect and labels suffice")
    age = abs(now - last.time) / _NS
    if report not in {"succeeded", "failed"} and age < policy.expires:
        return Decision("wait", f"request {last.event} is in flight")
    if age < policy.cooldown:
        return Decision("wait", f"cooling down for {policy.cooldown - age:.0f} s more")
    return Decision("request", "evidence, effect and labels suffice")
