"""What a worker should load, serve and let go of for one model: a pure decision.

Rules:
1. What answers today answers on until what shall answer is in memory.
2. A route is served once its stable version and its candidate are loaded; a shadow that is not there yet is
   left out and joins later, for nobody waits for its answer.
3. A candidate that cannot be loaded costs nobody an answer: a worker that has nothing older to serve serves
   the stable version alone, and does not count as having applied the route.
4. The previous version is loaded beside the others, so that going back needs no load.
"""

from collections.abc import Collection

import msgspec
from msgspec.structs import replace

from rollouts.route import Route


class Plan(msgspec.Struct, frozen=True):
    """What to do for one model.

    `serve` is the route to build a lane from now (None: leave what answers as it is); `applied` says whether
    that honours the route; `load` are the versions to begin loading.
    """

    serve: Route | None
    applied: bool
    load: tuple[str, ...]


def plan(route: Route, loaded: Collection[str], failed: Collection[str], *, serving: bool) -> Plan:
    """Decide for `route`, given the model's versions in memory and those that failed to load.

    `serving` says whether the model has a lane already.
    """
    load = _to_load(route, loaded, failed)
    if route.stable not in loaded:
        return Plan(None, applied=False, load=load)
    served = route
    if route.shadow is not None and route.shadow not in loaded:
        served = replace(served, shadow=None, shadow_share=0)
    if route.candidate is None or route.candidate in loaded:
        return Plan(served, applied=True, load=load)
    if route.candidate in failed and not serving:
        return Plan(replace(served, candidate=None, weight=0), applied=False, load=load)
    return Plan(None, applied=False, load=load)


def unneeded(route: Route | None, loaded: Collection[str], pinned: Collection[str]) -> set[str]:
    """The versions in memory that neither the route nor a recent pinned request names."""
    named = set() if route is None else set(route.versions())
    return set(loaded) - named - set(pinned)


def _to_load(route: Route, loaded: Collection[str], failed: Collection[str]) -> tuple[str, ...]:
    missing = tuple(
        version for version in route.versions() if version not in loaded and version not in failed
    )
    # The others are checked against the stable version as they are loaded, so that one comes first.
    return (route.stable,) if route.stable in missing else missing
