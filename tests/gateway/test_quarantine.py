"""Versions that kill their worker again and again."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.quarantine import (
    CRASHES,
    FIRST_SECONDS,
    FORGET_SECONDS,
    LOAD_CRASHES,
    LONGEST_SECONDS,
    TRIAL_SECONDS,
    WINDOW_SECONDS,
    Quarantine,
)

SECOND = 10**9
BAD, GOOD = ("m", "2"), ("n", "1")


def test_a_version_is_barred_at_the_nth_death_in_the_window() -> None:
    """Fewer deaths, or deaths further apart, bar nothing; the reason tells how the last one was."""
    quarantine = Quarantine()
    slow = [
        quarantine.died([GOOD], "was ended by SIGSEGV", n * int(WINDOW_SECONDS) * SECOND) for n in range(9)
    ]
    assert slow == [[]] * 9
    found = [quarantine.died([BAD], "was ended by SIGSEGV", n * SECOND) for n in range(CRASHES)]
    assert found[:-1] == [[]] * (CRASHES - 1)
    (barred,) = found[-1]
    assert barred.key == BAD
    assert barred.until == round((CRASHES - 1 + FIRST_SECONDS) * SECOND)
    assert "SIGSEGV" in barred.reason


def test_a_load_that_kills_is_barred_sooner() -> None:
    """Nothing is served by a worker that dies while it loads, so fewer deaths bar; the reason says so."""
    quarantine = Quarantine()
    found = [quarantine.died([BAD], "hung", n * SECOND, loading=True) for n in range(LOAD_CRASHES)]
    assert found[:-1] == [[]] * (LOAD_CRASHES - 1)
    (barred,) = found[-1]
    assert barred.reason.startswith(f"it was being loaded when {LOAD_CRASHES} workers")


def test_the_time_is_served_and_doubles_at_the_next_death() -> None:
    """After its time a version is loaded again; one more death bars it for twice as long."""
    quarantine = Quarantine()
    now = 0
    for _ in range(CRASHES):
        quarantine.died([BAD], "hung", now)
    assert [one.key for one in quarantine.barred(now)] == [BAD]
    now = round(FIRST_SECONDS * SECOND)
    assert quarantine.barred(now) == ()
    (again,) = quarantine.died([BAD], "hung", now)
    assert again.until - now == 2 * FIRST_SECONDS * SECOND


def test_workers_are_told_for_as_long_as_somebody_waits() -> None:
    """What is over is told until every place has had its turn: a worker that starts waits for its own."""
    quarantine = Quarantine()
    for _ in range(LOAD_CRASHES):
        quarantine.died([BAD], "hung", 0, loading=True)
    over = round(FIRST_SECONDS * SECOND)
    turns = round(2 * TRIAL_SECONDS * SECOND)
    assert quarantine.barred(over) == ()
    assert [one.key for one in quarantine.told(over + turns - 1, 2)] == [BAD]
    assert quarantine.told(over + turns, 2) == ()


def test_of_several_those_with_most_deaths_are_blamed() -> None:
    """A version that happened to run beside the culprit once is not barred with it."""
    quarantine = Quarantine()
    for _ in range(CRASHES - 1):
        quarantine.died([BAD], "hung", 0)
    assert [one.key for one in quarantine.died([BAD, GOOD], "hung", 0)] == [BAD]


def test_an_hour_without_a_death_forgets() -> None:
    """What was long ago counts neither as a death nor towards a longer time."""
    quarantine = Quarantine()
    for _ in range(CRASHES):
        quarantine.died([BAD], "hung", 0)
    later = round((FIRST_SECONDS + FORGET_SECONDS + 1) * SECOND)
    assert quarantine.died([BAD], "hung", later) == []


def test_a_clock_that_was_set_back_leaves_nothing_out_for_longer() -> None:
    """What a later clock barred is over when it is right again, and deaths of then count for nothing."""
    quarantine, now = Quarantine(), 1_700_000_000 * SECOND
    for _ in range(CRASHES):
        quarantine.died([BAD], "hung", now)
    right = now - 3_600 * SECOND
    assert (quarantine.barred(right), quarantine.told(right, 2)) == ((), ())
    assert quarantine.died([BAD], "hung", right) == []
    for _ in range(CRASHES - 1):
        quarantine.died([BAD], "hung", right)
    assert [one.key for one in quarantine.barred(right)] == [BAD]


@given(st.lists(st.integers(0, 300), max_size=60))
def test_times_never_shrink_in_a_row_and_are_bounded(gaps: list[int]) -> None:
    """Through any crash loop the times grow up to a bound."""
    quarantine, now, times = Quarantine(), 0, []
    for gap in gaps:
        now += gap * SECOND
        times += [one.until - now for one in quarantine.died([BAD], "hung", now)]
    assert times == sorted(times)
    assert all(time <= LONGEST_SECONDS * SECOND for time in times)
