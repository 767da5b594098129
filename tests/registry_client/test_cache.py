"""Verified copies of models."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from registry_client.cache import cached, verified
from registry_client.errors import DigestMismatchError, RegistryError
from tests.disks import MIB, small_disk
from tests.registry_client.support import a_manifest


def test_verified(tmp_path: Path) -> None:
    """A file with the manifest's digest is handed out, another is not."""
    file = tmp_path / "model.onnx"
    file.write_bytes(b"model")
    assert verified(file, a_manifest()) == file
    with pytest.raises(DigestMismatchError, match="wanted sha256:"):
        verified(file, a_manifest(b"other"))


def test_cached_once(tmp_path: Path) -> None:
    """A good copy is used without asking its source again, is named by digest, and is private."""
    manifest = a_manifest()
    first = cached(tmp_path / "cache", manifest, lambda: io.BytesIO(b"model"), origin="here")
    again = cached(tmp_path / "cache", manifest, lambda: io.BytesIO(b"never read"), origin="here")
    assert first == again
    assert first.name == manifest.digest.removeprefix("sha256:") + ".onnx"
    assert first.stat().st_mode & 0o777 == 0o600


def test_bad_source_leaves_nothing(tmp_path: Path) -> None:
    """A source with other bytes is an error that names the source's file, and leaves no file behind."""
    with pytest.raises(DigestMismatchError, match=r"models/fraud/1/model.onnx"):
        cached(tmp_path, a_manifest(), lambda: io.BytesIO(b"other"), origin="models/fraud/1/model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_copy_without_room_says_what_is_missing(tmp_path: Path) -> None:
    """A full disk is told with the version, the folder and what to do, and keeps no half of a copy."""
    content = bytes(2 * MIB)
    with small_disk(tmp_path / "disk", 1) as cache:
        with pytest.raises(RegistryError, match=r"fraud version 1: no room for its copy .* free disk space"):
            cached(cache, a_manifest(content), lambda: io.BytesIO(content), origin="here")
        assert list(cache.iterdir()) == []
