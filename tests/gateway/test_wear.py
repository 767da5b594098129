"""When a worker has served long enough, and when it hangs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.settings import WorkerSettings
from gateway.wear import ASLEEP_SECONDS, Allotment, Pulse, Use

LIMITS = WorkerSettings(max_requests=1000, max_age=3600.0, max_memory=1 << 30, jitter=0.2)


@pytest.mark.parametrize(
    ("use", "wanted"),
    [
        (Use(age=10.0, requests=999, memory=1 << 29), ""),
        (Use(age=10.0, requests=1000, memory=0), "1000 requests"),
        (Use(age=3600.0, requests=0, memory=0), "3600 s of age"),
        (Use(age=10.0, requests=0, memory=1 << 30), "1024 MiB of memory"),
    ],
)
def test_each_limit_counts_by_itself(use: Use, wanted: str) -> None:
    """A worker is worn out by the first limit it reaches, and the reason says which."""
    assert Allotment.drawn(LIMITS, 0.0).worn(use) == wanted


def test_no_limit_is_no_limit() -> None:
    """By default nothing wears a worker out."""
    assert not Allotment.drawn(WorkerSettings(), 0.5).worn(Use(1e9, 10**12, 10**15))


@given(st.floats(0, 1))
def test_a_draw_takes_off_at_most_the_jitter(draw: float) -> None:
    """Workers that begin together end apart, none later than the setting; memory is not drawn."""
    allotment = Allotment.drawn(LIMITS, draw)
    assert 800 <= allotment.requests <= 1000
    assert 2880 <= allotment.age <= 3600
    assert allotment.memory == 1 << 30


def test_a_loop_that_turns_has_a_pulse() -> None:
    """Every new beat begins the count again."""
    pulse = Pulse(0.0)
    assert [pulse.still(beat, float(beat)) for beat in range(1, 50)] == [0.0] * 49
    assert pulse.still(49, 50.0) == 1.0
    assert pulse.still(49, 51.0) == 2.0
    assert pulse.still(50, 52.0) == 0.0


def test_a_sleeping_watcher_takes_nobody_for_dead() -> None:
    """However long the one who watches has slept, one look counts for seconds only."""
    pulse = Pulse(0.0)
    pulse.still(1, 1.0)
    assert pulse.still(1, 10_000.0) == ASLEEP_SECONDS
