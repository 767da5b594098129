"""What the parent keeps in order beside its workers: the log's size and age, the cache, the room for slots.

It also says what in the registry nobody serves.

The log is looked at by a task of its own, for a disk fills whatever workers do; the rest after each sweep, in
its thread, for then room may have come free.
"""

import asyncio
import functools
from collections.abc import Callable
from pathlib import Path

from gateway.cache_upkeep import CacheUpkeep
from gateway.rewriter import Rewriter
from gateway.settings import GatewaySettings
from gateway.slot_room import ballast_of
from gateway.stray_watch import StrayWatch
from gateway.upkeep import Upkeep
from groundwork.clock import Clock
from groundwork.logs import Log
from registry_client.backends import open_registry
from registry_client.pruning import Removed
from rollouts.store import SqliteStore


class Chores:
    """Those of one gateway; made, begun and closed on the supervisor's loop."""

    def __init__(
        self, settings: GatewaySettings, count: Callable[[Removed], object], clock: Clock, log: Log
    ) -> None:
        """`count` is told what was removed from the cache."""
        data = Path(settings.data)
        cache = data / "cache"
        self._upkeep = Upkeep(data / "log", settings.log, clock, log)
        self._ballast = ballast_of(data, settings.workers + 1)
        self._store = SqliteStore(data / "rollouts.db", clock)
        registry = functools.partial(open_registry, settings.models, cache)
        self._cache = CacheUpkeep(cache, settings.cache, registry, self._store, count, clock, log)
        self._strays = StrayWatch(registry, clock, log)
        self._rewriter = Rewriter(cache, log)
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self) -> None:
        """Look after the log, and what copies are wanted, from now on."""
        self._tasks = [asyncio.create_task(task.run()) for task in (self._upkeep, self._rewriter)]

    def tend(self) -> None:
        """Look after the rest, in whichever thread; never raises."""
        self._ballast.ensure()
        self._cache.look()
        self._strays.look()

    def use(self, settings: GatewaySettings) -> None:
        """Keep to these limits from the next look on."""
        self._upkeep.use(settings.log)
        self._cache.use(settings.cache)

    async def close(self) -> None:
        """Look no more, once the look under way is over."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._upkeep.close()
        self._store.close()
