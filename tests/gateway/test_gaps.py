"""Runs that wait for a gap, and the clock that stands still meanwhile."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gateway.gaps import LONGEST_SECONDS, MOST_SECONDS, Gaps
from gateway.session import Session
from groundwork.clock import FakeClock
from tests.models import logistic

FEEDS = {"x": np.zeros((1, 30), np.float32)}


@pytest.fixture
def session(tmp_path: Path) -> Session:
    """A session of the logistic model."""
    path = tmp_path / "model.onnx"
    path.write_bytes(logistic())
    return Session.open(path, title="m")


def gaps(session: Session, clock: FakeClock, busy: Callable[[], bool]) -> Gaps:
    """Where waiting moves the clock."""
    return Gaps(session, busy, clock.monotonic, clock.advance)


def test_a_run_waits_for_a_gap(session: Session) -> None:
    """It begins when no caller's run is under way, and what passed until then is no part of its time."""
    clock = FakeClock()
    looks = iter([True, True, True, False])
    waiting = gaps(session, clock, lambda: next(looks))
    began, wall = waiting.seconds(), clock.monotonic()
    assert len(waiting.run(FEEDS)) == 2
    assert waiting.seconds() == pytest.approx(began)
    assert clock.monotonic() > wall
    assert next(looks, None) is None


def test_an_idle_worker_waits_for_nothing(session: Session) -> None:
    """Where nobody runs anything, a run begins at once."""
    clock = FakeClock()
    wall = clock.monotonic()
    gaps(session, clock, lambda: False).run(FEEDS)
    assert clock.monotonic() == wall


def test_a_worker_that_is_never_idle_is_measured_all_the_same(session: Session) -> None:
    """A run waits only so long, and all of a version's runs together too."""
    clock = FakeClock()
    waiting = gaps(session, clock, lambda: True)
    wall = clock.monotonic()
    waiting.run(FEEDS)
    assert LONGEST_SECONDS <= clock.monotonic() - wall < 2 * LONGEST_SECONDS
    for _ in range(100):
        waiting.run(FEEDS)
    assert clock.monotonic() - wall == pytest.approx(MOST_SECONDS, abs=LONGEST_SECONDS)
