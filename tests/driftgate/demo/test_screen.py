"""What the demo shows: facts that stay, also where they are longer than a line."""

import pytest

from driftgate.demo.screen import LiveScreen


def test_long_lines_go_on_below_themselves(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 80 characters a fact, an act's sentence and a remark keep their indents on every line."""
    monkeypatch.setenv("COLUMNS", "80")
    screen = LiveScreen(list)
    screen.fact("version 1 is published", "right on 99.8% of " + "held-out ones, " * 5)
    fact = capsys.readouterr().out.splitlines()
    assert "s  ✔ version 1 is published: right on 99.8% of" in fact[0]
    assert [line[: fact[0].index("version")].strip() for line in fact[1:]] == [""] * (len(fact) - 1)
    assert len(fact) > 1
    screen.say(["word " * 30])
    assert {line[:11] for line in capsys.readouterr().out.splitlines()} == {" " * 10 + "w"}
    screen.act(1, "A model at work", "word " * 30)
    assert {line[:3] for line in capsys.readouterr().out.splitlines()[2:]} == {"  w"}
