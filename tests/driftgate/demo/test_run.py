"""The demo, played: every fact happens, a spoilt world makes it fail at the right one, nothing is left."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.counts import TORTURE

pytestmark = pytest.mark.system

SECONDS = 280.0
SEEDS = (1, 2, 3, 4, 5) if TORTURE else (1,)
SABOTAGES = {
    "labels": "labels of version 1 reach the monitor",
    "v3-bad": "version 3",
    "v4-good": "the pilot rolls version 4 back",
}


def played(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command, run in a folder of its own as its home too, by somebody with a driftgate of their own."""
    ours = {
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "tmp"),
        "DRIFTGATE_DATA": str(folder / "own"),
    }
    caches = ("MPLCONFIGDIR", "XDG_CACHE_HOME")
    environ = {name: value for name, value in os.environ.items() if name not in caches}
    return subprocess.run(
        [sys.executable, "-P", "-m", "driftgate", "demo", *arguments],
        cwd=folder,
        env={**environ, **ours},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def processes_of(folder: Path) -> Iterator[str]:
    """Command lines that name the folder."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_text()
        except OSError:
            continue  # it has ended since
        if str(folder) in command:
            yield command.replace("\0", " ")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty place, with an empty home and an empty folder for temporary files."""
    (tmp_path / "home").mkdir()
    (tmp_path / "tmp").mkdir()
    return tmp_path


@pytest.mark.parametrize("seed", SEEDS)
def test_every_fact_happens(folder: Path, seed: int) -> None:
    """Exit code 0; timeline and picture are there; no process, and no file outside its folder."""
    done = played(folder, "--seed", str(seed))
    assert done.returncode == 0, done.stdout + done.stderr
    assert (folder / "demo-run" / "demo.png").read_bytes().startswith(b"\x89PNG")
    timeline = (folder / "demo-run" / "timeline.txt").read_text()
    assert "requests failed 0, records lost 0" in timeline
    steps = [line for line in timeline.splitlines() if "history row" in line]
    assert len(steps) == 9
    assert all("pilot" in line or "operator:" in line for line in steps)
    assert sorted(path.name for path in folder.iterdir()) == ["demo-run", "home", "tmp"]
    assert [*(folder / "tmp").iterdir(), *(folder / "home").iterdir()] == []
    assert list(processes_of(folder)) == []


@pytest.mark.skipif(not TORTURE, reason="runs under `make torture`")
@pytest.mark.parametrize("sabotage", SABOTAGES)
def test_a_spoilt_world_is_noticed(folder: Path, sabotage: str) -> None:
    """Exit code 1, naming the fact that did not happen."""
    done = played(folder, "--sabotage", sabotage)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "driftgate: the fact that did not happen:" in done.stderr
    assert SABOTAGES[sabotage] in done.stderr
    assert list(processes_of(folder)) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_nothing_running(folder: Path, number: signal.Signals) -> None:
    """Told to stop after the programs answer: exit code 1, one line, no process."""
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "driftgate", "demo"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "receiver answer" in line:
                process.send_signal(number)
                break
        rest = process.stdout.read()
    assert process.returncode == 1
    assert "Traceback" not in rest
    assert rest.rstrip().endswith("driftgate: stopped")
    assert list(processes_of(folder)) == []
