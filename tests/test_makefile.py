"""The Makefile installs when what is to be installed has changed, and at no other time."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests import sources

INTERPRETER = '#!/bin/sh\necho "$@" >> calls\n'
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The Makefile and what it installs from, with an interpreter that only writes down what it is asked."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(sources.ROOT / name, tmp_path / name)
    interpreter = tmp_path / ".venv" / "bin" / "python"
    interpreter.parent.mkdir(parents=True)
    interpreter.write_text(INTERPRETER)
    interpreter.chmod(0o755)
    return tmp_path


def installs(folder: Path) -> int:
    """How often pip was asked for by one `make soak`, which must have run."""
    calls = folder / "calls"
    calls.write_text("")
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    subprocess.run(["make", "soak"], cwd=folder, env=env, check=True, capture_output=True)  # noqa: S607  as typed
    said = calls.read_text()
    assert "-m loadtests.soak --minutes 20" in said
    return said.count("-m pip install")


def test_pip_runs_when_the_content_of_its_inputs_changed_and_not_for_their_times(folder: Path) -> None:
    """Once at first, never for newer times, again for a change and for taking it back."""
    text = (folder / "pyproject.toml").read_text()
    assert installs(folder) == 3
    assert installs(folder) == 0
    os.utime(folder / "pyproject.toml")
    assert installs(folder) == 0
    (folder / "pyproject.toml").write_text(text + "\n# more\n")
    assert installs(folder) == 3
    (folder / "pyproject.toml").write_text(text)
    assert installs(folder) == 3
