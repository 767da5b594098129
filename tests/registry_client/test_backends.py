"""The contract that every backend keeps, judged over the whole table."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np
import pytest

from registry_client.backends import BACKENDS, open_lasting, open_registry
from registry_client.errors import (
    BadNameError,
    DigestMismatchError,
    RegistryError,
    UnknownModelError,
    UnknownVersionError,
    VersionExistsError,
)
from registry_client.manifest import Manifest
from registry_client.profile import encode, identify
from registry_client.profiling import build_profile
from registry_client.registry import Registry
from tests.registry_client.support import a_manifest

PROFILE = build_profile({"x": np.arange(10)}, {})


@pytest.fixture(params=list(BACKENDS))
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Registry:
    """An empty registry of each kind, with a cache."""
    return open_registry(f"{request.param}:{tmp_path / 'models'}", tmp_path / "cache")


def _add(registry: Registry, model: bytes = b"model", *, name: str = "fraud", version: str = "1") -> Manifest:
    return registry.publish(a_manifest(model, name=name, version=version), model, None)


def test_what_is_published_is_there(registry: Registry) -> None:
    """Manifest and bytes come back as they were given."""
    manifest = _add(registry, b"bytes of a model")
    assert registry.models() == ["fraud"]
    assert registry.versions("fraud") == ["1"]
    assert registry.manifest("fraud", "1") == manifest
    assert registry.artifact(manifest).read_bytes() == b"bytes of a model"
    assert registry.profile(manifest) is None
    assert registry.strays() == {}


def test_profile_comes_back(registry: Registry) -> None:
    """A profile that was published with the model is the one that is read."""
    profile = identify(PROFILE, model="fraud", version="1", digest="d")
    manifest = registry.publish(a_manifest(profile=encode(profile)), b"model", encode(profile))
    assert registry.profile(manifest) == profile


def test_versions_ascend_as_numbers(registry: Registry) -> None:
    """Version 10 comes after version 9."""
    for version in ("10", "9", "2"):
        _add(registry, version=version)
    assert registry.versions("fraud") == ["2", "9", "10"]


def test_same_bytes_twice(registry: Registry) -> None:
    """The same bytes again are accepted, and the first manifest stands."""
    first = _add(registry)
    again = msgspec.structs.replace(first, created="2030-01-01T00:00:00Z")
    assert registry.publish(again, b"model", None) == first


def test_other_bytes(registry: Registry) -> None:
    """Other bytes under a version that exists are refused and change nothing."""
    first = _add(registry)
    with pytest.raises(VersionExistsError, match="fraud version 1"):
        _add(registry, b"other")
    assert registry.artifact(first).read_bytes() == b"model"


def test_other_profile(registry: Registry) -> None:
    """The same model with another profile is not the same version; without one it asks for nothing new."""
    content = encode(PROFILE)
    first = registry.publish(a_manifest(profile=content), b"model", content)
    assert registry.publish(a_manifest(), b"model", None) == first
    other = encode(msgspec.structs.replace(PROFILE, held_out=True))
    with pytest.raises(VersionExistsError, match="profile"):
        registry.publish(a_manifest(profile=other), b"model", other)


def test_racing_publishers(registry: Registry) -> None:
    """Of publishers that race for a version exactly one wins, and the others are told."""
    start = threading.Barrier(8)

    def attempt(number: int) -> bool:
        start.wait()
        try:
            _add(registry, f"model {number}".encode())
        except VersionExistsError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(attempt, range(8)))
    assert sum(won) == 1
    winner = registry.manifest("fraud", "1")
    assert registry.artifact(winner).read_bytes() == f"model {won.index(True)}".encode()


def test_false_manifest(registry: Registry) -> None:
    """A manifest that names other bytes than those offered is refused."""
    with pytest.raises(DigestMismatchError):
        registry.publish(a_manifest(b"one"), b"two", None)
    with pytest.raises(DigestMismatchError):
        registry.publish(a_manifest(), b"model", encode(PROFILE))


def test_damaged_cache_is_mended(registry: Registry) -> None:
    """A copy that was altered in the cache is noticed at the next call and made again."""
    manifest = _add(registry)
    copy = registry.artifact(manifest)
    copy.write_bytes(b"altered")
    assert registry.artifact(manifest).read_bytes() == b"model"


def test_unknown_things(registry: Registry) -> None:
    """An unknown model and an unknown version are told apart, and the known versions are named."""
    _add(registry, version="3")
    assert registry.versions("other") == []
    with pytest.raises(UnknownModelError, match="'other'"):
        registry.manifest("other", "1")
    with pytest.raises(UnknownVersionError, match="it has 3"):
        registry.manifest("fraud", "1")
    with pytest.raises(UnknownVersionError):
        registry.artifact(a_manifest(version="2"))


@pytest.mark.parametrize(
    "call",
    [
        lambda registry: registry.versions("../models"),
        lambda registry: registry.manifest("..", "1"),
        lambda registry: registry.manifest("fraud", "../1"),
        lambda registry: registry.artifact(a_manifest(name=".hidden")),
        lambda registry: registry.publish(a_manifest(name="../up"), b"model", None),
        lambda registry: registry.publish(a_manifest(version="01"), b"model", None),
    ],
)
def test_bad_names(registry: Registry, call: Callable[[Registry], object]) -> None:
    """No name or version that breaks the rule gets anywhere near a path."""
    with pytest.raises(BadNameError):
        call(registry)


def test_unknown_scheme() -> None:
    """A scheme outside the table is refused with those that are in it."""
    with pytest.raises(RegistryError, match="directory:, memory:"):
        open_registry("mlflow://host")


@pytest.mark.parametrize("place", ["", "directory:"])
def test_no_folder_is_named(place: str) -> None:
    """A variable that was never set does not mean the folder that somebody happens to stand in."""
    with pytest.raises(RegistryError, match="wanted the path of a folder, found none"):
        open_registry(place)


def test_plain_path_is_a_directory(tmp_path: Path) -> None:
    """A path without a scheme, as text or as a Path, is a directory."""
    _add(open_registry(str(tmp_path)))
    assert open_registry(tmp_path).models() == ["fraud"]


def test_what_others_are_to_see_is_no_memory_of_one_process(tmp_path: Path) -> None:
    """A folder is opened as ever; memory is refused, with what is wanted."""
    assert open_lasting(tmp_path).models() == []
    with pytest.raises(RegistryError, match=r"it is one process's own, .*; wanted the path of a folder"):
        open_lasting("memory:")


def test_memory_without_cache() -> None:
    """A registry in memory says what it needs to hand out files."""
    registry = open_registry("memory:")
    with pytest.raises(RegistryError, match="cache"):
        registry.artifact(_add(registry))
