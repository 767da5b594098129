"""A reconciler over a world, whose loads can be held back: what tests of followed routes stand on."""

import asyncio
from collections.abc import Mapping
from types import MappingProxyType

from gateway.model import LoadedModel
from gateway.reconcile import Reconciler
from gateway.settings import PaceSettings
from groundwork.logs import Log
from rollouts.route import Route
from tests.gateway.worlds import World


class Gates:
    """A fleet whose loads wait until they are let through."""

    def __init__(self, here: World) -> None:
        self._fleet = here.fleet
        self.held: dict[str, asyncio.Event] = {}
        self.asked: list[str] = []

    @property
    def loaded(self) -> Mapping[tuple[str, str], LoadedModel]:
        """What is in memory."""
        return self._fleet.loaded

    def hold(self, version: str) -> asyncio.Event:
        """Let no load of this version through before the event is set."""
        return self.held.setdefault(version, asyncio.Event())

    async def load(self, model: str, version: str, *, joins: LoadedModel | None = None) -> LoadedModel:
        """Load, once let through."""
        self.asked.append(version)
        if version in self.held:
            await self.held[version].wait()
        return await self._fleet.load(model, version, joins=joins)

    async def release(self, loaded: LoadedModel) -> None:
        """Let go."""
        await self._fleet.release(loaded)


class Shown:
    """What the worker has shown."""

    def __init__(self) -> None:
        self.revisions: dict[str, int] = {}
        self.failing: set[tuple[str, str]] = set()
        self._changed = asyncio.Event()

    async def until(self, model: str, revision: int) -> None:
        """Wait until a revision of a model is applied."""
        async with asyncio.timeout(30):
            while self.revisions.get(model) != revision:
                await self._changed.wait()
                self._changed.clear()

    def applied(self, model: str, revision: int) -> None:
        """Note it."""
        self.revisions[model] = revision
        self._changed.set()

    def failed(self, model: str, version: str, *, now: bool) -> None:
        """Note it."""
        (self.failing.add if now else self.failing.discard)((model, version))


class Bench:
    """A reconciler over a world that answers nothing yet."""

    def __init__(self, here: World) -> None:
        here.core.lanes.table = MappingProxyType({})
        self.here = here
        self.gates = Gates(here)
        self.shown = Shown()
        self.pace = PaceSettings()
        log = Log(here.lines, here.clock)
        self.reconciler = Reconciler(here.core.lanes, self.gates, self.pace, here.clock, self.shown, log)

    async def follow(self, *routes: Route) -> None:
        """Follow these routes until nothing is being loaded."""
        self.reconciler.follow({route.model: route for route in routes})
        await self.reconciler.settled()

    def answering(self) -> tuple[str, str | None, int]:
        """Stable, candidate and revision of what answers for `m`."""
        lane = self.here.core.lanes.table["m"]
        return lane.stable.version, lane.candidate.version if lane.candidate else None, lane.route.revision
