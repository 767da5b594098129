"""When the cache is looked at, and what comes of it."""

import io
from pathlib import Path

from gateway.cache_settings import CacheSettings
from gateway.cache_upkeep import FIRST_SECONDS, LOOK_SECONDS, CacheUpkeep
from groundwork.clock import FakeClock
from groundwork.logs import Log
from registry_client.errors import RegistryError
from registry_client.memory import MemoryRegistry
from registry_client.pruning import Removed
from registry_client.registry import Registry
from rollouts.store import SqliteStore
from tests import models


def test_it_is_looked_at_now_and_then(tmp_path: Path) -> None:
    """Not at the start, then hourly; what is removed is counted and said, and a fault is only said."""
    clock, lines, counted = FakeClock(), io.StringIO(), list[Removed]()
    cache, settings = tmp_path / "cache", CacheSettings()
    registry = MemoryRegistry(cache=cache)
    manifest = models.publish(registry, "m", "1", models.logistic(2))
    place = registry.artifact(manifest)
    away = False

    def opened() -> Registry:
        if away:
            raise RegistryError("the registry is gone")
        return MemoryRegistry(cache=cache)

    store = SqliteStore(tmp_path / "rollouts.db", clock)
    upkeep = CacheUpkeep(cache, settings, opened, store, counted.append, clock, Log(lines, clock))
    clock.advance(settings.keep - clock.now() / 1e9 + place.stat().st_mtime)
    late = CacheUpkeep(cache, settings, opened, store, counted.append, clock, Log(lines, clock))
    late.look()
    assert place.exists()
    clock.advance(FIRST_SECONDS)
    away = True
    late.look()
    assert "cache-not-pruned" in lines.getvalue()
    away = False
    late.look()
    assert place.exists()
    clock.advance(LOOK_SECONDS)
    late.look()
    assert (place.exists(), counted) == (False, [Removed(gone=1)])
    assert "cache-pruned" in lines.getvalue()
    upkeep.look()
    assert len(counted) == 1
    store.close()


def test_other_limits_are_kept_to_from_the_next_look_on(tmp_path: Path) -> None:
    """A reload changes how much is kept, without a restart."""
    clock, counted = FakeClock(), list[Removed]()
    cache = tmp_path / "cache"
    place = MemoryRegistry(cache=cache)
    copied = place.artifact(models.publish(place, "m", "1", models.logistic(2)))
    store = SqliteStore(tmp_path / "rollouts.db", clock)
    log = Log(io.StringIO(), clock)
    upkeep = CacheUpkeep(cache, CacheSettings(), lambda: place, store, counted.append, clock, log)
    clock.advance(FIRST_SECONDS)
    upkeep.look()
    assert copied.exists()
    upkeep.use(CacheSettings(max_bytes=0))
    clock.advance(LOOK_SECONDS)
    upkeep.look()
    assert (copied.exists(), counted) == (False, [Removed(room=1)])
    store.close()
