"""The demo's folder is cleared only when it is the demo's."""

from pathlib import Path

import pytest

from driftgate.demo.stage import MARKER, prepare
from driftgate.errors import DemoError
from groundwork.files import FolderLock


def test_a_new_folder_is_made(tmp_path: Path) -> None:
    """With what a run needs in it."""
    stage = prepare(tmp_path / "demo-run")
    assert (stage.folder / MARKER).exists()
    assert stage.models.is_dir()
    assert stage.data.is_dir()


def test_the_folder_of_an_earlier_demo_is_cleared(tmp_path: Path) -> None:
    """Nothing of the last run is left."""
    prepare(tmp_path / "demo-run")
    (tmp_path / "demo-run" / "old.txt").write_text("old")
    stage = prepare(tmp_path / "demo-run")
    assert not (stage.folder / "old.txt").exists()


def test_somebody_elses_folder_is_left_alone(tmp_path: Path) -> None:
    """A folder without our mark is refused and keeps its files."""
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(DemoError, match="move it away"):
        prepare(tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_folder_that_cannot_be_made_is_named() -> None:
    """The error says which folder and what to do."""
    with pytest.raises(DemoError, match=r"cannot be made here .* name another --folder"):
        prepare(Path("/proc/demo-run"))


def test_a_folder_that_a_kept_demo_still_uses_is_refused(tmp_path: Path) -> None:
    """A running gateway does not lose its files."""
    stage = prepare(tmp_path / "demo-run")
    lock = FolderLock.acquire(stage.data)
    try:
        with pytest.raises(DemoError, match="still running"):
            prepare(tmp_path / "demo-run")
    finally:
        lock.release()
