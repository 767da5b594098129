"""A program that has run for long is compared with one that was started a moment ago."""

from pathlib import Path

import pytest

from loadtests import canary, control
from loadtests.bench import generator
from loadtests.control import Control
from loadtests.spread import Spread
from loadtests.stream import Stream
from loadtests.subject import Reference, publish, running


def turn(p99_ms: float) -> Spread:
    """A turn in which every answer took so long."""
    spread = Spread()
    spread.took(round(p99_ms * 1e6))
    return spread


def test_one_disturbed_turn_is_not_what_is_told() -> None:
    """The medians of the turns are compared, and the line says that it decides nothing."""
    found = Control(aged=[turn(3.0)] * 9 + [turn(90.0)], fresh=[turn(2.0)] * 10)
    assert found.p99_ms == pytest.approx((2.0, 3.0), rel=0.02)
    assert "1.50 ×" in str(found)
    assert "decides nothing" in str(found)


@pytest.mark.system
def test_both_answer_the_same_load_in_turns(tmp_path: Path) -> None:
    """Real programs with a canary each: as many answers of either, none failed, and both have a latency."""
    body = Reference.read(publish(tmp_path)).body(0, 1)
    with running(tmp_path) as subject:
        publish(tmp_path, 2)
        request = generator.request_bytes(subject.infer, body, control.JSON)
        with Stream(subject.infer, request, 1) as aged:
            canary.start(subject.operator, 20)
            found = control.compare(
                aged, body, tmp_path / "fresh", 50, settings={}, weight=20, turns=1, warm_up=1
            )
    wanted = 50 * control.TURN_S
    assert min(found.p99_ms) > 0
    for (side,) in (found.aged, found.fresh):
        assert side.bad == 0
        assert 0.6 * wanted < side.done < 1.4 * wanted
