"""How facts look: aligned, in people's units, and the same for eyes as for programs."""

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
