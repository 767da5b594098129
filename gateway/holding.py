"""What a worker holds in memory, and what is on its way out: unused for long enough, or to make room.

A version that leaves is out of what is held at once, and forgotten when its last request is answered.
"""

import asyncio
from collections.abc import Callable, Collection
from typing import Protocol

from gateway.lanes import Versions
from gateway.model import LoadedModel
from groundwork.logs import Log

Key = tuple[str, str]
"""A model and one of its versions."""


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


class Holding:
    """Owned by one worker's loop."""

    def __init__(self, fleet: Fleet, log: Log, gone: Callable[[Key], None]) -> None:
        """`gone` is told of a version when it is out of memory."""
        self._fleet = fleet
        self._log = log
        self._gone = gone
        self._idle_since: dict[Key, float] = {}
        self._leaving: set[Key] = set()
        self.releases: set[asyncio.Task[None]] = set()

    def versions(self) -> dict[Key, LoadedModel]:
        """What is held."""
        return {key: loaded for key, loaded in self._fleet.loaded.items() if key not in self._leaving}

    def models(self) -> dict[str, dict[str, LoadedModel]]:
        """What is held: model to version to what it is."""
        held: dict[str, dict[str, LoadedModel]] = {}
        for (model, version), loaded in self.versions().items():
            held.setdefault(model, {})[version] = loaded
        return held

    def is_leaving(self, key: Key) -> bool:
        """Whether this version is on its way out."""
        return key in self._leaving

    def unused(self, model: str, idle: Collection[str], now: float, seconds: float) -> list[Key]:
        """Of a model's versions that are `idle` now, those that have been for so long (monotonic seconds)."""
        for key in [key for key in self._idle_since if key[0] == model and key[1] not in idle]:
            del self._idle_since[key]
        keys = [(model, version) for version in idle]
        return [key for key in keys if now - self._idle_since.setdefault(key, now) >= seconds]

    def let_go(self, key: Key) -> None:
        """Hold a version no longer, and forget it when its last request is answered."""
        self._idle_since.pop(key, None)
        self._leaving.add(key)
        task = asyncio.get_running_loop().create_task(self._fleet.release(self._fleet.loaded[key]))
        self.releases.add(task)
        task.add_done_callback(lambda done: self._released(key, done))

    def _released(self, key: Key, task: asyncio.Task[None]) -> None:
        self.releases.discard(task)
        self._leaving.discard(key)
        if not task.cancelled() and task.exception() is not None:
            self._log.error("version-not-released", model=key[0], version=key[1], fault=task.exception())
        self._gone(key)
