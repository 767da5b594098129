"""What leaves the cache, and what never does."""

import os
from pathlib import Path

import pytest

from registry_client.errors import RegistryError
from registry_client.memory import MemoryRegistry
from registry_client.pruning import Removed
from registry_client.pruning import prune as prune_by
from registry_client.registry import Registry
from registry_client.remembered import MANIFESTS, Remembered
from tests import models

NOW = 2_000_000_000.0
MIB = 1 << 20
KEEP_SECONDS = 7 * 86_400.0


def prune(
    cache: Path, registry: Registry, named: set[tuple[str, str]], now: float, most: int = MIB
) -> Removed:
    """A look by these limits."""
    return prune_by(cache, registry, named, now, keep=KEEP_SECONDS, most=most)


def filled(cache: Path, *versions: str) -> tuple[MemoryRegistry, list[Path]]:
    """A registry with these versions of `m`, each handed out once; their models in the cache."""
    registry = MemoryRegistry(cache=cache)
    remembered = Remembered(registry, cache)
    places = []
    for number, version in enumerate(versions):
        models.publish(registry, "m", version, models.logistic(2 + number))
        places.append(remembered.artifact(remembered.manifest("m", version)))
        os.utime(places[-1], (NOW + number, NOW + number))
    for file in (cache / MANIFESTS).iterdir():
        os.utime(file, (NOW, NOW))
    return registry, places


def empty(cache: Path) -> Registry:
    """A registry without versions."""
    return MemoryRegistry(cache=cache)


def test_what_is_gone_leaves_after_its_time(tmp_path: Path) -> None:
    """What neither the registry nor a route has is kept for a while, counted from its last sight."""
    registry, (one, two) = filled(tmp_path, "1", "2")
    later = NOW + 2 * KEEP_SECONDS
    assert prune(tmp_path, registry, set(), later) == Removed()
    assert prune(tmp_path, empty(tmp_path), {("m", "2")}, later + KEEP_SECONDS / 2) == Removed()
    assert prune(tmp_path, empty(tmp_path), {("m", "2")}, later + KEEP_SECONDS) == Removed(gone=2)
    assert (one.exists(), two.exists()) == (False, True)
    assert [file.name for file in (tmp_path / MANIFESTS).iterdir()] == ["m@2.json"]


def test_an_optimised_copy_stays_as_long_as_its_graph(tmp_path: Path) -> None:
    """It is named by the graph's digest, and leaves with the version."""
    _, (one,) = filled(tmp_path, "1")
    beside = [tmp_path / f"{one.stem}.engine.all.optimised{suffix}" for suffix in ("", ".json")]
    for path in beside:
        path.touch()
        os.utime(path, (NOW, NOW))
    later = NOW + 2 * KEEP_SECONDS
    assert prune(tmp_path, empty(tmp_path), {("m", "1")}, later) == Removed()
    assert prune(tmp_path, empty(tmp_path), set(), later + 2 * KEEP_SECONDS) == Removed(gone=4)
    assert not any(path.exists() for path in beside)


def test_an_unread_registry_removes_nothing(tmp_path: Path) -> None:
    """Nobody knows then what is gone."""

    class Away(MemoryRegistry):
        """One that cannot be read."""

        def versions(self, name: str) -> list[str]:
            raise RegistryError(f"{name}: cannot be read")

    _, places = filled(tmp_path, "1")
    with pytest.raises(RegistryError):
        prune(tmp_path, Away(cache=tmp_path), set(), NOW + 9 * KEEP_SECONDS)
    assert all(place.exists() for place in places)


def test_the_oldest_leave_for_want_of_room(tmp_path: Path) -> None:
    """Above the size the oldest go until it fits, and what a route names stays whatever its age."""
    registry, places = filled(tmp_path, "1", "2", "3")
    most = sum(place.stat().st_size for place in places) - 1
    assert prune(tmp_path, registry, {("m", "1")}, NOW, most=most) == Removed(room=1)
    assert [place.exists() for place in places] == [True, False, True]
    assert prune(tmp_path, registry, {("m", "1")}, NOW, most=0) == Removed(room=1)
    assert [place.exists() for place in places] == [True, False, False]
    manifest = registry.manifest("m", "2")
    assert registry.artifact(manifest) == places[1]


def test_what_nothing_speaks_of_leaves_too(tmp_path: Path) -> None:
    """A model without a manifest, and half a copy of a killed process, go when they are old."""
    registry, places = filled(tmp_path, "1")
    for name in ("a" * 64 + ".onnx", f".{'b' * 64}.onnx.0123456789ab"):
        (tmp_path / name).write_bytes(b"x")
        os.utime(tmp_path / name, (NOW, NOW))
    assert prune(tmp_path, registry, set(), NOW + KEEP_SECONDS / 2) == Removed()
    assert prune(tmp_path, registry, set(), NOW + KEEP_SECONDS) == Removed(gone=2)
    assert [place.exists() for place in places] == [True]
    assert prune(tmp_path / "none", registry, set(), NOW) == Removed()
