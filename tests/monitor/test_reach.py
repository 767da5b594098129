"""Of what the log dropped: what had been read, and what had not."""

from hypothesis import given
from hypothesis import strategies as st

from monitor.reach import Dropped, Reach
from prediction_log.transport import Offset


def test_a_segment_that_was_read_to_its_end_is_no_loss() -> None:
    """Rows read before they were dropped are told apart from those that were not."""
    reach = Reach()
    reach.passed(Offset(1, 1), 10)
    reach.passed(Offset(1, 2), 5)
    reach.passed(Offset(2, 1), 7)
    assert reach.dropped(Offset(1, 2), 15) == Dropped(read=15, unread=0)
    assert reach.dropped(Offset(2, 4), 30) == Dropped(read=7, unread=23)
    assert reach.dropped(Offset(3, 4), 30) == Dropped(read=0, unread=30)


def test_a_drop_that_is_told_twice_counts_once() -> None:
    """Retention that was killed says the same again."""
    reach = Reach()
    reach.passed(Offset(1, 1), 10)
    assert reach.dropped(Offset(1, 1), 10) == Dropped(10, 0)
    assert reach.dropped(Offset(1, 1), 10) == Dropped(0, 0)


def test_what_was_read_before_counting_began_was_read() -> None:
    """A store of an earlier version knows its offset and nothing else."""
    reach = Reach(Offset(3, 4))
    assert reach.dropped(Offset(2, 9), 30) == Dropped(30, 0)
    assert reach.dropped(Offset(3, 4), 30) == Dropped(30, 0)


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 9))), st.integers(1, 5))
def test_a_restart_forgets_nothing(frames: list[tuple[int, int]], segment: int) -> None:
    """A reach that was stored and restored says what the other one says, and is the same bytes."""
    reach = Reach()
    for row, (at, rows) in enumerate(sorted(frames), 1):
        reach.passed(Offset(at, row), rows)
    again = Reach.restore(reach.state())
    assert again.state() == reach.state()
    upto = Offset(segment, 10**6)
    assert again.dropped(upto, 1000) == reach.dropped(upto, 1000)
    assert again.state() == reach.state()
