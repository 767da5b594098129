"""A registry in a directory: ``DIR/name/version/{model.onnx, manifest.json, profile.json}``.

Rules: a version's folder appears by one rename and never changes; a folder with only ``model.onnx`` in it is
a version too, whose manifest says what the bytes alone say; names that break the naming rule are strays,
hidden and staged folders are not there. Permissions follow the umask, because other programs read this
directory.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from registry_client.cache import cached, verified
from registry_client.errors import (
    ManifestError,
    ProfileError,
    RegistryError,
    UnknownModelError,
    UnknownVersionError,
)
from registry_client.manifest import (
    NAME_PATTERN,
    VERSION_PATTERN,
    Manifest,
    check_name,
    check_version,
    decode_manifest,
    digest_of,
    encode_manifest,
)
from registry_client.profile import Profile, decode
from registry_client.registry import check_offer, settle
from registry_client.staging import appear
from registry_client.strays import MODEL, strays

MANIFEST: Final = "manifest.json"
PROFILE: Final = "profile.json"


class DirectoryRegistry:
    """Models in a folder of a file system; any number of readers and publishers, in any processes."""

    def __init__(self, location: str | Path, cache: Path | None = None) -> None:
        self._root = Path(location)
        self._cache = cache

    def models(self) -> list[str]:
        """The names of all models that have a version, sorted; RegistryError when the folder is missing.

        A model whose own folder cannot be read is among them: who asks for its versions is told why.
        """
        with _readable(self._root, "models folder "):
            if not self._root.is_dir():
                raise RegistryError(
                    f"models folder {self._root}: not found; create it, publish a model into it, or name "
                    "another with --models"
                )
            names = _folders(self._root, NAME_PATTERN)
        return [name for name in names if self._has_versions(name)]

    def strays(self) -> Mapping[str, str]:
        """Places below the folder that hold an ONNX file and are no version: place to why."""
        return strays(self._root)

    def versions(self, name: str) -> list[str]:
        """The versions of a model, ascending as numbers."""
        return self._listed(check_name(name))

    def manifest(self, name: str, version: str) -> Manifest:
        """The manifest of one version; where there is none, one read of the model to find its digest."""
        place = self._place(name, version)
        try:
            content = (place / MANIFEST).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return self._bare(name, version, place)
        except OSError as error:
            raise _denied(error, place / MANIFEST) from error
        title = f"{name} version {version}: {MANIFEST}"
        manifest = decode_manifest(content, where=title)
        if (manifest.name, manifest.version) != (name, version):
            raise ManifestError(
                f"{title}: speaks of {manifest.name} version {manifest.version}; a version cannot be copied "
                "to another place by hand: publish it"
            )
        return manifest

    def artifact(self, manifest: Manifest) -> Path:
        """A verified local file: the cache's copy, or without a cache the file itself.

        The registry's own file is hashed as well: a copy of what should be there says nothing of it.
        """
        model = self._place(manifest.name, manifest.version) / MODEL
        try:
            with _readable(model):
                verified(model, manifest)
            if self._cache is None:
                return model
            return cached(self._cache, manifest, lambda: model.open("rb"), origin=str(model))
        except FileNotFoundError:
            raise self._unknown(manifest.name, manifest.version) from None

    def profile(self, manifest: Manifest) -> Profile | None:
        """The reference profile, checked against its digest."""
        if manifest.profile_digest is None:
            return None
        where = f"{manifest.name} version {manifest.version}: {PROFILE}"
        try:
            content = (self._place(manifest.name, manifest.version) / PROFILE).read_bytes()
        except FileNotFoundError:
            raise ProfileError(f"{where}: missing; publish a new version with its reference") from None
        except OSError as error:
            raise ProfileError(str(_denied(error, Path(where)))) from error
        if digest_of(content) != manifest.profile_digest:
            raise ProfileError(
                f"{where}: cut or altered: wanted {manifest.profile_digest}, found {digest_of(content)} over "
                f"{len(content)} bytes; publish a new version with its reference"
            )
        return decode(content, where=where)

    def publish(self, manifest: Manifest, model: bytes, profile: bytes | None) -> Manifest:
        """Stage, sync and rename; when somebody was there first, the same bytes are still welcome."""
        check_offer(manifest, model, profile)
        files = {MODEL: model, MANIFEST: encode_manifest(manifest)}
        if profile is not None:
            files[PROFILE] = profile
        place = self._place(manifest.name, manifest.version)
        try:
            if not (place / MODEL).exists() and appear(self._root, place, files):
                return manifest
        except OSError as error:
            raise RegistryError(
                f"models folder {self._root}: cannot be written ({error.strerror}); give a folder that can"
            ) from error
        try:
            return settle(self.manifest(manifest.name, manifest.version), manifest)
        except (UnknownModelError, UnknownVersionError):
            raise RegistryError(
                f"{manifest.name} version {manifest.version}: {place} exists and holds no model; remove it"
            ) from None

    def _place(self, name: str, version: str) -> Path:
        return self._root / check_name(name) / check_version(version)

    def _has_versions(self, name: str) -> bool:
        try:
            return bool(self._listed(name))
        except RegistryError:
            return True

    def _listed(self, name: str) -> list[str]:
        folder = self._root / name
        with _readable(folder):
            found = [v for v in _folders(folder, VERSION_PATTERN) if (folder / v / MODEL).is_file()]
        return sorted(found, key=int)

    def _bare(self, name: str, version: str, place: Path) -> Manifest:
        try:
            with _readable(place / MODEL), (place / MODEL).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
                size = file.tell()
            changed = (place / MODEL).stat().st_mtime
        except (FileNotFoundError, NotADirectoryError):
            raise self._unknown(name, version) from None
        created = datetime.fromtimestamp(int(changed), UTC).isoformat().replace("+00:00", "Z")
        return Manifest(
            name=name, version=version, digest=f"sha256:{found}", size=size, created=created, source="onnx"
        )

    def _unknown(self, name: str, version: str) -> RegistryError:
        known = self._listed(name)
        if not known and not self._root.is_dir():
            said = (
                f"model {name!r} has no version in {self._root}, which is not there; bring that folder back"
            )
            return UnknownModelError(said)
        if not known:
            return UnknownModelError(f"model {name!r} has no version in {self._root}; publish one")
        return UnknownVersionError(f"model {name!r} has no version {version}; it has {', '.join(known)}")


@contextlib.contextmanager
def _readable(path: Path, what: str = "") -> Iterator[None]:
    """What the system does not let us read is a RegistryError that names it; what is not there stays so."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise _denied(error, path, what) from error


def _denied(error: OSError, path: Path, what: str = "") -> RegistryError:
    refused = isinstance(error, PermissionError)
    remedy = f"let the user of this program (uid {os.geteuid()}) read it" if refused else "restore it"
    return RegistryError(
        f"{what}{error.filename or path}: cannot be read ({error.strerror}); {remedy}, or name another "
        "folder with --models"
    )


def _folders(folder: Path, pattern: str) -> list[str]:
    """The sub-folders whose names match, sorted; none when the folder is missing."""
    wanted = re.compile(pattern)
    try:
        return sorted(
            entry.name for entry in folder.iterdir() if wanted.fullmatch(entry.name) and entry.is_dir()
        )
    except (FileNotFoundError, NotADirectoryError):
        return []
