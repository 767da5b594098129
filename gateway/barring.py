"""The registry as a worker sees it that was told not to load certain versions (`gateway.quarantine`).

When the time of one is over, the worker of the first place tries it, the next one a while later, and so on:
what still kills then kills one worker, and the others are told in time.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from gateway.errors import LoadError
from gateway.quarantine import TRIAL_SECONDS, Barred, is_waited_for
from groundwork.clock import Clock
from registry_client.manifest import Manifest
from registry_client.profile import Profile
from registry_client.registry import Registry

_SECOND: Final = 10**9


class BarringRegistry:
    """A registry in front of another, which refuses to hand out what is barred for as long as it is."""

    def __init__(self, inner: Registry, barred: Iterable[Barred], clock: Clock, place: int = 0) -> None:
        """`place` is the worker's, from 0: its turn among those that wait for the same version."""
        self._inner = inner
        self._clock = clock
        self._place = place
        self.bar(barred)

    def bar(self, barred: Iterable[Barred]) -> None:
        """Take this for what is barred from now on."""
        self._barred = {one.key: (one.until, one.reason) for one in barred}

    def models(self) -> list[str]:
        """As the registry behind says."""
        return self._inner.models()

    def strays(self) -> Mapping[str, str]:
        """As the registry behind says."""
        return self._inner.strays()

    def versions(self, name: str) -> list[str]:
        """As the registry behind says."""
        return self._inner.versions(name)

    def manifest(self, name: str, version: str) -> Manifest:
        """As the registry behind says; LoadError while the version is barred."""
        until, reason = self._barred.get((name, version), (0, ""))
        if is_waited_for(until, self._clock.now(), self._place):
            turn = until // _SECOND + round(self._place * TRIAL_SECONDS)
            moment = dt.datetime.fromtimestamp(turn, tz=dt.UTC)
            raise LoadError(
                f"model {name} version {version} is not loaded before {moment:%Y-%m-%dT%H:%M:%SZ}: "
                f"{reason}; undo its promotion, or publish one that does not crash"
            )
        return self._inner.manifest(name, version)

    def artifact(self, manifest: Manifest) -> Path:
        """As the registry behind says."""
        return self._inner.artifact(manifest)

    def profile(self, manifest: Manifest) -> Profile | None:
        """As the registry behind says."""
        return self._inner.profile(manifest)

    def publish(self, manifest: Manifest, model: bytes, profile: bytes | None) -> Manifest:
        """As the registry behind does."""
        return self._inner.publish(manifest, model, profile)
