"""Peers beside us: who is absent is named, and the ratios are those of the rounds."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from loadtests.bench.measuring import Row
from loadtests.bench.peers import report
from loadtests.bench.peers.environments import PEERS, Absent, FailedError, Installed, install
from loadtests.bench.peers.starting import COMMANDS
from loadtests.bench.works import Work


def row(server: str, cpu_us: float, rps: float = 100.0) -> Row:
    """One server in one round."""
    return Row(server, rps, p50_us=10, p99_us=20, cpu_us=cpu_us, beside_us=0, rss_mb=50, bad=0)


class Index:
    """A package index and interpreters that are not there; what was asked of them is kept."""

    def __init__(self, versions: dict[str, str] | None) -> None:
        self.versions = versions
        self.asked: list[Sequence[str]] = []

    def __call__(self, command: Sequence[str]) -> str:
        """Run nothing."""
        self.asked.append(command)
        if "venv" in command:
            Path(command[-1]).mkdir(parents=True)
        if "pip" in command and self.versions is None:
            raise FailedError("No matching distribution found for bentoml")
        return json.dumps(self.versions)


def test_what_cannot_be_installed_is_named(tmp_path: Path) -> None:
    """A peer whose installation fails is absent with its reason, and the report says so."""
    absent = install(PEERS["bentoml"], tmp_path, Index(None))
    assert isinstance(absent, Absent)
    told = report.table(report.lines([{"driftgate": row("driftgate", 50)}], {}), {"bentoml": absent.reason})
    assert "not measured: bentoml" in told
    assert "No matching distribution found for bentoml" in told


def test_an_environment_is_made_once(tmp_path: Path) -> None:
    """What is installed as wanted is not installed again."""
    index = Index({"litserve": "0.2.19", "onnxruntime": "1.20.0"})
    for _ in range(2):
        found = install(PEERS["litserve"], tmp_path, index)
        assert isinstance(found, Installed)
        assert found.versions == index.versions
    assert len(index.asked) == 3


def test_ratios_are_those_of_the_rounds() -> None:
    """How many times ours a peer's processor time is, is taken within a round; absent rounds are left out."""
    rounds = [
        {"driftgate": row("driftgate", 50), "kserve": row("kserve", 500), "mlserver": row("mlserver", 550)},
        {"driftgate": row("driftgate", 100), "kserve": row("kserve", 1300)},
        {"driftgate": row("driftgate", 50), "kserve": row("kserve", 750)},
    ]
    found = {line.server: line for line in report.lines(rounds, {"kserve": {"kserve": "0.21.0"}})}
    assert list(found) == ["driftgate", "kserve", "mlserver"]
    assert found["driftgate"].ratio == 1.0
    assert found["kserve"].ratio == 13.0
    assert found["kserve"].target == 12.0
    assert found["mlserver"].ratio == 11.0
    assert found["driftgate"].per_cpu_second == pytest.approx(20_000)
    assert "kserve 0.21.0" in report.table(list(found.values()), {})


def test_every_peer_can_be_started(tmp_path: Path) -> None:
    """Each peer of the table has its command, whose files of ours are there."""
    assert set(COMMANDS) == set(PEERS)
    work = Work("one-row", tmp_path / "model.onnx", rows=1, features=30)
    for name, peer in PEERS.items():
        here = Installed(peer, tmp_path / "bin" / "python", {})
        command, path, _ = COMMANDS[name](here, work, 8080, tmp_path)
        assert path.startswith("/")
        assert all(Path(word).exists() for word in command if word.endswith(".py"))
