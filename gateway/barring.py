"""The registry as a worker sees it that was told not to load certain versions (`gateway.quarantine`)."""

import datetime as dt
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from gateway.errors import LoadError
from gateway.quarantine import Barred
from groundwork.clock import Clock
from registry_client.manifest import Manifest
from registry_client.profile import Profile
from registry_client.registry import Registry

_SECOND: Final = 10**9


class BarringRegistry:
    """A registry in front of another, which refuses to hand out what is barred for as long as it is."""

    def __init__(self, inner: Registry, barred: Iterable[Barred], clock: Clock) -> None:
        self._inner = inner
        self._barred = {one.key: one for one in barred}
        self._clock = clock

    def models(self) -> list[str]:
        """As the registry behind says."""
        return self._inner.models()

    def versions(self, name: str) -> list[str]:
        """As the registry behind says."""
        return self._inner.versions(name)

    def manifest(self, name: str, version: str) -> Manifest:
        """As the registry behind says; LoadError while the version is barred."""
        barred = self._barred.get((name, version))
        if barred is not None and self._clock.now() < barred.until:
            until = dt.datetime.fromtimestamp(barred.until // _SECOND, tz=dt.UTC)
            raise LoadError(
                f"model {name} version {version} is not loaded before {until:%Y-%m-%dT%H:%M:%SZ}: "
                f"{barred.reason}; undo its promotion, or publish one that does not crash"
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
