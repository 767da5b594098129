"""The directory backend: what lies in the folder, and what becomes of damage."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from registry_client.directory import DirectoryRegistry
from registry_client.errors import (
    DigestMismatchError,
    ManifestError,
    ProfileError,
    RegistryError,
    UnknownModelError,
    UnknownVersionError,
)
from registry_client.manifest import digest_of
from registry_client.profile import encode
from registry_client.profiling import build_profile
from tests.disks import small_disk
from tests.registry_client.support import a_manifest
from tests.strangers import nobody, open_folder


def _published(root: Path, *, profile: bytes | None = None) -> DirectoryRegistry:
    registry = DirectoryRegistry(root)
    registry.publish(a_manifest(profile=profile), b"model", profile)
    return registry


def test_layout(tmp_path: Path) -> None:
    """A version is three files in name/version, and nothing else is left in the folder."""
    content = encode(build_profile({"x": np.arange(3)}, {}))
    _published(tmp_path, profile=content)
    files = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert files == ["fraud/1/manifest.json", "fraud/1/model.onnx", "fraud/1/profile.json"]
    assert [path.name for path in tmp_path.iterdir()] == ["fraud"]


def test_listing_ignores_the_rest(tmp_path: Path) -> None:
    """Staged, hidden and malformed names, files and empty versions are not there."""
    registry = _published(tmp_path)
    for folder in (".staging-x/1", ".hidden/1", "bad name/1", "fraud/01", "fraud/v2", "fraud/.3", "empty"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "model.onnx").write_bytes(b"model")
    (tmp_path / "fraud" / "2").mkdir()
    (tmp_path / "notes.txt").write_text("hello")
    assert registry.models() == ["fraud"]
    assert registry.versions("fraud") == ["1"]


def test_bare_model(tmp_path: Path) -> None:
    """A model.onnx without a manifest is a version whose digest is found by reading it."""
    folder = tmp_path / "fraud" / "7"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"graph")
    registry = DirectoryRegistry(tmp_path)
    manifest = registry.manifest("fraud", "7")
    assert (manifest.digest, manifest.size, manifest.signature) == (digest_of(b"graph"), 5, None)
    assert manifest.created.endswith("Z")
    assert registry.artifact(manifest) == folder / "model.onnx"
    assert registry.profile(manifest) is None


def test_altered_model(tmp_path: Path) -> None:
    """A model whose bytes were changed is refused at every load, in one line."""
    registry = _published(tmp_path)
    (tmp_path / "fraud" / "1" / "model.onnx").write_bytes(b"Model")
    manifest = registry.manifest("fraud", "1")
    for opened in (registry, DirectoryRegistry(tmp_path, tmp_path / "cache")):
        with pytest.raises(DigestMismatchError, match="fraud version 1") as caught:
            opened.artifact(manifest)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "cache").exists()


def test_altered_model_beside_a_copy_of_its_bytes(tmp_path: Path) -> None:
    """An altered model is refused although the cache has what it should be, from another version."""
    registry = DirectoryRegistry(tmp_path / "models", tmp_path / "cache")
    registry.artifact(registry.publish(a_manifest(), b"model", None))
    second = registry.publish(a_manifest(version="2"), b"model", None)
    (tmp_path / "models" / "fraud" / "2" / "model.onnx").write_bytes(b"Model")
    with pytest.raises(DigestMismatchError, match="fraud version 2"):
        registry.artifact(second)


def test_profile_cut_in_half(tmp_path: Path) -> None:
    """A profile cut in half, altered or missing is one clear line, and the model still loads."""
    content = encode(build_profile({"x": np.arange(100)}, {}))
    registry = _published(tmp_path, profile=content)
    manifest = registry.manifest("fraud", "1")
    place = tmp_path / "fraud" / "1" / "profile.json"
    for damaged in (content[: len(content) // 2], content.replace(b"0.0", b"0.1", 1)):
        place.write_bytes(damaged)
        with pytest.raises(ProfileError, match="cut or altered") as caught:
            registry.profile(manifest)
        assert "\n" not in str(caught.value)
    place.unlink()
    with pytest.raises(ProfileError, match="missing"):
        registry.profile(manifest)
    assert registry.artifact(manifest).exists()


def test_moved_manifest(tmp_path: Path) -> None:
    """A version copied by hand to another place is refused: its manifest speaks of the old one."""
    registry = _published(tmp_path)
    (tmp_path / "fraud" / "1").rename(tmp_path / "fraud" / "2")
    with pytest.raises(ManifestError, match="fraud version 1"):
        registry.manifest("fraud", "2")


def test_cut_manifest(tmp_path: Path) -> None:
    """A manifest cut in half names the version and the file."""
    registry = _published(tmp_path)
    place = tmp_path / "fraud" / "1" / "manifest.json"
    place.write_bytes(place.read_bytes()[:40])
    with pytest.raises(ManifestError, match=r"fraud version 1: manifest\.json"):
        registry.manifest("fraud", "1")


def test_missing_folder(tmp_path: Path) -> None:
    """A models folder that is not there is an error, not an empty registry."""
    with pytest.raises(RegistryError, match="not found"):
        DirectoryRegistry(tmp_path / "nowhere").models()


def test_folder_that_is_not_ours() -> None:
    """A models folder, or a model of it, that cannot be read is named, and such a model hides no other."""
    with open_folder() as root:
        _published(root)
        (root / "other" / "1").mkdir(parents=True)
        for shut, asked in ((root / "fraud", "fraud"), (root / "fraud" / "1", "fraud")):
            shut.chmod(0o000)
            with nobody():
                registry = DirectoryRegistry(root)
                assert registry.models() == ["fraud"]
                with pytest.raises(RegistryError, match=r"fraud.*Permission denied.*uid \d+\) read it"):
                    registry.versions(asked)
            shut.chmod(0o755)
        root.chmod(0o000)
        with nobody(), pytest.raises(RegistryError, match=r"models folder .*: cannot be read \(Permission"):
            DirectoryRegistry(root).models()
        root.chmod(0o755)


def test_files_that_are_not_ours() -> None:
    """A manifest, a model or a profile that cannot be read is named."""
    content = encode(build_profile({"x": np.arange(3)}, {}))
    with open_folder() as root:
        _published(root, profile=content)
        manifest = DirectoryRegistry(root).manifest("fraud", "1")
        for path in (root / "fraud" / "1").iterdir():
            path.chmod(0o000)
        with nobody():
            registry = DirectoryRegistry(root)
            with pytest.raises(RegistryError, match=r"manifest\.json: cannot be read \(Permission denied"):
                registry.manifest("fraud", "1")
            with pytest.raises(RegistryError, match=r"model\.onnx: cannot be read \(Permission denied"):
                registry.artifact(manifest)
            with pytest.raises(ProfileError, match=r"profile\.json: cannot be read \(Permission denied"):
                registry.profile(manifest)


def test_folder_that_is_a_file(tmp_path: Path) -> None:
    """A models folder that is a file is refused in one line."""
    (tmp_path / "models").write_text("")
    with pytest.raises(RegistryError, match="cannot be written"):
        _published(tmp_path / "models")


def test_folder_that_is_gone(tmp_path: Path) -> None:
    """Whoever asks for a version is told that the folder is not there, and not to publish it again."""
    registry = _published(tmp_path / "models")
    manifest = registry.manifest("fraud", "1")
    (tmp_path / "models").rename(tmp_path / "away")
    with pytest.raises(UnknownModelError, match=r"models, which is not there; bring that folder back"):
        registry.manifest("fraud", "1")
    with pytest.raises(UnknownModelError, match=r"models, which is not there; bring that folder back"):
        registry.artifact(manifest)


def test_folder_that_is_read_only(tmp_path: Path) -> None:
    """A file system that takes nothing is told as the folder's fault, not as that of a file nobody knows."""
    with small_disk(tmp_path / "models", 1) as models:
        subprocess.run(["mount", "-o", "remount,ro", str(models)], check=True)  # noqa: S607  whichever there is
        with pytest.raises(RegistryError, match=r"models: cannot be written \(Read-only .*give a folder"):
            _published(models)


def test_place_taken_by_something_else(tmp_path: Path) -> None:
    """A version's folder with something else in it is left alone, and named."""
    junk = tmp_path / "fraud" / "1" / "junk.txt"
    junk.parent.mkdir(parents=True)
    junk.write_text("mine")
    with pytest.raises(RegistryError, match="holds no model"):
        _published(tmp_path)
    assert junk.read_text() == "mine"


def test_model_gone(tmp_path: Path) -> None:
    """A version whose model is gone is unknown."""
    registry = _published(tmp_path)
    manifest = registry.publish(a_manifest(version="2"), b"model", None)
    (tmp_path / "fraud" / "2" / "model.onnx").unlink()
    with pytest.raises(UnknownVersionError):
        registry.artifact(manifest)
