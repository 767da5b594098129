"""How facts look: aligned, in people's units, and the same for eyes as for programs."""

import click
import pytest

from driftgate import show


def test_columns_are_as_wide_as_their_widest_cell(capsys: pytest.CaptureFixture[str]) -> None:
    """Cells of a column begin at the same place; nothing trails; None is a hyphen."""
    show.table(("A", "B"), [("long cell", None), ("x", "y")])
    assert capsys.readouterr().out == "A          B\nlong cell  -\nx          y\n"


def test_colour_does_not_count_as_width(capsys: pytest.CaptureFixture[str]) -> None:
    """A coloured word takes as much room as a plain one."""
    show.table(("STATE", "N"), [(show.word("FAIL"), 1), ("plain", 2)])
    assert capsys.readouterr().out.splitlines()[1:] == ["FAIL   1", "plain  2"]


def test_without_a_row_a_sentence_stands_for_the_titles(capsys: pytest.CaptureFixture[str]) -> None:
    """Titles over nothing look like a fault."""
    show.table(("A", "B"), [], none="nothing yet")
    assert capsys.readouterr().out == "nothing yet\n"


def test_a_long_last_column_goes_on_below_itself_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault's sentence stays in its column at 80 characters, and in one line where no terminal is."""
    said = "the graph does not load: " + "word " * 12 + "end"
    show.table(("VERSION", "FAULT"), [("1", said), ("2", None)])
    assert capsys.readouterr().out.splitlines()[1] == f"1        {said}"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    show.table(("VERSION", "FAULT"), [("1", said), ("2", None)])
    first, second, last = capsys.readouterr().out.splitlines()[1:]
    assert max(map(len, (first, second))) <= 80
    assert (first[:9], second[:9], last) == ("1        ", " " * 9, "2        -")
    assert f"{first[9:]} {second[9:]}" == said


def test_columns_without_room_stand_below(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a narrow terminal a row has two lines, and one where there is nothing to say in the second."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    incident = show.word("dead") + "-" * 30
    show.table(("MODEL", "EVIDENCE", "INCIDENT"), [("loans", "e" * 40, incident), ("cars", "f", None)])
    lines = [click.unstyle(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "MODEL  EVIDENCE",
        "    INCIDENT",
        f"loans  {'e' * 40}",
        f"    dead{'-' * 30}",
        "cars   f",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0s"), (3.25, "3.2s"), (42.0, "42s"), (252.0, "4m12s"), (3660.0, "1h01m"), (90_000.0, "1d01h")],
)
def test_durations_come_in_the_two_units_that_matter(seconds: float, text: str) -> None:
    """Nobody has to divide by 3600."""
    assert show.span(seconds) == text


def test_a_bar_is_full_when_the_part_reaches_the_whole() -> None:
    """Evidence beyond its threshold does not overflow, and negative evidence is an empty bar."""
    assert show.bar(5, 3, 4) == "████"
    assert show.bar(-2, 3, 4) == "    "
    assert show.bar(1, 2, 4) == "██  "


def test_counts_are_grouped() -> None:
    """Thousands are told apart."""
    assert show.count(1234567) == "1 234 567"


def test_json_is_what_the_api_said(capsys: pytest.CaptureFixture[str]) -> None:
    """Facts are printed whole and unrounded."""
    show.facts({"evidence": 2.8480622764409347, "none": None})
    assert capsys.readouterr().out == '{\n  "evidence": 2.8480622764409347,\n  "none": null\n}\n'


def test_a_long_number_is_told_in_whole_units() -> None:
    """Digits are counted where they say something; an exponent is left to what no line could hold."""
    told = [show.number(value, 4) for value in (0.0, 0.0000123, 2.5, 1999.96, -19_980.4, 9_999.7, 1e20)]
    assert told == ["0", "1.23e-05", "2.5", "2000", "-19980", "10000", "1e+20"]
