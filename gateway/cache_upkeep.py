"""The cache's upkeep, done once for all workers, by the supervisor: copies that nobody needs leave it.

The rules are `registry_client.pruning`. It looks some minutes after the start and then hourly; a registry
that cannot be read is asked again at the next look.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from gateway.cache_settings import CacheSettings
from groundwork.clock import Clock
from groundwork.errors import DriftgateError
from groundwork.logs import Log
from registry_client.pruning import Removed, prune
from registry_client.registry import Registry
from rollouts.store import SqliteStore

FIRST_SECONDS: Final = 300.0
LOOK_SECONDS: Final = 3600.0
_SECOND: Final = 1e9


class CacheUpkeep:
    """The care for one `cache/`; used by one thread at a time."""

    def __init__(  # noqa: PLR0917  what it looks at, by what rules, and whom it tells
        self,
        cache: Path,
        settings: CacheSettings,
        registry: Callable[[], Registry],
        store: SqliteStore,
        count: Callable[[Removed], object],
        clock: Clock,
        log: Log,
    ) -> None:
        """`registry` is opened at each look; `count` is given what one removed."""
        self._cache = cache
        self._settings = settings
        self._registry = registry
        self._store = store
        self._count = count
        self._clock = clock
        self._log = log
        self._next = clock.monotonic() + FIRST_SECONDS

    def use(self, settings: CacheSettings) -> None:
        """Keep to these limits from the next look on."""
        self._settings = settings

    def look(self) -> None:
        """Remove what is not needed, where it is time to look; never raises."""
        now = self._clock.monotonic()
        if now < self._next:
            return
        self._next = now + LOOK_SECONDS
        try:
            named = {
                (route.model, version)
                for route in self._store.routes().values()
                for version in route.versions()
            }
            removed = prune(
                self._cache,
                self._registry(),
                named,
                self._clock.now() / _SECOND,
                keep=self._settings.keep,
                most=self._settings.max_bytes,
            )
        except (DriftgateError, OSError) as error:
            self._log.warning("cache-not-pruned", fault=error)
            return
        if removed != Removed():
            self._count(removed)
            self._log.info("cache-pruned", gone=removed.gone, room=removed.room)
