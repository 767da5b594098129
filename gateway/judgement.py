"""From the judge's verdicts to a decision and a status, for the pilot that acts and for those who only look.

Both go through `conclude`, so that what an operator is shown is what the pilot would do.
"""

from typing import Final

import msgspec

from groundwork.steady import UNKNOWN, Steady
from rollouts import judge, status
from rollouts.evidence import Observation, Seen, step_pairs, step_samples
from rollouts.pilot import Decision, Freshness, decide
from rollouts.rollout import Rollout
from rollouts.route import Route
from rollouts.status import Status
from rollouts.store import SqliteStore
from rollouts.verdict import Verdict

MONITOR: Final = "monitor"
HISTORY_ROWS: Final = 10


class Judgement(msgspec.Struct, frozen=True):
    """Verdicts, the totals they rest on, and the decision that follows from them."""

    verdicts: tuple[Verdict, ...]
    seen: Seen
    decision: Decision


def conclude(
    store: SqliteStore,
    rollout: Rollout,
    route: Route,
    seen: Seen,
    verdicts: tuple[Verdict, ...],
    now: int,
    *,
    steady: Steady = UNKNOWN,
) -> Judgement:
    """What follows from these verdicts at `now` (unix ns), which is `steady` on the steady clock."""
    beat = store.last_beat(MONITOR)
    decision = decide(
        rollout,
        route,
        verdicts,
        samples=step_samples(rollout, route, seen),
        pairs=step_pairs(rollout, seen),
        now=now,
        freshness=Freshness.of(beat, now),
        steady=steady,
    )
    return Judgement(verdicts, seen, decision)


def last_judgement(
    store: SqliteStore, rollout: Rollout, route: Route, now: int, *, steady: Steady = UNKNOWN
) -> Judgement:
    """What the pilot's last look says; before the first one, what no evidence at all says.

    EvidenceError when the checkpoint cannot be read.
    """
    kept = store.load_checkpoint(rollout.id)
    state, seen = judge.begin(rollout.spec) if kept is None else judge.decode(rollout.spec, *kept)
    _, seen, verdicts = judge.judge(rollout, state, seen, Observation(counts={}))
    return conclude(store, rollout, route, seen, verdicts, now, steady=steady)


def status_of(store: SqliteStore, route: Route, now: int, *, steady: Steady = UNKNOWN) -> Status:
    """The status of a model's rollout, from what is kept; a few reads, and writes nothing."""
    rollout = store.active(route.model)
    history = store.latest(route.model, HISTORY_ROWS)
    if rollout is None:
        earlier = store.rollouts(route.model)
        return status.at_rest(route, history, earlier[-1] if earlier else None)
    judged = last_judgement(store, rollout, route, now, steady=steady)
    return status.status(
        route,
        rollout,
        judged.verdicts,
        judged.seen,
        judged.decision,
        now=now,
        history=history,
        steady=steady,
    )
