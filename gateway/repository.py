"""The model repository extension of the Open Inference Protocol, in terms of routes.

    index    every version that the registry holds, READY where a worker has it in memory
    unload   an edit of the model's route: it answers nobody, and its memory is let go of
    load     the edit back; a model that was never routed gets its first route, as it would have soon

Rules: both commands are compare-and-swap edits like every other, so all workers follow, they survive a
restart and history says who made them. A command is done when every worker has applied it. A rollout under
way refuses an unload.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, Protocol

from gateway.catalogue import Catalogue, Faults, Routes
from gateway.console import Console, Wish
from gateway.errors import LoadError, NotReadyError, UnknownModelError
from gateway.presence import lagging
from groundwork.clock import Clock
from groundwork.slot_readings import SlotsReader
from rollouts.route import Route

PATIENCE_SECONDS: Final = 60.0
POLL_SECONDS: Final = 0.02
UNKNOWN_CALLER: Final = "data-port"


class Discover(Protocol):
    """What gives models their first routes; see `gateway.discover.Discovery`."""

    def look(self, routed: Collection[str]) -> None:
        """Route every model that is not in `routed`."""
        ...


class Repository:
    """Used on one worker's loop; everything that reads files happens in threads."""

    def __init__(
        self,
        catalogue: Catalogue,
        console: Console,
        routes: Routes,
        discovery: Discover,
        *,
        slots: SlotsReader,
        clock: Clock,
        faults: Callable[[], Faults],
    ) -> None:
        self._catalogue = catalogue
        self._console = console
        self._routes = routes
        self._discovery = discovery
        self._slots = slots
        self._clock = clock
        self._faults = faults
        self.patience = PATIENCE_SECONDS

    async def index(self, *, ready_only: bool) -> list[dict[str, Any]]:
        """Name, version, state and reason of every version."""
        views = (await asyncio.to_thread(self._catalogue.models)).models
        found = []
        for view in views:
            for version in view.versions:
                loaded = version in view.loaded and not view.unloaded
                reason = "" if loaded else _reason(view.faults, version, unloaded=view.unloaded)
                state = "READY" if loaded else "UNAVAILABLE"
                if loaded or not ready_only:
                    found.append({"name": view.name, "version": version, "state": state, "reason": reason})
        return found

    async def versions(self, model: str) -> list[str]:
        """The versions of a model that the registry holds; none where it cannot be read."""
        return await asyncio.to_thread(self._catalogue.versions, model)

    async def load(self, model: str, who: str = "") -> None:
        """Let a model answer, in every worker; `who` asks, for history: a key's name, empty without keys.

        Raises:
            UnknownModelError: neither a route nor the registry knows it.
            LoadError: the version that should answer cannot be loaded.
            NotReadyError: it takes longer than our patience; it goes on loading.
        """
        route = await asyncio.to_thread(self._route, model)
        if route.unloaded:
            done = await self._console.act(model, "load", Wish(who=who or UNKNOWN_CALLER))
            revision = done.revision
        else:
            revision = route.revision
        deadline = self._clock.monotonic() + self.patience
        while await asyncio.to_thread(lagging, self._slots, model, revision):
            fault = self._faults().get((model, route.stable))
            if fault is not None:
                raise LoadError(fault)
            if self._clock.monotonic() >= deadline:
                raise NotReadyError(f"model {model} is still loading after {self.patience:.0f} s; ask again")
            await asyncio.sleep(POLL_SECONDS)

    async def unload(self, model: str, who: str = "") -> None:
        """Let a model answer nobody; one that is unloaded stays so. `who` is as for `load`.

        Raises:
            UnknownModelError: neither a route nor the registry knows it.
            RouteError: a rollout is under way.
        """
        route = await asyncio.to_thread(self._route, model)
        if not route.unloaded:
            await self._console.act(model, "unload", Wish(who=who or UNKNOWN_CALLER))

    def _route(self, model: str) -> Route:
        route = self._routes.route(model)
        if route is None:
            self._discovery.look(frozenset())
            route = self._routes.route(model)
        if route is None:
            raise UnknownModelError(
                f"there is no model {model[:100]!r} in the registry; publish a version of it"
            )
        return route


def _reason(faults: Mapping[str, str], version: str, *, unloaded: bool) -> str:
    return "unloaded" if unloaded else faults.get(version, "not loaded; loaded when a request names it")
