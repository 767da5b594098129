"""Which share of each stream is recorded: fair, within the room, quick to come and slow to hurry."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.log_rate import LOOK_SECONDS, Flow, LogRate, shares

WANTED = st.lists(st.floats(0, 1e12), max_size=8)
ROOM = st.floats(1, 1e12)


@given(WANTED, ROOM)
def test_what_is_recorded_has_room_together(wanted: list[float], most: float) -> None:
    """The shares of all, times what each wants, are no more than the room; and none is 0 or above 1."""
    found = shares(wanted, most)
    assert all(0 < share <= 1 for share in found)
    assert sum(w * s for w, s in zip(wanted, found, strict=True)) <= most * (1 + 1e-9)


@given(WANTED, ROOM)
def test_no_room_is_left_while_somebody_wants_more(wanted: list[float], most: float) -> None:
    """Either everything is recorded, or the room is used up."""
    found = shares(wanted, most)
    if min(found, default=1) < 1:
        assert sum(w * s for w, s in zip(wanted, found, strict=True)) == pytest.approx(most)


@given(WANTED, ROOM)
def test_who_is_bounded_has_no_less_than_anybody(wanted: list[float], most: float) -> None:
    """A stream that is not recorded whole gets as much as the one that gets most (max-min fairness)."""
    got = [(w * s, s) for w, s in zip(wanted, shares(wanted, most), strict=True)]
    largest = max((bytes_ for bytes_, _ in got), default=0)
    assert all(bytes_ == pytest.approx(largest) for bytes_, share in got if share < 1)


def test_a_quiet_stream_keeps_everything_beside_a_loud_one() -> None:
    """What the loud one leaves out is decided by its own traffic alone."""
    assert shares([900.0, 10.0, 90.0], 200.0) == [100 / 900, 1.0, 1.0]


def _driven(
    rate: LogRate, rows: int, seconds: float, *, since: tuple[float, int]
) -> tuple[float, int, float]:
    """Look at one stream of 1000-byte rows for so long; when it ended, its sequence and its last share."""
    (now, sequence), share = since, 1.0
    for _ in range(round(seconds / LOOK_SECONDS)):
        now, sequence = now + LOOK_SECONDS, sequence + rows
        share = rate.look(now, [Flow(1, sequence, 1000.0)])[1]
    return now, sequence, share


def test_a_lasting_stream_is_recorded_to_its_bound() -> None:
    """A steady rate of four times the room is recorded to a quarter within some seconds, and whole after."""
    rate = LogRate(1e6)
    now, sequence, share = _driven(rate, 800, 8, since=(0.0, 0))
    assert share == pytest.approx(0.25, rel=0.01)
    assert _driven(rate, 0, 2, since=(now, sequence))[2] == 1


def test_one_large_request_bounds_nobody() -> None:
    """As much at once as the room of a second changes nothing."""
    rate = LogRate(1e6)
    now, sequence, _ = _driven(rate, 1, 2, since=(0.0, 0))
    assert rate.look(now + LOOK_SECONDS, [Flow(1, sequence + 1000, 1000.0)]) == {1: 1.0}


def test_a_stream_begins_to_count_when_it_is_first_seen() -> None:
    """Numbers used before are no traffic of now."""
    rate = LogRate(1.0)
    assert rate.look(0.0, [Flow(1, 10**12, 1000.0)]) == {1: 1.0}
    assert rate.look(1.0, [Flow(1, 10**12, 1000.0), Flow(2, 10**12, 1000.0)]) == {1: 1.0, 2: 1.0}


def test_no_look_is_due_without_a_limit_or_too_soon() -> None:
    """0 is no limit; otherwise the first look is due at once and the next a while later."""
    assert not LogRate(0).due(5.0)
    rate = LogRate(1.0)
    assert rate.due(5.0)
    rate.look(5.0, [])
    assert not rate.due(5.0 + LOOK_SECONDS / 2)
    assert rate.due(5.0 + LOOK_SECONDS * 1.01)
