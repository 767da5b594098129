"""The edits of a route: pure functions from one route to the next.

Every edit returns a checked document with revision + 1, or raises `RouteError` and changes nothing. Which
edit a rollout needs, and what it does to the rollout's own record, is `rollouts.verbs`' business.
"""

from msgspec.structs import replace

from rollouts.errors import GoneBackError, RouteError
from rollouts.route import REQUEST_KEY, Route, check, load_first


def first(model: str, stable: str) -> Route:
    """Return revision 1 of a model that was never seen: stable answers everything."""
    return check(Route(model=model, revision=1, stable=stable))


def start(
    route: Route,
    candidate: str,
    *,
    rollout: str | None = None,
    weight: int = 0,
    shadow_share: int = 0,
    salt: str = "",
    key: str = REQUEST_KEY,
) -> Route:
    """Return the route with a candidate at its first shares; a candidate already there is refused.

    So is an unloaded route, of which no version answers.
    """
    if route.unloaded:
        raise RouteError(f"route of {route.model!r}: {load_first(route.model)}")
    if route.candidate is not None:
        raise RouteError(
            f"route of {route.model!r}: version {route.candidate} is being rolled out already; "
            f"abort or promote it before starting {candidate}"
        )
    return _next(
        route,
        candidate=candidate,
        weight=weight,
        shadow=candidate if shadow_share else None,
        shadow_share=shadow_share,
        rollout=rollout,
        step=0 if rollout is not None else -1,
        salt=salt,
        key=key,
    )


def enter_step(route: Route, step: int, *, weight: int, shadow_share: int) -> Route:
    """Return the route with the shares of another step of the rollout in progress."""
    candidate = _candidate(route, "enter a step")
    return _next(
        route,
        step=step,
        weight=weight,
        shadow=candidate if shadow_share else None,
        shadow_share=shadow_share,
    )


def set_weight(route: Route, weight: int) -> Route:
    """Return the route with another share for its candidate."""
    _candidate(route, "set a weight")
    return _next(route, weight=weight)


def promote(route: Route, to: str | None = None) -> Route:
    """Return the route with the candidate as stable and the old stable as previous; its rollout stays.

    RouteError where nothing is on trial, or another version than `to`, if that is named.
    """
    if to is not None and to == route.stable and route.candidate is None:
        raise RouteError(f"route of {route.model!r}: version {to} is stable already, and nothing is on trial")
    candidate = _candidate(route, "promote")
    if to not in {None, candidate}:
        raise RouteError(
            f"route of {route.model!r}: cannot promote version {to[:40]}, version {candidate} is on trial; "
            "promote that one if you mean it, or abort it first"
        )
    return _next(
        route,
        stable=candidate,
        previous=route.stable,
        candidate=None,
        weight=0,
        shadow=None,
        shadow_share=0,
    )


def abort(route: Route) -> Route:
    """Return the route without candidate and shadow: stable answers everything.

    A candidate that was the previous version is that no more: nobody goes back to what was just dropped.
    RouteError where neither is there.
    """
    if route.candidate is None and route.shadow is None:
        raise RouteError(
            f"route of {route.model!r}: nothing is being rolled out, so there is nothing to abort; "
            f"to go back to an earlier stable use undo"
        )
    return _settled(route, previous=_behind(route))


def undo(route: Route, to: str) -> Route:
    """Return the route gone back to version `to`: stable without its candidate, or the previous as stable.

    It names where it leads and not how far, so that of two who say the same the second changes nothing.

    Raises:
        GoneBackError: The version answers everything already.
        RouteError: It is neither stable nor previous, or is on trial.
    """
    if to == route.stable and route.candidate is None:
        raise GoneBackError(
            f"route of {route.model!r}: version {to} is stable already, and nothing is on trial"
        )
    if to == route.stable:
        return abort(route)
    if to == _behind(route):
        return _settled(route, stable=to, previous=route.stable)
    raise RouteError(
        f"route of {route.model!r}: undo cannot lead to version {to[:40]}, only to "
        f"{' or '.join(filter(None, (route.stable, _behind(route))))}; "
        "a candidate is promoted, for any other version a rollout is started"
    )


def take_back(route: Route) -> Route:
    """Return the route with its previous version stable again, and none previous: the promotion was wrong.

    RouteError where no previous version is known.
    """
    return _settled(route, stable=previous_of(route), previous=None)


def finish(route: Route) -> Route:
    """Return the route after its bake: the rollout is no longer named, previous is still known.

    RouteError while a candidate is there.
    """
    if route.candidate is not None:
        raise RouteError(
            f"route of {route.model!r}: candidate {route.candidate} is still there; promote or abort it first"
        )
    return _next(route, rollout=None, step=-1)


def unload(route: Route) -> Route:
    """Return the route that answers nobody; refused while a candidate is there."""
    if route.unloaded:
        raise RouteError(f"route of {route.model!r}: it is unloaded already")
    return _next(route, unloaded=True)


def load(route: Route) -> Route:
    """Return the route that answers again, as it did before it was unloaded; RouteError where it was not."""
    if not route.unloaded:
        raise RouteError(f"route of {route.model!r}: it is not unloaded, so there is nothing to load again")
    return _next(route, unloaded=False)


def touch(route: Route) -> Route:
    """Return the same route at its next revision, for a change of the rollout alone (pause, resume)."""
    return _next(route)


def exposes(before: Route, after: Route) -> bool:
    """Whether an edit lets a version answer more than it did: what somebody may want to go back from."""
    if after.stable != before.stable:
        return True
    is_new = after.candidate is not None and after.candidate != before.candidate
    return is_new or after.weight > before.weight


def _behind(route: Route) -> str | None:
    """The previous version, where it is not on trial anew."""
    return None if route.previous == route.candidate else route.previous


def previous_of(route: Route) -> str:
    """Return the previous version; RouteError where none is known."""
    if route.previous is None:
        raise RouteError(
            f"route of {route.model!r}: no previous version is known to go back to from {route.stable}"
        )
    return route.previous


def _candidate(route: Route, wish: str) -> str:
    if route.candidate is None:
        nothing = "nothing is being rolled out; start a rollout first"
        why = load_first(route.model) if route.unloaded else nothing
        raise RouteError(f"route of {route.model!r}: cannot {wish}, {why}")
    return route.candidate


def _settled(route: Route, **changes: object) -> Route:
    settled = {"candidate": None, "weight": 0, "shadow": None, "shadow_share": 0, "rollout": None, "step": -1}
    return _next(route, **settled, **changes)


def _next(route: Route, **changes: object) -> Route:
    return check(replace(route, revision=route.revision + 1, **changes), standing=route.revision)
