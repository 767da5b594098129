"""The table that the supervisor and its workers share."""

import os

from hypothesis import given
from hypothesis import strategies as st

from gateway.places import FRESH_SECONDS, Places, Stage


def test_least_counts_ready_others_only() -> None:
    """A worker compares itself with the other ready workers, never with itself or with an empty place."""
    places = Places.create(4)
    for place, (stage, held) in enumerate(
        [(Stage.READY, 1), (Stage.READY, 7), (Stage.STARTING, 0), (Stage.READY, 5)],
    ):
        places.reach(place, stage)
        places.hold(place, held)
        places.beat(place, 100.0)
    assert places.least(0, 100.0) == 5
    assert places.least(3, 100.0) == 1
    places.close()


def test_a_worker_that_hangs_is_left_out() -> None:
    """Nobody leaves a connection to a worker whose loop has not turned for a while."""
    places = Places.create(2)
    places.reach(1, Stage.READY)
    places.beat(1, 100.0)
    assert places.least(0, 100.0 + FRESH_SECONDS) == 0
    assert places.least(0, 100.1 + FRESH_SECONDS) is None
    places.close()


def test_alone_has_no_least() -> None:
    """A worker without a ready neighbour has nobody to leave a connection to."""
    places = Places.create(2)
    places.reach(0, Stage.READY)
    assert places.least(0, 1.0) is None
    places.close()


def test_shared_through_the_descriptor() -> None:
    """Two views of one memory file show the same cells, which is how processes share them."""
    places = Places.create(2)
    other = Places(os.dup(places.fd), 2)
    other.reach(1, Stage.READY)
    other.hold(1, 9)
    assert (places.stage(1), places.connections(1)) == (Stage.READY, 9)
    places.clear(1)
    assert (other.stage(1), other.connections(1)) == (Stage.ABSENT, 0)
    other.close()
    places.close()


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=6))
def test_rows_do_not_touch(counts: list[int]) -> None:
    """What one place publishes never changes what another shows."""
    places = Places.create(len(counts))
    for place, count in enumerate(counts):
        places.hold(place, count)
    assert [places.connections(place) for place in range(len(counts))] == counts
    places.close()


def test_what_a_worker_served_and_its_last_beat_are_shown() -> None:
    """The supervisor sees how much a worker has answered and whether it turns; a cleared row is empty."""
    places = Places.create(2)
    assert (places.beat_of(1), places.served(1)) == (0, 0)
    places.beat(1, 1.0)
    first = places.beat_of(1)
    places.beat(1, 1.5)
    places.serve(1, 42)
    assert places.beat_of(1) > first > 0
    assert places.served(1) == 42
    places.clear(1)
    assert (places.beat_of(1), places.served(1)) == (0, 0)
    places.close()
