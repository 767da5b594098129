"""Tests of gateway.portion."""

import pytest

from gateway.estimates import Pace
from gateway.portion import Portion
from gateway.schedule import Measured, Schedule, Times
from groundwork.clock import FakeClock

TIMES: Times = ((1, 1.0), (2, 1.0), (4, 1.9), (16, 6.0))
MOST = 16


def portion(clock: FakeClock, pace: Pace, *, aside: bool) -> Portion:
    """Of a version whose runs take these times, on a loop that works by this clock."""
    return Portion(Schedule("batched", -1, MOST, "", Measured(TIMES)), pace, clock.monotonic, aside=aside)


def test_what_is_in_flight_runs_in_halves_while_the_loop_has_as_much_to_do() -> None:
    """With a loop that has little to do for each request, all that may run together does again."""
    clock = FakeClock()
    runs = portion(clock, Pace(TIMES), aside=True)
    for seconds, wanted in ((4.0, 2), (0.0, MOST)):
        for _ in range(40):
            clock.advance(seconds)
            runs.note(ran=4, requests=4, flying=4)
        assert (runs.rows, runs.most) == (wanted, MOST)


@pytest.mark.parametrize(("aside", "wanted"), [(False, 4), (True, 2)])
def test_a_run_waits_for_no_more_than_it_gains_by(*, aside: bool, wanted: int) -> None:
    """For all that can come, or, beside the loop, for as many as are worth it; never past a full one."""
    runs = portion(FakeClock(), Pace(TIMES), aside=aside)
    assert runs.enough(1, 3) == wanted
    assert runs.enough(MOST + 3, 4) == MOST


def test_waiting_lasts_as_long_as_runs_do_now() -> None:
    """A machine that has become slow makes the wait longer, and nothing to gain makes it none."""
    pace = Pace(TIMES)
    runs = portion(FakeClock(), pace, aside=False)
    quick = runs.window(1, 1)
    for _ in range(100):
        pace.note(2, 2.0)
    assert runs.window(1, 1) == pytest.approx(2 * quick, rel=0.01)
    assert runs.window(MOST, 1) == 0.0
