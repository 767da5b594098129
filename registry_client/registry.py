"""The registry contract: seven operations, and the rule of what counts as the same version.

Rules for every backend: a version appears whole or not at all and never changes; names and versions are
checked before they touch anything; a model's bytes are verified each time they are handed out. The contract
knows no place where models are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from registry_client.errors import DigestMismatchError, VersionExistsError
from registry_client.manifest import Manifest, check_name, check_version, digest_of
from registry_client.profile import Profile


class Registry(Protocol):
    """Where models are kept."""

    def models(self) -> list[str]:
        """The names of all models that have a version, sorted.

        Raises:
            RegistryError: the registry is not there or cannot be read.
        """

    def strays(self) -> Mapping[str, str]:
        """What lies there like a model and is no version of one: place to why, one line each; never raises.

        Empty where nothing gets in but by `publish`.
        """

    def versions(self, name: str) -> list[str]:
        """The versions of a model, ascending as numbers; empty when it has none.

        Raises:
            BadNameError: the name breaks the naming rule.
        """

    def manifest(self, name: str, version: str) -> Manifest:
        """The manifest of one version.

        Raises:
            BadNameError: the name or the version breaks its rule.
            UnknownModelError: the model has no version.
            UnknownVersionError: the model has others, but not this one.
            ManifestError: the manifest is damaged.
        """

    def artifact(self, manifest: Manifest) -> Path:
        """A local file with the model's bytes, verified against the manifest's digest at this call.

        Raises:
            UnknownVersionError: the version is gone.
            DigestMismatchError: the bytes are not those that were published.
        """

    def profile(self, manifest: Manifest) -> Profile | None:
        """The reference profile, or None when the version was published without one.

        Raises:
            ProfileError: it is missing, cut or altered.
        """

    def publish(self, manifest: Manifest, model: bytes, profile: bytes | None) -> Manifest:
        """Add a version; returns the manifest that is stored afterwards.

        The same bytes under the same version are accepted again and change nothing.

        Raises:
            BadNameError: the name or the version breaks its rule.
            DigestMismatchError: the manifest's digests are not those of the bytes.
            VersionExistsError: other bytes are already there.
        """


def check_offer(manifest: Manifest, model: bytes, profile: bytes | None) -> None:
    """Refuse an offer that no backend may store.

    Raises:
        BadNameError: the name or the version breaks its rule.
        DigestMismatchError: the manifest speaks of other bytes.
    """
    title = f"{check_name(manifest.name)} version {check_version(manifest.version)}"
    if digest_of(model) != manifest.digest or len(model) != manifest.size:
        raise DigestMismatchError(
            f"{title}: the manifest names {manifest.digest} over {manifest.size} bytes, the model offered is "
            f"{digest_of(model)} over {len(model)}"
        )
    if (None if profile is None else digest_of(profile)) != manifest.profile_digest:
        raise DigestMismatchError(
            f"{title}: the manifest names another reference profile than the one offered"
        )


def is_same(stored: Manifest, offered: Manifest) -> bool:
    """Whether the offer asks for nothing that is not stored; without a profile it asks for none."""
    return stored.digest == offered.digest and offered.profile_digest in (None, stored.profile_digest)


def settle(stored: Manifest, offered: Manifest) -> Manifest:
    """The stored manifest, when what is offered is the same; creation time and wording may differ.

    Raises:
        VersionExistsError: the model's bytes or the profile's differ.
    """
    if is_same(stored, offered):
        return stored
    title = f"{stored.name} version {stored.version}"
    if stored.digest != offered.digest:
        raise VersionExistsError(
            f"{title} already holds {stored.digest[:19]}…, offered {offered.digest[:19]}…; "
            "versions never change: publish under a new version"
        )
    raise VersionExistsError(
        f"{title} already holds this model with another reference profile; publish under a new version"
    )
