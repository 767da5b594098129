"""A registry in a dictionary: the reference backend, for tests and examples.

Rules: those of every backend; the models live as long as the object. It needs a cache folder only to hand
out files.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Mapping
from pathlib import Path

from registry_client.cache import cached
from registry_client.errors import ProfileError, RegistryError, UnknownModelError, UnknownVersionError
from registry_client.manifest import Manifest, check_name, check_version, digest_of
from registry_client.profile import Profile, decode
from registry_client.registry import check_offer, settle


class MemoryRegistry:
    """Models in memory; safe between threads, invisible to other processes."""

    def __init__(self, location: str = "", cache: Path | None = None) -> None:
        self.location = location
        self._cache = cache
        self._lock = threading.Lock()
        self._stored: dict[str, dict[str, tuple[Manifest, bytes, bytes | None]]] = {}

    def models(self) -> list[str]:
        """The names of all models, sorted."""
        return sorted(self._stored)

    def strays(self) -> Mapping[str, str]:
        """None: whatever is here was published."""
        return {}

    def versions(self, name: str) -> list[str]:
        """The versions of a model, ascending as numbers."""
        return sorted(self._stored.get(check_name(name), {}), key=int)

    def manifest(self, name: str, version: str) -> Manifest:
        """The manifest of one version."""
        return self._find(name, version)[0]

    def artifact(self, manifest: Manifest) -> Path:
        """A verified copy in the cache folder; RegistryError without one."""
        model = self._find(manifest.name, manifest.version)[1]
        if self._cache is None:
            raise RegistryError(
                "a registry in memory needs a cache folder to hand out files; open it with one"
            )
        return cached(self._cache, manifest, lambda: io.BytesIO(model), origin="in memory")

    def profile(self, manifest: Manifest) -> Profile | None:
        """The reference profile, checked against its digest."""
        if manifest.profile_digest is None:
            return None
        where = f"{manifest.name} version {manifest.version}: reference profile"
        content = self._find(manifest.name, manifest.version)[2]
        if content is None or digest_of(content) != manifest.profile_digest:
            raise ProfileError(f"{where}: missing or altered; publish a new version with its reference")
        return decode(content, where=where)

    def publish(self, manifest: Manifest, model: bytes, profile: bytes | None) -> Manifest:
        """Add a version under the lock."""
        check_offer(manifest, model, profile)
        with self._lock:
            versions = self._stored.setdefault(manifest.name, {})
            stored = versions.setdefault(manifest.version, (manifest, model, profile))
        return settle(stored[0], manifest)

    def _find(self, name: str, version: str) -> tuple[Manifest, bytes, bytes | None]:
        versions = self._stored.get(check_name(name), {})
        check_version(version)
        if not versions:
            raise UnknownModelError(f"model {name!r} has no version; publish one")
        if version not in versions:
            raise UnknownVersionError(
                f"model {name!r} has no version {version}; it has {', '.join(sorted(versions, key=int))}"
            )
        return versions[version]
