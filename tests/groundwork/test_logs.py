"""Operator logs."""

import io
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundwork.clock import FakeClock
from groundwork.logs import Form, Level, Log, MessageSettings, program_log

FIELDS: Mapping[str, object] = {"model": "loans", "note": "two words", "n": 3, "nothing": ""}


def log(stream: io.StringIO, *, level: Level = "info", form: Form = "text") -> Log:
    """A log to this stream, at a known time."""
    return Log(stream, FakeClock(now_ns=1_700_000_000_123_000_000), level=level, form=form)


def test_a_text_line_reads_like_a_sentence_of_facts() -> None:
    """Time, level, event, then fields; a value with spaces is quoted."""
    stream = io.StringIO()
    log(stream).info("rollout-started", **FIELDS)
    expected = '2023-11-14T22:13:20.123Z info rollout-started model=loans note="two words" n=3 nothing=""\n'
    assert stream.getvalue() == expected


def test_letters_stay_readable_and_nothing_else_reaches_a_terminal() -> None:
    """A line for eyes says ≥ and Köln as they are, and no line end, escape or mark that turns text round."""
    stream = io.StringIO()
    log(stream).info("moved", reason="4.8 \u2265 3.0, K\xf6ln", odd="a\nb\x1b[2J\x9b\u202e")
    assert stream.getvalue().endswith('reason="4.8 ≥ 3.0, Köln" odd="a\\nb\\u001b[2J\\u009b\\u202e"\n')


def test_a_json_line_is_one_object() -> None:
    """Fields keep their types, and cannot take the place of the time, the level or the event."""
    stream = io.StringIO()
    log(stream, form="json").error("broken", path=Path("x"), event_="e", n=1, level_="z")
    head = {"time": "2023-11-14T22:13:20.123Z", "level": "error", "event": "broken"}
    assert json.loads(stream.getvalue()) == {**head, "path": "x", "event_": "e", "n": 1, "level_": "z"}


@pytest.mark.parametrize(("level", "lines"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_only_events_of_the_level_and_above_are_written(level: Level, lines: int) -> None:
    """A level hides what is below it."""
    stream = io.StringIO()
    quiet = log(stream, level=level)
    for say in (quiet.debug, quiet.info, quiet.warning, quiet.error):
        say("event")
    assert len(stream.getvalue().splitlines()) == lines


def test_a_number_that_is_not_finite_leaves_the_line_valid_json() -> None:
    """NaN is no word of JSON, and is written as text."""
    stream = io.StringIO()
    log(stream, form="json").info("event", value=float("nan"))
    assert json.loads(stream.getvalue(), parse_constant=pytest.fail)["value"] == "nan"


def test_bound_fields_are_on_every_line() -> None:
    """A bound log adds its fields, and leaves the log it came from as it was."""
    stream = io.StringIO()
    plain = log(stream)
    plain.bind(worker=1).bind(slot=7).info("one", worker=2)
    plain.info("two")
    assert [line.split(" ", 3)[2:] for line in stream.getvalue().splitlines()] == [
        ["one", "worker=2 slot=7"],
        ["two"],
    ]


@given(st.text(), st.sampled_from(["text", "json"]))
def test_an_event_is_one_line_whatever_its_fields_hold(value: str, form: Form) -> None:
    """Line breaks and control characters never begin a second line."""
    stream = io.StringIO()
    log(stream, form=form).info("event", value=value)
    assert stream.getvalue().count("\n") == 1
    assert len(stream.getvalue().splitlines()) == 1


def test_only_a_terminal_is_sent_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """The level's word is coloured where asked, and a program asks where standard error is a terminal."""
    stream = io.StringIO()
    Log(stream, FakeClock(), coloured=True).error("broken", n=1)
    assert "\x1b[31merror\x1b[0m broken n=1" in stream.getvalue()
    for is_terminal, no_color, wanted in ((True, "", True), (True, "1", False), (False, "", False)):
        screen = Screen(is_terminal=is_terminal)
        monkeypatch.setattr("sys.stderr", screen)
        monkeypatch.setenv("NO_COLOR", no_color)
        program_log(MessageSettings(), FakeClock()).info("event")
        assert ("\x1b" in screen.getvalue()) is wanted


class Screen(io.StringIO):
    """Standard error, of a terminal or not."""

    def __init__(self, *, is_terminal: bool) -> None:
        super().__init__()
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        """As asked."""
        return self._is_terminal


PROGRAM = """
import logging, threading, warnings
from groundwork.clock import FakeClock
from groundwork.logs import MessageSettings, capture, program_log
capture(program_log(MessageSettings(form="json", level="LEVEL"), FakeClock()))
library = logging.getLogger("some.library")
library.info("only with debug")
library.warning("two\\nlines of %s", "text")
library.warning("%d", "no number")
try:
    1 / 0
except ZeroDivisionError:
    library.exception("it broke")
warnings.warn("old", DeprecationWarning, stacklevel=1)
thread = threading.Thread(target=lambda: [][0])
thread.start()
thread.join()
raise KeyError("the end")
"""


@pytest.mark.parametrize(("level", "lines"), [("info", 6), ("debug", 7)])
def test_what_libraries_and_python_say_is_one_line_each(level: str, lines: int) -> None:
    """Sentences of libraries, warnings and uncaught errors of any thread are events, each a JSON object."""
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", PROGRAM.replace("LEVEL", level)],
        capture_output=True,
        text=True,
        check=False,
    )
    found = [json.loads(line) for line in done.stderr.splitlines()]
    assert len(found) == lines, done.stderr
    assert {"some-library", "py-warnings", "uncaught"} == {event["event"] for event in found}
    by_text = {event["says"]: event for event in found}
    assert by_text["two lines of text"]["level"] == "warning"
    assert by_text["%d"]["event"] == "some-library"
    assert "ZeroDivisionError" in by_text["it broke"]["fault"]
    assert by_text["KeyError: 'the end'"]["level"] == "error"
    assert "IndexError: list index out of range" in by_text
    assert done.returncode == 1
