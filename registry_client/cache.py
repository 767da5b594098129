"""Verified copies of models, named by their digest.

Rules: a file in the cache is complete or absent; whatever is handed out was hashed at this call. A damaged
copy is replaced from its source; a damaged source is an error. It knows no registry.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

from groundwork.files import FULL
from registry_client.errors import DigestMismatchError, RegistryError
from registry_client.manifest import Manifest

_CHUNK: Final = 1 << 20


def verified(path: Path, manifest: Manifest) -> Path:
    """The path itself, when its bytes have the manifest's digest; one read of the whole file.

    Raises:
        DigestMismatchError: they have another.
        FileNotFoundError: the file is not there.
    """
    with path.open("rb") as file:
        found = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
    if found != manifest.digest:
        raise _mismatch(manifest, found, str(path))
    return path


def cached(folder: Path, manifest: Manifest, source: Callable[[], BinaryIO], *, origin: str) -> Path:
    """The cache's copy of a model, made from ``source`` when it is missing or damaged.

    ``origin`` names the source's file in errors.

    Raises:
        DigestMismatchError: the source's bytes are not those of the manifest.
        RegistryError: there is no room for the copy.
    """
    place = folder / f"{manifest.digest.removeprefix('sha256:')}.onnx"
    if place.exists():
        try:
            return verified(place, manifest)
        except DigestMismatchError:
            place.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    beside = folder / f".{place.name}.{secrets.token_hex(6)}"
    try:
        found = _copy(source, beside)
        if found != manifest.digest:
            raise _mismatch(manifest, found, origin)
        beside.replace(place)
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise RegistryError(
            f"{manifest.name} version {manifest.version}: no room for its copy of {manifest.size} bytes in "
            f"{folder}; free disk space"
        ) from error
    finally:
        beside.unlink(missing_ok=True)
    return place


def _copy(source: Callable[[], BinaryIO], to: Path) -> str:
    """Copy all bytes; returns their digest."""
    hasher = hashlib.sha256()
    descriptor = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with source() as reader, open(descriptor, "wb") as writer:  # noqa: PTH123  opens a descriptor
        while chunk := reader.read(_CHUNK):
            hasher.update(chunk)
            writer.write(chunk)
        writer.flush()
        os.fsync(descriptor)
    return "sha256:" + hasher.hexdigest()


def _mismatch(manifest: Manifest, found: str, where: str) -> DigestMismatchError:
    return DigestMismatchError(
        f"{manifest.name} version {manifest.version}: wanted {manifest.digest}, found {found} "
        f"({where}); the file was altered: restore it, or publish the model as a new version"
    )
