"""How long a dead worker is waited for."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.backoff import FIRST_SECONDS, LONGEST_SECONDS, STEADY_SECONDS, Backoff


def test_one_failed_start_costs_no_wait() -> None:
    """The first failed start is followed by another at once; then the waits double."""
    backoff = Backoff()
    waits = [backoff.after(answered=False) for _ in range(4)]
    assert waits == [0.0, FIRST_SECONDS, 2 * FIRST_SECONDS, 4 * FIRST_SECONDS]


def test_a_worker_that_answered_and_is_killed_is_followed_at_once() -> None:
    """However often a working worker is killed from outside, the next one starts at once."""
    backoff = Backoff()
    for _ in range(5):
        backoff.after(answered=False)
    assert [backoff.after(answered=True) for _ in range(50)] == [0.0] * 50
    assert backoff.after(answered=False) == 0.0


def test_a_worker_that_dies_of_itself_soon_is_waited_for() -> None:
    """Crashes soon after the first answer are a loop: waits double; who had recovered begins a new row."""
    backoff = Backoff()
    waits = [backoff.after(answered=True, own_fault=True, lived=1.0) for _ in range(3)]
    assert waits == [0.0, FIRST_SECONDS, 2 * FIRST_SECONDS]
    assert backoff.after(answered=True, own_fault=True, lived=STEADY_SECONDS) == 0.0
    assert backoff.after(answered=True, own_fault=True, lived=1.0) == FIRST_SECONDS


@given(st.integers(0, 60))
def test_waits_never_shrink_and_are_bounded(failures: int) -> None:
    """Through any crash loop the waits grow up to a bound, whatever the count."""
    backoff = Backoff()
    waits = [backoff.after(answered=False) for _ in range(failures)]
    assert waits == sorted(waits)
    assert all(wait <= LONGEST_SECONDS for wait in waits)
