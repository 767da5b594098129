"""The verbs: what each does to a route and to its rollout, as pure functions, and how one is done.

A verb takes what stands and returns a `Change`, or raises `RouteError`. `apply` reads, changes, writes by
compare-and-swap and, when somebody else came first, asks the verb again with what stands then. Operators, the
pilot, guards and the supervisor all go through here. When to do which is not decided here. Times are unix ns.
"""

from collections.abc import Callable
from typing import Final

import msgspec
from msgspec.structs import replace

from groundwork.steady import UNKNOWN, Steady
from rollouts import edits
from rollouts.errors import ConflictError, RouteError
from rollouts.history import Entry
from rollouts.pilot import Decision
from rollouts.rollout import Rollout, RolloutSpec, State
from rollouts.route import Route, load_first, percent
from rollouts.stores import Store

ATTEMPTS: Final = 8
"""How often `apply` asks again after losing a race."""


class Change(msgspec.Struct, frozen=True):
    """A route and the rollout as they shall stand, and the verb that history will name."""

    route: Route
    rollout: Rollout | None
    verb: str


Verb = Callable[[Route, Rollout | None, int], Change]
"""(what stands, its live rollout, now in unix ns) to what shall stand."""


def start(spec: RolloutSpec, candidate: str) -> Verb:
    """Begin a rollout of `candidate` at the spec's first step; refused while another one is live.

    The id is MODEL-CANDIDATE-REVISION and also the salt, so each rollout draws its own requests.
    """

    def verb(route: Route, rollout: Rollout | None, now: int) -> Change:
        if rollout is not None:
            raise RouteError(
                f"model {route.model!r}: rollout {rollout.id} is {rollout.state}; "
                f"abort it or let it end before {candidate} is started"
            )
        revision = route.revision + 1
        name = f"{route.model}-{candidate}-{revision}"
        step = spec.steps[0]
        after = edits.start(
            route,
            candidate,
            rollout=name,
            weight=step.weight_share,
            shadow_share=step.shadow_share,
            salt=name,
            key=spec.key,
        )
        begun = Rollout(
            id=name,
            model=route.model,
            stable=route.stable,
            candidate=candidate,
            spec=spec,
            step_revision=revision,
            step_entered=now,
            started=now,
            first_revision=revision,
        )
        return Change(after, begun, "start")

    return verb


def advance(route: Route, rollout: Rollout | None, now: int) -> Change:
    """Enter the next step; RouteError on the last one."""
    live = _live(route, rollout, "advance")
    index = live.step + 1
    if index >= len(live.spec.steps):
        raise RouteError(f"rollout {live.id}: step {live.step + 1} is the last; promote it")
    step = live.spec.steps[index]
    after = edits.enter_step(route, index, weight=step.weight_share, shadow_share=step.shadow_share)
    moved = replace(
        live, step=index, step_revision=after.revision, step_entered=now, state="progressing", reason=""
    )
    return Change(after, moved, "advance")


def promote(route: Route, rollout: Rollout | None, now: int) -> Change:
    """Make the candidate stable at once, whatever step it is on, and begin the bake."""
    after = edits.promote(route)
    if rollout is None:
        return Change(after, None, "promote")
    baking = replace(rollout, state="baking", step_revision=after.revision, step_entered=now, reason="")
    return Change(after, baking, "promote")


def promote_version(to: str) -> Verb:
    """As `promote`, and RouteError where the candidate is not version `to`."""

    def verb(route: Route, rollout: Rollout | None, now: int) -> Change:
        edits.promote(route, to)
        return promote(route, rollout, now)

    return verb


def pause(reason: str = "") -> Verb:
    """Stay on the step until somebody resumes; a proven regression still goes back.

    RouteError unless the rollout is progressing.
    """

    def verb(route: Route, rollout: Rollout | None, now: int) -> Change:
        del now
        live = _live(route, rollout, "pause")
        if live.state != "progressing":
            raise RouteError(f"rollout {live.id}: it is {live.state}, only a progressing one can be paused")
        return Change(edits.touch(route), replace(live, state="paused", reason=reason), "pause")

    return verb


def resume(route: Route, rollout: Rollout | None, now: int) -> Change:
    """Go on with the step; its hold counts time from now, its samples go on. RouteError unless paused."""
    live = _live(route, rollout, "resume")
    if live.state != "paused":
        raise RouteError(f"rollout {live.id}: it is {live.state}, only a paused one can be resumed")
    return Change(
        edits.touch(route), replace(live, state="progressing", step_entered=now, reason=""), "resume"
    )


def set_weight(weight: int, *, hold: bool = False) -> Verb:
    """Give the candidate another share (of FULL) within its step; with `hold` also pause there."""

    def verb(route: Route, rollout: Rollout | None, now: int) -> Change:
        del now
        after = edits.set_weight(route, weight)
        if rollout is not None and hold:
            rollout = replace(rollout, state="paused", reason=f"held at {percent(weight)} %")
        return Change(after, rollout, "set-weight")

    return verb


def abort(reason: str = "") -> Verb:
    """Send everybody back to the version that was stable when the rollout began, from any live state.

    Out of a bake no previous version is left: the one that was promoted is what went wrong.
    """

    def verb(route: Route, rollout: Rollout | None, now: int) -> Change:
        del now
        baked = rollout is not None and rollout.state == "baking"
        after = edits.take_back(route) if baked else edits.abort(route)
        return Change(after, _ended(rollout, "rolled-back", reason), "abort")

    return verb


def undo(to: str, reason: str = "") -> Verb:
    """Go back to version `to`, with or without a rollout: drop the candidate, or bring the previous back.

    In the second case the present version becomes previous. Where one leads that names no version is
    `rollouts.way_back`.
    """

    def verb(route: Route, rollout: Rollout | None, now: int) -> Change:
        del now
        return Change(edits.undo(route, to), _ended(rollout, "rolled-back", reason), "undo")

    return verb


def finish(route: Route, rollout: Rollout | None, now: int) -> Change:
    """End the bake: the rollout has succeeded."""
    del now
    live = _live(route, rollout, "finish")
    return Change(edits.finish(route), _ended(live, "succeeded", ""), "finish")


def unload(route: Route, rollout: Rollout | None, now: int) -> Change:
    """Let the model answer nobody until it is loaded again; refused while a rollout is live."""
    del now
    if rollout is not None:
        raise RouteError(
            f"model {route.model!r}: rollout {rollout.id} is {rollout.state}; "
            "abort it or let it end before the model is unloaded"
        )
    return Change(edits.unload(route), None, "unload")


def load(route: Route, rollout: Rollout | None, now: int) -> Change:
    """Let an unloaded model answer again."""
    del now
    return Change(edits.load(route), rollout, "load")


def of_decision(decision: Decision) -> Verb | None:
    """Return the verb that carries a decision out; None to hold."""
    match decision.kind:
        case "advance":
            return advance
        case "promote":
            return promote
        case "finish":
            return finish
        case "pause":
            return pause(decision.reason)
        case "abort":
            return abort(decision.reason)
        case "hold":
            return None


def entry_of(decision: Decision, actor: str) -> Entry:
    """Return the history row of a decision; `apply` fills in its verb."""
    return Entry(
        actor=actor,
        verb=decision.kind,
        reason=decision.reason,
        verdict=decision.verdict,
        n=decision.n,
        evidence=decision.evidence,
    )


def apply(
    store: Store,
    model: str,
    verb: Verb,
    entry: Entry,
    now: int,
    *,
    expected: Route | None = None,
    steady: Steady = UNKNOWN,
) -> Change:
    """Do a verb by compare-and-swap and return what stands then.

    `now` (unix ns) and `steady` are the same moment; without the second a step's time goes by the wall clock.

    With `expected` (the route that a decision was made from) a lost race is not repeated: the decision has
    to be made again. Without it the verb is asked again, up to eight times.

    Raises:
        RouteError: What stands does not allow the verb, or there is no such model.
        ConflictError: Somebody else edited the route first.
    """
    for attempt in range(ATTEMPTS):
        route = _standing(store, model, expected)
        rollout = store.active(model)
        change = _entered(verb(route, rollout, now), rollout, steady)
        owner = change.rollout.id if change.rollout is not None else None
        row = replace(entry, verb=change.verb, rollout=owner)
        try:
            store.edit(model, route.revision, change.route, row, change.rollout)
        except ConflictError:
            if attempt + 1 == ATTEMPTS or expected is not None:
                raise
        else:
            return change
    raise AssertionError


def _standing(store: Store, model: str, expected: Route | None) -> Route:
    """The route that stands, where it is the one that was decided about."""
    route = store.route(model)
    if route is None:
        raise RouteError(f"model {model!r}: there is no route for it; publish a version and serve it first")
    if expected is not None and route.revision != expected.revision:
        raise ConflictError(
            f"route of {model!r}: the decision was made at revision {expected.revision}, "
            f"revision {route.revision} stands; decide again",
            route,
        )
    return route


def _entered(change: Change, before: Rollout | None, steady: Steady) -> Change:
    """The change, with the steady moment where it entered a step or began to count anew."""
    after = change.rollout
    if after is None or (before is not None and after.step_entered == before.step_entered):
        return change
    return replace(change, rollout=replace(after, entered=steady))


def _live(route: Route, rollout: Rollout | None, wish: str) -> Rollout:
    if rollout is None:
        why = load_first(route.model) if route.unloaded else "no rollout is live; start one first"
        raise RouteError(f"model {route.model!r}: cannot {wish}, {why}")
    return rollout


def _ended(rollout: Rollout | None, state: State, reason: str) -> Rollout | None:
    return replace(rollout, state=state, reason=reason) if rollout is not None else None
