"""The end of the demo in text, as wide as it may be."""

from pathlib import Path

from driftgate.demo.play import Options, Play
from driftgate.demo.stage import Stage
from driftgate.demo.timeline import lines
from tests.driftgate.demo.test_facts import Silence


def test_the_timeline_fits_a_terminal(tmp_path: Path) -> None:
    """Every line is within the width, whatever a fact tells, and nothing of it is left out."""
    play = Play(Options(seed=1, folder=tmp_path), Stage(tmp_path))
    play.open(Silence())
    play.facts.add("it goes back " * 7, "history", "evidence of accuracy " * 20, at=2.0)
    told = list(lines(play, 80))
    assert max(map(len, told)) <= 80
    words = ("it goes back " * 7 + "evidence of accuracy " * 20).split()
    assert " ".join(told[1:]).split() == ["2.0", *words, "(history)"]
