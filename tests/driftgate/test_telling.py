"""What a program that keeps running tells on its way."""

import functools
import json
import subprocess
import sys
from pathlib import Path

import pytest

from driftgate.errors import CommandError
from driftgate.telling import gateway_places, greet, place_text
from groundwork.clock import FakeClock
from groundwork.logs import MessageSettings, program_log
from registry_client import publish
from tests.registry_client.support import a_graph


def test_that_all_answers_is_a_table_or_an_event(capsys: pytest.CaptureFixture[str]) -> None:
    """For eyes it is shown on standard output, for machines it is one object on standard error."""
    for form in ("text", "json"):
        messages = MessageSettings(form=form)
        log = program_log(messages, FakeClock())
        greet(messages, log, lambda: print("WHAT WHERE"), http="http://h")  # noqa: T201  what is shown
        out, err = capsys.readouterr()
        if form == "text":
            assert (out, err) == ("WHAT WHERE\n", "")
        else:
            assert out == ""
            found = json.loads(err)
            assert (found["event"], found["http"]) == ("ready", "http://h")


def test_every_door_of_a_gateway_is_named() -> None:
    """The page on which to try the endpoints too; gRPC only where it is offered."""
    doors = functools.partial(
        gateway_places, http="http://h", operator="http://o", status="ask", models="m", workers=2
    )
    rows = doors(grpc=None)
    assert [where for _, where, _ in rows] == ["http://h/v2", "http://h/docs", "http://o"]
    assert ("rollouts", "http://o", "ask") in rows
    assert ("gRPC", "h:1", "the same predictions by gRPC") in doors(grpc="h:1")


def test_a_start_on_an_empty_registry_says_what_to_do(tmp_path: Path) -> None:
    """Whoever starts first and publishes later is not left to wonder why nothing answers."""
    assert place_text(str(tmp_path)) == f"{tmp_path}, where none is yet: `driftgate push` publishes one"
    publish(a_graph(), name="fraud", registry=tmp_path)
    assert place_text(str(tmp_path)) == str(tmp_path)
    assert place_text(str(tmp_path / "gone")) == str(tmp_path / "gone")


PROGRAM = """
import sys
from driftgate.errors import CommandError
from driftgate.telling import told
from groundwork.logs import MessageSettings

def work(log):
    raise CommandError("port 1: taken; choose another")

sys.exit(told(MessageSettings(form=sys.argv[1]), work))
"""


def test_an_error_is_an_event_where_lines_are_for_machines() -> None:
    """It is told once, with its code, and ends the program with 1; for eyes the command tells it."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, "json"], capture_output=True, check=False)
    found = json.loads(done.stderr)
    assert (done.returncode, found["event"], found["code"]) == (1, "failed", CommandError.code)
    assert found["fault"] == "port 1: taken; choose another"
