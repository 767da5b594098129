"""`driftgate config`: where values come from, and what is said of a reload."""

import json
import os
from pathlib import Path

import pytest

from driftgate.__main__ import run
from driftgate.cli.config import said_of_reload


def test_show_and_check_name_the_source_of_every_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a variable sets above the file is told as such by both, to people and to programs."""
    for name in [name for name in os.environ if name.startswith("DRIFTGATE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DRIFTGATE_WORKERS", "2")
    file = tmp_path / "driftgate.yaml"
    file.write_text("workers: 3\nlog: {max_age: 1d}\n")
    wanted = {"workers": "variable DRIFTGATE_WORKERS", "log.max_age": f"file {file}"}
    assert run(["config", "check", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sources"] == wanted
    assert run(["config", "check", str(file)]) == 0
    assert "workers is set by variable DRIFTGATE_WORKERS" in capsys.readouterr().out
    assert run(["config", "show", "--config", str(file), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["workers"] == {"value": 2, "source": wanted["workers"]}
    assert {name: one["source"] for name, one in shown.items() if one["source"] != "default"} == wanted


@pytest.mark.parametrize(
    ("changed", "waits", "said"),
    [
        (["stop.linger", "log.max_age"], False, "taken up: stop.linger, log.max_age; workers are replaced"),
        ([], False, "nothing has changed"),
        ([], True, "not done yet; it will be, and the gateway's log says what comes of it"),
    ],
)
def test_what_came_of_a_reload_is_said_as_it_is(changed: list[str], said: str, *, waits: bool) -> None:
    """What was taken up is named, and what only waits is never said to be done, or to be nothing."""
    assert said_of_reload(changed, waits=waits).startswith(said)
