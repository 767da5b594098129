"""Bring this worker to what the routes say: load, build the table, swap it by one assignment, let go.

The loop of one worker owns everything here; loads run in threads inside the fleet. Each model settles by
itself, so a slow or broken version of one model never holds back a rollback of another, and a rollback of the
same model, whose versions are in memory, overtakes its loads.

Where memory is budgeted, a model that nobody has asked for longest makes room for another: it is *dormant*,
out of the table with all its versions, until a request or a rollout asks for it; its route counts as applied.

It decides nothing (`gateway.plan` and `gateway.budget` do) and edits no route.
"""

import asyncio
from collections.abc import Collection, Mapping
from typing import Final, Protocol

from gateway.budget import leavers
from gateway.errors import LoadError, NotReadyError, OverBudgetError
from gateway.faults import Display, Fault, Faults
from gateway.holding import Fleet, Holding
from gateway.lanes import Lanes
from gateway.model import LoadedModel
from gateway.plan import plan, unneeded
from gateway.residents import may_leave
from gateway.routing import Lane
from gateway.settings import PaceSettings
from groundwork.clock import Clock
from groundwork.logs import Log
from rollouts.route import Route

PINNED_MOST: Final = 8
"""Versions kept in memory only because requests named them; the longest loaded leaves first."""
_NANOSECONDS: Final = 1e9


class Shown(Display, Protocol):
    """Where a worker shows how far it has come; see `gateway.presence.Presence`."""

    def applied(self, model: str, revision: int) -> None:
        """Requests for `model` are answered by `revision` now."""
        ...


class Reconciler:
    """Follows the routes; owned by one worker's loop."""

    def __init__(
        self,
        lanes: Lanes,
        fleet: Fleet,
        pace: PaceSettings,
        clock: Clock,
        shown: Shown,
        log: Log,
    ) -> None:
        self._lanes = lanes
        self._faults = Faults(shown, clock, log)
        self._fleet = fleet
        self._pace = pace
        self._clock = clock
        self._shown = shown
        self._log = log
        self._routes: Mapping[str, Route] = {}
        self._loads: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._holding = Holding(fleet, log, lambda key: self._settle(key[0]))
        # Versions that passed their load for a route; what a request alone has named is not among them.
        self._fit: set[tuple[str, str]] = set()
        self._pinned: list[tuple[str, str]] = []
        self._dormant: set[str] = set()

    @property
    def faults(self) -> Mapping[tuple[str, str], Fault]:
        """Why versions are not in memory; never changed but replaced: threads read it."""
        return self._faults.now

    @property
    def routes(self) -> Mapping[str, Route]:
        """The routes as last seen; what answers may still be older."""
        return self._routes

    @property
    def busy(self) -> bool:
        """Whether versions are being loaded."""
        return bool(self._loads)

    def follow(self, routes: Mapping[str, Route]) -> None:
        """Take notice of new routes; those whose versions are in memory answer when this returns."""
        before, self._routes = self._routes, routes
        self._lanes.name(routes.keys())
        for model, route in routes.items():
            if before.get(model) != route:
                self._settle(model)

    async def settled(self) -> None:
        """Wait until nothing is being loaded."""
        while self._loads:
            await asyncio.wait(list(self._loads.values()))

    async def demand(self, model: str, version: str) -> LoadedModel:
        """Load a version because a request names it; it then stays among the PINNED_MOST last asked for.

        Raises as Fleet.load does, and NotReadyError where that takes longer than a request waits. The version
        that keeps its model stranded is not tried for every request that names it.
        """
        key = (model, version)
        if model in self._lanes.stranded and key in self.faults and key not in self._fleet.loaded:
            raise LoadError(self.faults[key].message)
        try:
            async with asyncio.timeout(self._pace.load):
                loaded = await self._fleet.load(model, version)
        except TimeoutError:
            raise NotReadyError(f"model {model} version {version} is still being loaded; ask again") from None
        route = self._routes.get(model)
        if model in self._dormant and route is not None:
            self._wake(model)
            if version == route.stable:
                self._fit.add(key)
            self._settle(model)
        if key not in self._pinned and (route is None or version not in route.versions()):
            self._pinned.append(key)
            del self._pinned[:-PINNED_MOST]
        self._rebuild(model)
        return loaded

    def look_around(self) -> None:
        """Once in a while: try failed versions again, let go of those that nothing names any more."""
        for key in self._faults.tried_before(self._pace.retry):
            self._faults.forgive(key)
            self._settle(key[0])
        now = self._clock.monotonic()
        for model, held in self._holding.models().items():
            self._let_go(model, held, now)

    def make_room(self, model: str, size: int) -> tuple[tuple[str, str], ...]:
        """Begin to let go of `size` bytes for the sake of `model`; who leaves: nobody where too few may."""
        now = self._clock.now()
        busy = {model, *(loading for loading, _ in self._loads)}
        residents = may_leave(self._holding.models(), self._lanes.table, self._routes, busy, now)
        leaving = leavers(residents, size, now - int(self._pace.idle * _NANOSECONDS))
        for resident in leaving or ():
            self._log.info(
                "evicted", model=resident.model, versions=",".join(resident.versions), made_for=model
            )
            if resident.whole:
                self._dormant.add(resident.model)
                self._show_dormant()
                self._lanes.take_out(resident.model)
            for version in resident.versions:
                self._release((resident.model, version))
        return tuple((one.model, version) for one in leaving or () for version in one.versions)

    async def close(self) -> None:
        """Stop loading; what is loaded stays for the requests in flight."""
        tasks = [*self._loads.values(), *self._holding.releases]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _settle(self, model: str) -> None:
        self._bring(model)
        self._strand(model)

    def _bring(self, model: str) -> None:
        """Bring one model as near to its route as what is in memory allows, and begin to load the rest."""
        route = self._routes.get(model)
        if route is None:
            return
        if route.unloaded:
            self._wake(model)
            self._withdraw(route)
            return
        if model in self._dormant and route.candidate is None and route.shadow is None:
            self._show_dormant()
            self._shown.applied(model, route.revision)
            return
        self._wake(model)
        failed = {version for name, version in self.faults if name == model}
        fit = {version for name, version in self._holding.versions().keys() & self._fit if name == model}
        decided = plan(route, fit - failed, failed, serving=model in self._lanes.table)
        if decided.serve is not None:
            self._lanes.serve(decided.serve, self._holding.versions())
        if decided.applied:
            self._shown.applied(model, route.revision)
        for version in decided.load:
            self._begin_load(model, version)

    def _begin_load(self, model: str, version: str) -> None:
        key = (model, version)
        if key in self._loads or self._holding.is_leaving(key):
            return
        task = asyncio.get_running_loop().create_task(self._load(model, version))
        self._loads[key] = task
        task.add_done_callback(lambda done: self._loaded(key, done))

    async def _load(self, model: str, version: str) -> None:
        route = self._routes[model]
        is_newcomer = version in (route.candidate, route.shadow)
        joins = self._fleet.loaded.get((model, route.stable)) if is_newcomer else None
        await self._fleet.load(model, version, joins=joins)

    def _loaded(self, key: tuple[str, str], task: asyncio.Task[None]) -> None:
        del self._loads[key]
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            self._fit.add(key)
            self._faults.forget(key)
        elif isinstance(error, OverBudgetError) and self._may_sleep(key):
            self._dormant.add(key[0])
        else:
            self._lanes.excuse(key[0], self._faults.note(key, error))
        self._settle(key[0])

    def _withdraw(self, route: Route) -> None:
        """Take the model out of the table; what is in memory leaves as what nothing names does."""
        self._lanes.take_out(route.model)
        self._shown.applied(route.model, route.revision)

    def _wake(self, model: str) -> None:
        if model in self._dormant:
            self._dormant.discard(model)
            self._show_dormant()

    def _show_dormant(self) -> None:
        self._lanes.sleep(
            {model: self._routes[model].stable for model in self._dormant if model in self._routes}
        )

    def _strand(self, model: str) -> None:
        """Let versions that requests name answer for a model whose stable version cannot be served."""
        route = self._routes.get(model)
        if route is not None and (route.unloaded or model in self._dormant):
            route = None
        self._lanes.strand(model, route, broken=route is not None and (model, route.stable) in self.faults)

    def _may_sleep(self, key: tuple[str, str]) -> bool:
        """Whether this is the version that a model which nothing answers yet waits for."""
        model, version = key
        route = self._routes[model]
        at_rest = route.candidate is None and route.shadow is None
        return at_rest and version == route.stable and model not in self._lanes.table

    def _rebuild(self, model: str) -> None:
        """The same route again, after the set of versions in memory has changed."""
        lane: Lane | None = self._lanes.table.get(model)
        if lane is not None:
            self._lanes.serve(lane.route, self._holding.versions())

    def _let_go(self, model: str, held: Collection[str], now: float) -> None:
        pinned = {version for name, version in self._pinned if name == model}
        lane = self._lanes.table.get(model)
        answering = set() if lane is None else set(lane.route.versions())
        route = self._routes.get(model)
        named = None if route is None or route.unloaded else route
        idle = unneeded(named, held, pinned | answering)
        for key in self._holding.unused(model, idle, now, self._pace.unload):
            self._release(key)

    def _release(self, key: tuple[str, str]) -> None:
        """Take a version out of the table, then forget it when its last request is answered."""
        self._fit.discard(key)
        if key in self._pinned:
            self._pinned.remove(key)
        self._holding.let_go(key)
        self._rebuild(key[0])
