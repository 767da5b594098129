"""What the registry says of the versions in the log, read once: versions never change.

Rules: a version that cannot be read, or whose reference profile cannot, is not fatal and not final: it is
asked for again after twice as many frames as the last time (1, 2, 4 … 1024), and its last error is there to
be shown. A frame whose digest is not the manifest's is not of this version, whatever it is called.
"""

from typing import Final

import msgspec

from groundwork.errors import DriftgateError
from registry_client.manifest import Manifest
from registry_client.profile import Profile
from registry_client.registry import Registry

_LONGEST_PAUSE: Final = 1_024


class Known(msgspec.Struct, frozen=True):
    """One version: its manifest and profile, or why they are not there."""

    manifest: Manifest | None
    profile: Profile | None
    problem: str

    @property
    def whole(self) -> bool:
        """Whether everything was read that the version was published with."""
        return self.manifest is not None and (
            self.manifest.profile_digest is None or self.profile is not None
        )


class Catalogue:
    """The one reader of the registry in this program."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._known: dict[tuple[str, str], Known] = {}
        self._pause: dict[tuple[str, str], int] = {}
        self._frames: dict[tuple[str, str], int] = {}

    def version(self, model: str, version: str, digest: str = "") -> Known:
        """What is known of a version whose frames carry `digest` (empty: not said)."""
        key = (model, version)
        known = self._known.get(key)
        if known is None or (not known.whole and self._is_time(key)):
            known = self._known[key] = self._read(model, version)
        if known.manifest is not None and digest and known.manifest.digest != digest:
            return Known(
                None,
                None,
                f"{model} version {version}: the log says {digest[:19]}…, the registry"
                f" {known.manifest.digest[:19]}…; they are two models under one name",
            )
        return known

    def holds(self, model: str, version: str | None) -> bool:
        """Whether the registry has the model, and this version of it where one is named; it is asked now."""
        try:
            versions = self._registry.versions(model)
        except (DriftgateError, OSError):
            return False
        return bool(versions) if version is None else version in versions

    def _is_time(self, key: tuple[str, str]) -> bool:
        """Whether enough frames went by since the last failure."""
        frames = self._frames.get(key, 0) + 1
        pause = self._pause.get(key, 1)
        due = frames >= pause
        self._frames[key] = 0 if due else frames
        self._pause[key] = min(_LONGEST_PAUSE, pause * 2) if due else pause
        return due

    def _read(self, model: str, version: str) -> Known:
        try:
            manifest = self._registry.manifest(model, version)
        except (DriftgateError, OSError) as error:
            return Known(None, None, f"no manifest: {error}")
        try:
            profile = self._registry.profile(manifest)
        except (DriftgateError, OSError) as error:
            return Known(manifest, None, f"no reference profile: {error}")
        return Known(manifest, profile, "" if profile else "no reference profile")
