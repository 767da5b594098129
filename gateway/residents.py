"""What may leave a worker's memory to make room: versions that no route names, and models at rest. Pure."""

from collections.abc import Collection, Mapping

from gateway.budget import Resident
from gateway.model import LoadedModel
from gateway.routing import Table
from rollouts.route import Route


def may_leave(
    held: Mapping[str, Mapping[str, LoadedModel]],
    table: Table,
    routes: Mapping[str, Route],
    busy: Collection[str],
    now: int,
) -> list[Resident]:
    """Who may go, of what is `held` (model -> version -> what it is), at `now` (unix ns).

    A model that is being rolled out, or is `busy` (it asks for the room, or is being loaded), keeps what
    answers it.
    """
    found = []
    for model, versions in held.items():
        lane, route = table.get(model), routes.get(model)
        named = set() if route is None else set(route.versions())
        named |= set() if lane is None else set(lane.route.versions())
        unnamed = versions.keys() - named
        found += [_resident(model, {one: versions[one]}, now, whole=False) for one in unnamed]
        rests = route is not None and not (route.candidate or route.shadow or route.rollout)
        answering = {one: versions[one] for one in versions.keys() & named}
        if answering and rests and model not in busy:
            found.append(_resident(model, answering, now, whole=True))
    return found


def _resident(model: str, held: Mapping[str, LoadedModel], now: int, *, whole: bool) -> Resident:
    size = sum(loaded.size for loaded in held.values())
    used = max(loaded.used(now) for loaded in held.values())
    return Resident(model, tuple(held), size, used, whole)
