"""A registry that may go away: what was handed out once is handed out again.

    cache/<digest>.onnx                   the model, as every backend keeps it
    cache/manifests/<name>@<version>.json the manifest
    cache/<digest>.profile                the reference profile

Rules: while the registry answers, it alone is believed. A copy is used only where the registry cannot be
read, or no longer has the version; a manifest that is damaged there stays an error. A copy of a model or of a
profile is checked by its digest at every use, so it stands in for a damaged one too: a version that answers
can be loaded again. `faults` says what is handed out from a copy, and why.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from groundwork.errors import DriftgateError
from groundwork.files import write_atomic
from registry_client.cache import verified
from registry_client.errors import (
    ManifestError,
    ProfileError,
    RegistryError,
    UnknownModelError,
    UnknownVersionError,
)
from registry_client.manifest import Manifest, decode_manifest, digest_of, encode_manifest
from registry_client.profile import Profile, decode, encode
from registry_client.registry import Registry

Key = tuple[str, str]
MANIFESTS: Final = "manifests"


class Remembered:
    """A registry and the copies of what came from it; used by any thread, a version by one at a time."""

    def __init__(self, registry: Registry, cache: Path) -> None:
        self._registry = registry
        self._cache = cache
        self._faults: dict[Key, str] = {}
        self._copied: dict[Key, Manifest] = {}

    @property
    def faults(self) -> Mapping[Key, str]:
        """(name, version) to why it comes, or might one day not come, from a copy; a snapshot."""
        return MappingProxyType(dict(self._faults))

    def models(self) -> list[str]:
        """As the registry says; copies are no models of their own."""
        return self._registry.models()

    def strays(self) -> Mapping[str, str]:
        """As the registry says."""
        return self._registry.strays()

    def versions(self, name: str) -> list[str]:
        """As the registry says."""
        return self._registry.versions(name)

    def manifest(self, name: str, version: str) -> Manifest:
        """The registry's manifest; the copy of it where the registry is away."""
        key = (name, version)
        try:
            manifest = self._registry.manifest(name, version)
        except (RegistryError, OSError) as error:
            copy = self._copy(name, version) if _is_away(error) else None
            if copy is None:
                raise
            self._copied[key] = copy
            self._faults[key] = f"comes from the copy in {self._cache.name}/, the registry lacks it: {error}"
            return copy
        self._copied.pop(key, None)
        self._faults.pop(key, None)
        return manifest

    def artifact(self, manifest: Manifest) -> Path:
        """The registry's verified file, whose manifest is then remembered; the copy where it is away.

        One that is damaged in the registry, or cannot be read, comes from its copy as well if this version
        was handed out before, and that is a fault; a version that never was is refused.
        """
        if self._is_copy(manifest):
            return verified(self._model(manifest), manifest)
        try:
            path = self._registry.artifact(manifest)
        except (RegistryError, OSError) as error:
            if self._copy(manifest.name, manifest.version) != manifest:
                raise
            path = verified(self._model(manifest), manifest)
            self._faults[manifest.name, manifest.version] = (
                f"its model comes from the copy in {self._cache.name}/: {error}"
            )
            return path
        self._keep(manifest, self._place(manifest.name, manifest.version), encode_manifest(manifest))
        return path

    def profile(self, manifest: Manifest) -> Profile | None:
        """The registry's profile, which is then remembered; the copy, or None, where it is away.

        One that is damaged in the registry comes from its copy as well, if there is one, and that is a fault.
        """
        if self._is_copy(manifest):
            return self._copied_profile(manifest)
        try:
            profile = self._registry.profile(manifest)
        except ProfileError as error:
            copy = self._copied_profile(manifest)
            if copy is None:
                raise
            self._faults[manifest.name, manifest.version] = (
                f"its profile comes from the copy in {self._cache.name}/: {error}"
            )
            return copy
        if profile is not None and digest_of(encode(profile)) == manifest.profile_digest:
            self._keep(manifest, self._profile(manifest), encode(profile))
        return profile

    def publish(self, manifest: Manifest, model: bytes, profile: bytes | None) -> Manifest:
        """Publish into the registry; nothing is remembered before it is handed out."""
        return self._registry.publish(manifest, model, profile)

    def look(self) -> None:
        """Ask the registry again for what came from copies; what it has again is no fault any more."""
        for key, copy in list(self._copied.items()):
            try:
                found = self._registry.manifest(*key)
            except (RegistryError, OSError):
                continue
            if found.digest == copy.digest:
                del self._copied[key]
                self._faults.pop(key, None)
            else:
                self._faults[key] = (
                    f"comes from the copy in {self._cache.name}/ ({copy.digest[:19]}…), the registry has "
                    f"other bytes under this version ({found.digest[:19]}…); versions never change: publish "
                    "a new one"
                )

    def _copied_profile(self, manifest: Manifest) -> Profile | None:
        """What the manifest's digest says the profile is; None where there is no such copy."""
        if manifest.profile_digest is None:
            return None
        try:
            content = self._profile(manifest).read_bytes()
        except OSError:
            return None
        return decode(content) if digest_of(content) == manifest.profile_digest else None

    def _is_copy(self, manifest: Manifest) -> bool:
        return self._copied.get((manifest.name, manifest.version)) == manifest

    def _keep(self, manifest: Manifest, place: Path, content: bytes) -> None:
        """Write a copy, or say why there is none: what is asked for is there all the same."""
        try:
            if place.is_file() and place.read_bytes() == content:
                return
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomic(place, content)
        except (DriftgateError, OSError) as error:
            self._faults[manifest.name, manifest.version] = f"no copy for when the registry is away: {error}"

    def _copy(self, name: str, version: str) -> Manifest | None:
        """The manifest that was handed out before, if its model is still here."""
        try:
            content = self._place(name, version).read_bytes()
            copy = decode_manifest(content, where=f"copy of {name} version {version}")
        except (ManifestError, OSError):
            return None
        is_it = (copy.name, copy.version) == (name, version)
        return copy if is_it and self._model(copy).is_file() else None

    def _place(self, name: str, version: str) -> Path:
        return self._cache / MANIFESTS / f"{name}@{version}.json"

    def _model(self, manifest: Manifest) -> Path:
        return self._cache / f"{manifest.digest.removeprefix('sha256:')}.onnx"

    def _profile(self, manifest: Manifest) -> Path:
        return self._cache / f"{(manifest.profile_digest or '').removeprefix('sha256:')}.profile"


def _is_away(error: Exception) -> bool:
    """Whether the registry could not be read or has the version no more, and not that it is damaged there."""
    gone = isinstance(error, (OSError, UnknownModelError, UnknownVersionError))
    return gone or type(error) is RegistryError
