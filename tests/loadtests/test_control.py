"""A program that has run for long is compared with one that was started a moment ago."""

from pathlib import Path

import pytest

from loadtests import canary, control
from loadtests.bench import generator
from loadtests.stream import Stream
from loadtests.subject import Reference, publish, running


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
