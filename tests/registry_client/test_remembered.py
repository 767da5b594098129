"""A registry that may go away."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from registry_client.directory import DirectoryRegistry
from registry_client.errors import (
    DigestMismatchError,
    ManifestError,
    ProfileError,
    UnknownModelError,
    UnknownVersionError,
)
from registry_client.manifest import Manifest
from registry_client.profile import NumericColumn, Profile, encode
from registry_client.remembered import Remembered
from tests.registry_client.support import a_manifest

MODEL = b"model"
PROFILE = Profile(rows=2, columns=(NumericColumn("x", 2, 0, 0.0, 1.0, 0.5, 0.5, (0.5,), (1, 1)),), outputs=())
KEY = ("fraud", "1")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A directory with one version that has a profile."""
    folder = tmp_path / "models"
    content = encode(PROFILE)
    DirectoryRegistry(folder).publish(a_manifest(profile=content), MODEL, content)
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Where copies are kept."""
    return tmp_path / "cache"


def opened(models: Path, cache: Path) -> Remembered:
    """The registry as a process that has just begun sees it."""
    return Remembered(DirectoryRegistry(models, cache), cache)


def handed_out(registry: Remembered) -> tuple[Manifest, bytes, Profile | None]:
    """What a worker reads of the version."""
    manifest = registry.manifest(*KEY)
    return manifest, registry.artifact(manifest).read_bytes(), registry.profile(manifest)


@pytest.mark.parametrize("empty", [True, False], ids=["empty", "missing"])
def test_what_was_handed_out_outlives_the_registry(models: Path, cache: Path, *, empty: bool) -> None:
    """A new process gets manifest, model and profile while the registry is gone, and says where from."""
    before = handed_out(opened(models, cache))
    shutil.rmtree(models)
    if empty:
        models.mkdir()
    registry = opened(models, cache)
    assert handed_out(registry) == before == (registry.manifest(*KEY), MODEL, PROFILE)
    assert "comes from the copy in cache/" in registry.faults[KEY]


def test_a_registry_that_is_back_is_believed(models: Path, cache: Path, tmp_path: Path) -> None:
    """When the registry is there again, nothing comes from copies and nothing is a fault."""
    handed_out(opened(models, cache))
    models.rename(tmp_path / "away")
    registry = opened(models, cache)
    handed_out(registry)
    registry.look()
    assert KEY in registry.faults
    (tmp_path / "away").rename(models)
    registry.look()
    assert registry.faults == {}


def test_a_registry_that_is_back_with_other_bytes_is_named(models: Path, cache: Path) -> None:
    """Other bytes under a version that is served from its copy are a fault that names both."""
    handed_out(opened(models, cache))
    shutil.rmtree(models)
    registry = opened(models, cache)
    handed_out(registry)
    DirectoryRegistry(models).publish(a_manifest(b"other"), b"other", None)
    registry.look()
    assert "the registry has other bytes" in registry.faults[KEY]


def test_a_copy_is_not_believed(models: Path, cache: Path) -> None:
    """A damaged copy of the model is refused, a damaged profile left out, a damaged manifest no copy."""
    handed_out(opened(models, cache))
    shutil.rmtree(models)
    (model,) = cache.glob("*.onnx")
    (profile,) = cache.glob("*.profile")
    (manifest,) = cache.glob("manifests/*")
    profile.write_bytes(b"{}")
    registry = opened(models, cache)
    assert handed_out(registry)[2] is None
    model.write_bytes(b"other")
    with pytest.raises(DigestMismatchError):
        registry.artifact(registry.manifest(*KEY))
    manifest.write_bytes(b"{")
    with pytest.raises(UnknownModelError):
        registry.manifest(*KEY)


def test_what_is_damaged_in_the_registry_is_an_error(models: Path, cache: Path) -> None:
    """A registry that answers is believed: its damaged manifest is told, not papered over by a copy."""
    handed_out(opened(models, cache))
    (models / "fraud" / "1" / "manifest.json").write_bytes(b"{")
    with pytest.raises(ManifestError):
        opened(models, cache).manifest(*KEY)


def test_a_profile_that_is_cut_in_the_registry_comes_from_its_copy(models: Path, cache: Path) -> None:
    """What was handed out can be handed out again, and the damage is told; without a copy it is an error."""
    file = models / "fraud" / "1" / "profile.json"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    registry = opened(models, cache)
    with pytest.raises(ProfileError):
        handed_out(registry)
    file.write_bytes(whole)
    handed_out(registry)
    file.write_bytes(whole[: len(whole) // 2])
    assert handed_out(registry)[2] == PROFILE
    assert "its profile comes from the copy in cache/" in registry.faults[KEY]


def _a_folder(file: Path) -> None:
    """In the place of a file: what cannot be read, whoever reads."""
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize(
    "damage", [lambda file: file.write_bytes(b"altered"), lambda file: file.unlink(), _a_folder]
)
def test_a_model_that_is_damaged_in_the_registry_comes_from_its_copy(
    models: Path, cache: Path, damage: Callable[[Path], object]
) -> None:
    """What was handed out can be handed out again, and the damage is told."""
    registry = opened(models, cache)
    before = handed_out(registry)
    manifest = registry.manifest(*KEY)
    damage(models / "fraud" / "1" / "model.onnx")
    assert registry.artifact(manifest).read_bytes() == before[1]
    assert "its model comes from the copy in cache/" in registry.faults[KEY]


def test_a_damaged_model_that_was_never_handed_out_is_an_error(models: Path, cache: Path) -> None:
    """A copy of the same bytes from another version does not stand in for it."""
    handed_out(opened(models, cache))
    content = (models / "fraud" / "1" / "model.onnx").read_bytes()
    second = DirectoryRegistry(models).publish(a_manifest(content, version="2"), content, None)
    (models / "fraud" / "2" / "model.onnx").write_bytes(b"altered")
    with pytest.raises(DigestMismatchError, match="fraud version 2"):
        opened(models, cache).artifact(second)


def test_what_was_never_handed_out_is_unknown(models: Path, cache: Path) -> None:
    """Only what was served before has a copy."""
    registry = opened(models, cache)
    registry.manifest(*KEY)
    with pytest.raises(UnknownVersionError):
        registry.manifest("fraud", "2")
    shutil.rmtree(models)
    with pytest.raises(UnknownModelError):
        registry.manifest(*KEY)


def test_no_room_for_a_copy_harms_nothing(models: Path, cache: Path) -> None:
    """Where no copy can be written the version is handed out all the same, and that is said."""
    cache.mkdir()
    (cache / "manifests").write_bytes(b"in the way")
    registry = opened(models, cache)
    assert handed_out(registry)[1] == MODEL
    assert "no copy" in registry.faults[KEY]
