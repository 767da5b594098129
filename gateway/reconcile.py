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
from types import MappingProxyType
from typing import Final, Protocol

import msgspec

from gateway.budget import Resident, leavers
from gateway.errors import LoadError, NotReadyError, OverBudgetError
from gateway.model import LoadedModel
from gateway.plan import plan, unneeded
from gateway.routing import Lane, Table, lane_of
from gateway.settings import PaceSettings
from groundwork.clock import Clock
from groundwork.errors import DriftgateError
from groundwork.logs import Log
from rollouts.route import Route

PINNED_MOST: Final = 8
"""Versions kept in memory only because requests named them; the longest loaded leaves first."""
_NANOSECONDS: Final = 1e9
Versions = Mapping[tuple[str, str], LoadedModel]


class Fleet(Protocol):
    """What is in memory; see `gateway.fleet.Fleet`."""

    @property
    def loaded(self) -> Versions:
        """(model, version) to what is in memory now."""
        ...

    async def load(self, model: str, version: str, *, joins: LoadedModel | None = None) -> LoadedModel:
        """Load a version, or return it when it is loaded."""
        ...

    async def release(self, loaded: LoadedModel) -> None:
        """Forget a version that no table names."""
        ...


class Holder(Protocol):
    """What holds the table that requests are answered by, and why a model is not in it.

    `dormant` are the models that are loaded when a request asks for them, with the version to load;
    `stranded` those whose stable version cannot be served, which answer only for versions that are named;
    `routed` all that have a route.
    """

    table: Table
    routed: Collection[str]
    unserved: Mapping[str, str]
    dormant: Mapping[str, str]
    stranded: Mapping[str, Route]


class Shown(Protocol):
    """Where a worker shows how far it has come; see `gateway.presence.Presence`."""

    def applied(self, model: str, revision: int) -> None:
        """Requests for `model` are answered by `revision` now."""
        ...

    def failed(self, model: str, version: str, *, now: bool) -> None:
        """A version can, or cannot, be loaded."""
        ...


class Fault(msgspec.Struct, frozen=True):
    """Why a version is not in memory, and when (monotonic seconds) it was last tried."""

    message: str
    at: float


class Reconciler:
    """Follows the routes; owned by one worker's loop.

    `faults` says why versions are not in memory; it is replaced, never changed: threads read it.
    """

    def __init__(
        self,
        core: Holder,
        fleet: Fleet,
        pace: PaceSettings,
        clock: Clock,
        shown: Shown,
        log: Log,
    ) -> None:
        self._core = core
        self._fleet = fleet
        self._pace = pace
        self._clock = clock
        self._shown = shown
        self._log = log
        self._routes: Mapping[str, Route] = {}
        self._loads: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._releases: set[asyncio.Task[None]] = set()
        # Versions that passed their load for a route; what a request alone has named is not among them.
        self._fit: set[tuple[str, str]] = set()
        self._leaving: set[tuple[str, str]] = set()
        self._idle_since: dict[tuple[str, str], float] = {}
        # What the log was last told of each version that failed: a retry that fails alike is not told again.
        self._told: dict[tuple[str, str], str] = {}
        self._pinned: list[tuple[str, str]] = []
        self._dormant: set[str] = set()
        self.faults: Mapping[tuple[str, str], Fault] = MappingProxyType({})

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
        before, self._routes, self._core.routed = self._routes, routes, routes.keys()
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
        if model in self._core.stranded and key in self.faults and key not in self._fleet.loaded:
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
        now = self._clock.monotonic()
        for key, fault in self.faults.items():
            if now - fault.at >= self._pace.retry:
                self._forgive(key)
                self._settle(key[0])
        for model, held in self._held().items():
            self._let_go(model, held, now)

    def make_room(self, model: str, size: int) -> tuple[tuple[str, str], ...]:
        """Begin to let go of `size` bytes for the sake of `model`; who leaves: nobody where too few may."""
        now = self._clock.now()
        leaving = leavers(self._residents(model, now), size, now - int(self._pace.idle * _NANOSECONDS))
        for resident in leaving or ():
            self._log.info(
                "evicted", model=resident.model, versions=",".join(resident.versions), made_for=model
            )
            if resident.whole:
                self._dormant.add(resident.model)
                self._show_dormant()
                self._take_out(resident.model)
            for version in resident.versions:
                self._release((resident.model, version))
        return tuple((one.model, version) for one in leaving or () for version in one.versions)

    async def close(self) -> None:
        """Stop loading; what is loaded stays for the requests in flight."""
        tasks = [*self._loads.values(), *self._releases]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _in_memory(self) -> dict[tuple[str, str], LoadedModel]:
        return {key: loaded for key, loaded in self._fleet.loaded.items() if key not in self._leaving}

    def _held(self) -> dict[str, dict[str, LoadedModel]]:
        """What is in memory: model to version to what it is."""
        held: dict[str, dict[str, LoadedModel]] = {}
        for (model, version), loaded in self._in_memory().items():
            held.setdefault(model, {})[version] = loaded
        return held

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
        fit = {version for name, version in self._in_memory().keys() & self._fit if name == model}
        decided = plan(route, fit - failed, failed, serving=model in self._core.table)
        if decided.serve is not None:
            self._serve(decided.serve)
        if decided.applied:
            self._shown.applied(model, route.revision)
        for version in decided.load:
            self._begin_load(model, version)

    def _begin_load(self, model: str, version: str) -> None:
        key = (model, version)
        if key in self._loads or key in self._leaving:
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
            self._told.pop(key, None)
            self._forgive(key)
        elif isinstance(error, OverBudgetError) and self._may_sleep(key):
            self._dormant.add(key[0])
        else:
            message = str(error) if isinstance(error, DriftgateError) else f"{type(error).__name__}: {error}"
            fault = Fault(message, self._clock.monotonic())
            self.faults = MappingProxyType({**self.faults, key: fault})
            self._shown.failed(*key, now=not isinstance(error, OverBudgetError))
            self._excuse(key[0], message)
            if self._told.get(key) != message:
                self._told[key] = message
                self._log.error("version-not-loaded", model=key[0], version=key[1], fault=message)
        self._settle(key[0])

    def _excuse(self, model: str, message: str | None) -> None:
        """Let requests for a model that nothing answers say why; None: it is answered."""
        excuses = {name: said for name, said in self._core.unserved.items() if name != model}
        if message is not None and model not in self._core.table:
            excuses[model] = message
        self._core.unserved = MappingProxyType(excuses)

    def _forgive(self, key: tuple[str, str]) -> None:
        if key in self.faults:
            left = {other: fault for other, fault in self.faults.items() if other != key}
            self.faults = MappingProxyType(left)
            self._shown.failed(*key, now=False)

    def _serve(self, route: Route) -> None:
        """Put the lane of this route into the table: the one assignment that changes what answers."""
        lane = lane_of(route, self._in_memory())
        self._core.table = MappingProxyType({**self._core.table, route.model: lane})
        if route.model in self._core.unserved:
            self._excuse(route.model, None)

    def _withdraw(self, route: Route) -> None:
        """Take the model out of the table; what is in memory leaves as what nothing names does."""
        self._take_out(route.model)
        self._shown.applied(route.model, route.revision)

    def _take_out(self, model: str) -> None:
        self._core.table = MappingProxyType(
            {name: lane for name, lane in self._core.table.items() if name != model}
        )

    def _wake(self, model: str) -> None:
        if model in self._dormant:
            self._dormant.discard(model)
            self._show_dormant()

    def _show_dormant(self) -> None:
        asleep = {model: self._routes[model].stable for model in self._dormant if model in self._routes}
        stranded = {model: route.stable for model, route in self._core.stranded.items()}
        self._core.dormant = MappingProxyType({**stranded, **asleep})

    def _strand(self, model: str) -> None:
        """Let versions that requests name answer for a model whose stable version cannot be served.

        It stays so while that is tried again, until there is a lane, or another version is stable.
        """
        route, was = self._routes.get(model), self._core.stranded.get(model)
        left_out = model in self._core.table or model in self._dormant or route is None or route.unloaded
        if not left_out and route is not None:
            stays = was is not None and was.stable == route.stable
            left_out = not stays and (model, route.stable) not in self.faults
        now = None if left_out else route
        if now is was:
            return
        others = {name: one for name, one in self._core.stranded.items() if name != model}
        self._core.stranded = MappingProxyType(others if now is None else {**others, model: now})
        self._show_dormant()

    def _may_sleep(self, key: tuple[str, str]) -> bool:
        """Whether this is the version that a model which nothing answers yet waits for."""
        model, version = key
        route = self._routes[model]
        at_rest = route.candidate is None and route.shadow is None
        return at_rest and version == route.stable and model not in self._core.table

    def _residents(self, asking: str, now: int) -> list[Resident]:
        """What may leave memory for the sake of a model: versions that no route names, and models at rest."""
        found = []
        busy = {model for model, _ in self._loads}
        for model, held in self._held().items():
            lane, route = self._core.table.get(model), self._routes.get(model)
            named = set() if route is None else set(route.versions())
            named |= set() if lane is None else set(lane.route.versions())
            found += [_resident(model, {one: held[one]}, now, whole=False) for one in held.keys() - named]
            rests = route is not None and not (route.candidate or route.shadow or route.rollout)
            answering = {one: held[one] for one in held.keys() & named}
            if answering and rests and model != asking and model not in busy:
                found.append(_resident(model, answering, now, whole=True))
        return found

    def _rebuild(self, model: str) -> None:
        """The same route again, after the set of versions in memory has changed."""
        lane: Lane | None = self._core.table.get(model)
        if lane is not None:
            self._serve(lane.route)

    def _let_go(self, model: str, held: Collection[str], now: float) -> None:
        pinned = {version for name, version in self._pinned if name == model}
        lane = self._core.table.get(model)
        answering = set() if lane is None else set(lane.route.versions())
        route = self._routes.get(model)
        named = None if route is None or route.unloaded else route
        idle = unneeded(named, held, pinned | answering)
        for key in [key for key in self._idle_since if key[0] == model and key[1] not in idle]:
            del self._idle_since[key]
        for version in idle:
            key = (model, version)
            if now - self._idle_since.setdefault(key, now) >= self._pace.unload:
                self._release(key)

    def _release(self, key: tuple[str, str]) -> None:
        """Take a version out of the table, then forget it when its last request is answered."""
        self._idle_since.pop(key, None)
        self._leaving.add(key)
        self._fit.discard(key)
        if key in self._pinned:
            self._pinned.remove(key)
        loaded = self._fleet.loaded[key]
        self._rebuild(key[0])
        task = asyncio.get_running_loop().create_task(self._fleet.release(loaded))
        self._releases.add(task)
        task.add_done_callback(lambda done: self._released(key, done))

    def _released(self, key: tuple[str, str], task: asyncio.Task[None]) -> None:
        self._releases.discard(task)
        self._leaving.discard(key)
        if not task.cancelled() and task.exception() is not None:
            self._log.error("version-not-released", model=key[0], version=key[1], fault=task.exception())
        self._settle(key[0])


def _resident(model: str, held: Mapping[str, LoadedModel], now: int, *, whole: bool) -> Resident:
    size = sum(loaded.size for loaded in held.values())
    used = max(loaded.used(now) for loaded in held.values())
    return Resident(model, tuple(held), size, used, whole)
