"""`driftgate config`: where values come from, and what is said of a reload."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

from driftgate.__main__ import MISUSED, run
from driftgate.cli.config import of_running, said_of_reload
from driftgate.remote import Api


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


def api(told: Mapping[str, object] | None) -> Api:
    """An API of a program that goes by these settings; None: nobody answers."""

    def answer(request: httpx.Request) -> httpx.Response:
        if told is None:
            raise httpx.ConnectError("refused")
        assert request.url.path == "/v1/config"
        return httpx.Response(200, json=told)

    return Api("program", "http://127.0.0.1:1", transport=httpx.MockTransport(answer))


def test_programs_that_were_started_apart_are_both_asked() -> None:
    """A gateway that tells of both is enough; else the monitor adds its own, or is said to be missing."""
    gateway = {"workers": "2", "keys.file": "the gateway's"}
    monitor = {"monitor.poll": "1", "keys.file": "the monitor's"}
    assert of_running(api(gateway | monitor), api(None)) == (gateway | monitor, "")
    assert of_running(api(gateway), api(monitor)) == (monitor | gateway, "")
    found, missing = of_running(api(gateway), api(None))
    assert found == gateway
    assert "nobody answers" in missing


def test_a_file_and_running_programs_are_two_questions() -> None:
    """Exit code 2: the answer could be about one of them only."""
    assert run(["config", "show", "--running", "--config", __file__]) == MISUSED


@pytest.mark.parametrize(
    ("changed", "waits", "said"),
    [
        (["stop.linger", "log.max_age"], False, "taken up: stop.linger, log.max_age; workers are replaced"),
        ([], False, "nothing has changed for the gateway"),
        ([], True, "not done yet; it will be tried in its turn, and the gateway's log says what comes of it"),
    ],
)
def test_what_came_of_a_reload_is_said_as_it_is(changed: list[str], said: str, *, waits: bool) -> None:
    """What was taken up is named, and what only waits is never said to be done, or to be nothing."""
    assert said_of_reload(changed, waits=waits).startswith(said)
