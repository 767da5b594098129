"""How long a dead worker is waited for."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.backoff import FIRST_SECONDS, HEALTHY_SECONDS, LONGEST_SECONDS, Backoff


def test_one_crash_costs_no_wait() -> None:
    """The first death is followed by a start at once; then the waits double."""
    backoff = Backoff()
    assert [backoff.after(0.1) for _ in range(4)] == [
        0.0,
        FIRST_SECONDS,
        2 * FIRST_SECONDS,
        4 * FIRST_SECONDS,
    ]


def test_a_healthy_life_is_forgiven() -> None:
    """After a long life the next death counts as a first one."""
    backoff = Backoff()
    for _ in range(5):
        backoff.after(0.0)
    assert backoff.after(HEALTHY_SECONDS) == 0.0


@given(st.lists(st.floats(0, HEALTHY_SECONDS, exclude_max=True), max_size=40))
def test_waits_never_shrink_and_are_bounded(lives: list[float]) -> None:
    """Through any crash loop the waits grow up to a bound, whatever the count."""
    backoff = Backoff()
    waits = [backoff.after(lived) for lived in lives]
    assert waits == sorted(waits)
    assert all(wait <= LONGEST_SECONDS for wait in waits)
