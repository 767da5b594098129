"""Copies that nobody needs any more leave `cache/`: it must not grow for ever with versions that are gone.

    gone    the registry lacks the version and no route names it, for so long: its manifest, model and profile
            are removed, and so are files that no manifest here speaks of
    room    the copies are larger than so much together: of those that no route names the oldest go first; the
            registry has them still

Rules: what a route names is never removed. Where the registry cannot be read, nothing is. When a version was
last there is the time of its manifest's copy, set anew at each look. Whatever is removed can be copied again.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Final

import msgspec

from registry_client.errors import ManifestError
from registry_client.manifest import Manifest, decode_manifest
from registry_client.registry import Registry
from registry_client.remembered import MANIFESTS

_SUFFIXES: Final = frozenset({".onnx", ".profile", ".optimised"})

Key = tuple[str, str]


class Removed(msgspec.Struct, frozen=True):
    """How many files were removed, by why."""

    gone: int = 0
    room: int = 0


class _Copy(msgspec.Struct, frozen=True):
    """A version of which there are copies."""

    place: Path
    manifest: Manifest

    @property
    def key(self) -> Key:
        return (self.manifest.name, self.manifest.version)

    @property
    def digests(self) -> set[str]:
        """The names, without suffix, of its files."""
        found = (self.manifest.digest, self.manifest.profile_digest or "")
        return {digest.removeprefix("sha256:") for digest in found if digest}


def prune(
    cache: Path,
    registry: Registry,
    named: AbstractSet[Key],
    now: float,
    *,
    keep: float,
    most: int,
) -> Removed:
    """Look once, at `now` (unix seconds); `named` are the (model, version) of every route.

    `keep` is how long (seconds) what nobody needs stays, `most` the bytes above which more of it leaves.

    RegistryError or OSError where the registry, or the cache, cannot be read: nothing more is removed then.
    """
    copies = list(_copies(cache))
    there = {copy.key for copy in copies} & (
        _published(registry, {copy.manifest.name for copy in copies}) | named
    )
    left, gone = [], 0
    for copy in copies:
        if copy.key in there:
            os.utime(copy.place, (now, now))
        if copy.key in there or now - copy.place.stat().st_mtime < keep:
            left.append(copy)
        else:
            gone += _remove([copy.place])
    needed = _digests(left)
    gone += _remove(
        file for file in _files(cache) if _digest(file) not in needed and now - file.stat().st_mtime >= keep
    )
    return Removed(gone, _make_room(cache, left, named, most))


def _make_room(cache: Path, copies: list[_Copy], named: AbstractSet[Key], most: int) -> int:
    """Remove the oldest that no route names until the rest is small enough; how many files."""
    sizes = {file: file.stat().st_size for file in _files(cache)}
    total = sum(sizes.values())
    bound = _digests(copy for copy in copies if copy.key in named)
    removed = 0
    for file in sorted(sizes, key=lambda file: file.stat().st_mtime):
        if total <= most:
            break
        if _digest(file) not in bound:
            total -= sizes[file]
            removed += _remove([file])
    return removed


def _published(registry: Registry, names: Collection[str]) -> set[Key]:
    """Every version of these models that the registry has."""
    return {(name, version) for name in names for version in registry.versions(name)}


def _copies(cache: Path) -> Iterator[_Copy]:
    for place in sorted((cache / MANIFESTS).glob("*.json")):
        try:
            yield _Copy(place, decode_manifest(place.read_bytes(), where=str(place)))
        except (ManifestError, FileNotFoundError):
            continue


def _files(cache: Path) -> list[Path]:
    """Models (published, optimised), profiles, and what a copying that was killed has left of them."""
    try:
        return [path for path in cache.iterdir() if _SUFFIXES & set(path.suffixes)]
    except FileNotFoundError:
        return []


def _digest(file: Path) -> str:
    """The digest that a file's name begins with; nothing for what a copying that was killed has left."""
    return file.name.partition(".")[0]


def _digests(copies: Iterator[_Copy] | Collection[_Copy]) -> set[str]:
    return {digest for copy in copies for digest in copy.digests}


def _remove(files: Iterator[Path] | Collection[Path]) -> int:
    count = 0
    for file in files:
        file.unlink(missing_ok=True)
        count += 1
    return count
