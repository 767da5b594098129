"""How a version's folder appears."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from registry_client.staging import PREFIX, appear


def test_appears_whole(tmp_path: Path) -> None:
    """All files are there at once, and nothing staged is left."""
    assert appear(tmp_path, tmp_path / "m" / "1", {"a": b"1", "b": b"2"})
    assert {path.name: path.read_bytes() for path in (tmp_path / "m" / "1").iterdir()} == {
        "a": b"1",
        "b": b"2",
    }
    assert list(tmp_path.glob(f"{PREFIX}*")) == []


def test_second_is_told(tmp_path: Path) -> None:
    """What is there stays, and the second is told that it lost."""
    appear(tmp_path, tmp_path / "m" / "1", {"a": b"1"})
    assert not appear(tmp_path, tmp_path / "m" / "1", {"a": b"2"})
    assert (tmp_path / "m" / "1" / "a").read_bytes() == b"1"
    assert list(tmp_path.glob(f"{PREFIX}*")) == []


def test_dead_publishers_are_cleared(tmp_path: Path) -> None:
    """A staged folder that nobody holds is removed; one that is held stays."""
    dead, living = tmp_path / f"{PREFIX}dead", tmp_path / f"{PREFIX}living"
    for stage in (dead, living):
        stage.mkdir()
        (stage / "model.onnx").write_bytes(b"half")
    descriptor = os.open(living, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        appear(tmp_path, tmp_path / "m" / "1", {"a": b"1"})
        assert not dead.exists()
        assert living.exists()
    finally:
        os.close(descriptor)
