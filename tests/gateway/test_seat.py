"""A worker's own seat in the table of places."""

from collections.abc import Iterator

import pytest

from gateway.places import FRESH_SECONDS, Places, Stage
from gateway.seat import Seat
from groundwork.clock import FakeClock


@pytest.fixture
def table() -> Iterator[Places]:
    """A table of two workers."""
    places = Places.create(2)
    yield places
    places.close()


def test_it_shows_itself_in_its_own_row(table: Places) -> None:
    """What a seat shows stands in its row, and its neighbour's stays empty."""
    clock = FakeClock()
    seat = Seat(table, 1, clock.monotonic)
    seat.reach(Stage.READY)
    seat.beat()
    seat.hold(3)
    seat.call(2)
    seat.serve(70)
    assert (table.stage(1), table.connections(1), table.callers(1), table.served(1)) == (
        Stage.READY,
        3,
        2,
        70,
    )
    assert table.beat_of(1) > 0
    assert (table.stage(0), table.beat_of(0)) == (Stage.ABSENT, 0)


def test_it_has_more_than_a_neighbour_that_turns(table: Places) -> None:
    """A worker with more connections than a ready neighbour says so, of each kind by itself."""
    clock = FakeClock()
    seat, other = Seat(table, 0, clock.monotonic), Seat(table, 1, clock.monotonic)
    assert not seat.holds_more(9)
    other.reach(Stage.READY)
    other.beat()
    other.hold(2)
    other.call(4)
    assert [seat.holds_more(held) for held in (2, 3)] == [False, True]
    assert [seat.called_more(held) for held in (4, 5)] == [False, True]
    clock.advance(FRESH_SECONDS + 0.1)
    assert not seat.holds_more(3)
