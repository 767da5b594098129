"""What is learnt while a version runs."""

import pytest

from gateway.estimates import Hope, Pace, Turn
from gateway.schedule import Times
from groundwork.clock import FakeClock

# A perceptron of 21 MB on one core: seconds by rows.
PERCEPTRON: Times = ((1, 793e-6), (2, 800e-6), (4, 814e-6), (8, 1021e-6), (16, 1201e-6), (32, 2250e-6))


def test_the_pace_follows_the_machine() -> None:
    """Runs that take longer than at load raise the estimate, one wild run only a little; none is below 0."""
    pace = Pace(PERCEPTRON)
    pace.note(1, 100.0)
    assert pace.factor < 2
    for _ in range(60):
        pace.note(1, 2 * 793e-6)
    assert pace.seconds(1) == pytest.approx(2 * 793e-6, rel=0.05)
    assert pace.least(1) == pytest.approx(793e-6)


def test_a_delay_is_remembered_for_some_runs() -> None:
    """What a loop was late counts for a while; a loop in time is believed at last."""
    pace = Pace(PERCEPTRON)
    for delay in (0.0, 0.0, 0.1, 0.0):
        pace.note_delay(delay)
    assert 0.01 < pace.delay < 0.02
    for _ in range(40):
        pace.note_delay(0.0)
    assert pace.delay < 0.001


def test_the_pace_of_an_unmeasured_version_is_its_last_run() -> None:
    """Where nothing could be measured at load, runs themselves say what they take."""
    pace = Pace(())
    assert pace.seconds(3) == 0
    pace.note(2, 0.5)
    assert pace.seconds(3) == 0.5


def test_an_estimate_that_lets_nobody_run_is_tried_again() -> None:
    """The sixteenth of those refused with no run between them is run; a run begins the count anew."""
    pace = Pace(PERCEPTRON)
    assert [pace.tried_again() for _ in range(32)] == [*[False] * 15, True] * 2
    assert not any(pace.tried_again() for _ in range(15))
    pace.note(1, 793e-6)
    assert not any(pace.tried_again() for _ in range(15))


def test_a_turn_is_what_the_loop_works_for_a_request() -> None:
    """Work between two runs is shared by those that were run; what one alone or a rest had is not counted."""
    clock = FakeClock()
    turn = Turn(clock.monotonic)
    for _ in range(60):
        clock.advance(0.8e-3)
        turn.note(8, alone=False)
    assert turn.seconds == pytest.approx(100e-6, rel=0.01)
    clock.advance(5.0)
    turn.note(1, alone=True)
    assert turn.seconds == pytest.approx(100e-6, rel=0.01)
    clock.advance(5.0)
    turn.note(1, alone=False)
    assert turn.seconds < 200e-6


def test_waiting_is_given_up_where_it_does_not_pay() -> None:
    """After waits in which nobody came only every sixteenth chance is taken; company brings them back."""
    hope = Hope()
    for _ in range(3):
        assert hope.begin(1, 8)
        hope.end(1)
    taken = [hope.begin(1, 8) for _ in range(32)]
    assert sum(taken) == 2
    for _ in range(8):
        hope.end(8)
    assert all(hope.begin(1, 8) for _ in range(4))
