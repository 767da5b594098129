"""A live screen draws what changed and ends by itself."""

from collections.abc import Iterator

import click
import pytest

from driftgate.waiting import doing, redraw


def test_it_looks_until_nothing_is_live_any_more(capsys: pytest.CaptureFixture[str]) -> None:
    """The last look is returned; off a terminal a drawing is printed only when it differs."""
    looks: Iterator[int] = iter([1, 1, 2, 3])
    found = redraw(lambda: next(looks), lambda seen: [f"seen {seen}"], lambda seen: seen < 3, seconds=0.0)
    assert found == 3
    assert capsys.readouterr().out == "seen 1\n\nseen 2\n\nseen 3\n\n"


def test_what_takes_its_time_is_said_on_a_terminal_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line that is written over and gone in the end; nothing in a file, a pipe, or on standard output."""
    with doing("converting") as say:
        say("comparing")
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with doing("converting") as say:
        say("comparing")
    out, err = capsys.readouterr()
    assert (out, click.unstyle(err).replace("\r", "|")) == ("", "|converting …|comparing …|")
