"""The status of one model's rollout as the command line and the operator API show it.

A value made by a pure function from what the stores and slots hold; nothing here is kept.
"""

from collections.abc import Sequence

import msgspec

from groundwork.dates import rfc3339
from groundwork.steady import UNKNOWN, Steady
from rollouts.evidence import Seen, arm_total, step_pairs, step_samples
from rollouts.history import Entry
from rollouts.judge import rollback
from rollouts.pilot import Decision
from rollouts.rollout import Rollout
from rollouts.route import Route, load_first, percent
from rollouts.timeline import Moment, moments
from rollouts.verdict import Verdict


class Progress(msgspec.Struct, frozen=True):
    """How much of a step's hold is met; times in seconds, a limit of 0 is none."""

    waited: float
    shortest: float
    longest: float
    samples: int
    samples_wanted: int
    pairs: int
    pairs_wanted: int
    until: str


class Status(msgspec.Struct, frozen=True):
    """Everything one screen shows about a model; JSON as it stands.

    `state` is "steady" without a rollout. Weights are percentages as text; `achieved` is the candidate's
    share of the step's requests answered since its weight is what it is, None before the first.
    `rollback_evidence` is ln e-value of all metrics together against `rollback_threshold`. `waiting` says
    what the next move waits for, `next` the sentence. An `unloaded` model answers nobody.
    """

    model: str
    revision: int
    stable: str
    candidate: str | None
    previous: str | None
    state: str
    weight: str
    shadow: str
    rollout: str | None = None
    reason: str = ""
    started: str | None = None
    step: int = 0
    steps: int = 0
    achieved: float | None = None
    progress: Progress | None = None
    verdicts: tuple[Verdict, ...] = ()
    rollback_evidence: float = 0.0
    rollback_threshold: float = 0.0
    waiting: tuple[str, ...] = ()
    next: str = ""
    history: tuple[Moment, ...] = ()
    unloaded: bool = False


def at_rest(route: Route, history: Sequence[Entry] = (), last: Rollout | None = None) -> Status:
    """Return the status of a model without a live rollout; `last` is the one that ended most recently.

    It is shown as long as what it left stands; once somebody has gone back on that, the model is steady.
    """
    if last is not None and (route.stable == last.candidate) != (last.state == "succeeded"):
        last = None
    return Status(
        model=route.model,
        revision=route.revision,
        stable=route.stable,
        candidate=route.candidate,
        previous=route.previous,
        state=last.state if last is not None else "steady",
        weight=percent(route.weight),
        shadow=percent(route.shadow_share),
        rollout=last.id if last is not None else None,
        reason=last.reason if last is not None else "",
        next=load_first(route.model) if route.unloaded else "",
        unloaded=route.unloaded,
        history=moments(history),
    )


def status(
    route: Route,
    rollout: Rollout,
    verdicts: Sequence[Verdict],
    seen: Seen,
    decision: Decision,
    *,
    now: int,
    history: Sequence[Entry] = (),
    steady: Steady = UNKNOWN,
) -> Status:
    """Return the status of a live rollout at `now` (unix ns) and `steady`; `decision` is the latest."""
    together = rollback(verdicts, rollout.spec.decision.rollback_alpha)
    return Status(
        model=route.model,
        revision=route.revision,
        stable=route.stable,
        candidate=route.candidate,
        previous=route.previous,
        state=rollout.state,
        weight=percent(route.weight),
        shadow=percent(route.shadow_share),
        rollout=rollout.id,
        reason=rollout.reason,
        started=rfc3339(rollout.started),
        step=rollout.step + 1,
        steps=len(rollout.spec.steps),
        achieved=_achieved(seen, max(rollout.step_revision, _weighted_since(route, history))),
        progress=_progress(rollout, route, seen, rollout.waited(now, steady)),
        verdicts=tuple(verdicts),
        rollback_evidence=together.evidence,
        rollback_threshold=together.threshold,
        waiting=decision.waiting,
        next=decision.reason,
        history=moments(history),
    )


def _achieved(seen: Seen, since: int) -> float | None:
    candidate = arm_total(seen, "candidate", since).requests
    everyone = candidate + arm_total(seen, "stable", since).requests
    return 100 * candidate / everyone if everyone else None


def _weighted_since(route: Route, history: Sequence[Entry]) -> int:
    """The first revision of the candidate's present weight, as far back as the rows go."""
    since = route.revision
    for row in reversed(history):
        if row.after is not None and row.after.revision <= since:
            if row.after.weight != route.weight:
                break
            since = row.after.revision
    return since


def _progress(rollout: Rollout, route: Route, seen: Seen, waited: float) -> Progress | None:
    if rollout.state == "baking":
        return None
    hold = rollout.current.hold
    return Progress(
        waited=waited,
        shortest=hold.shortest,
        longest=hold.longest,
        samples=step_samples(rollout, route, seen),
        samples_wanted=hold.samples,
        pairs=step_pairs(rollout, seen),
        pairs_wanted=hold.pairs,
        until=hold.until,
    )
