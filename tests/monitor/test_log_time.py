"""Tests of monitor.log_time: what one wrong clock can and cannot do."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.log_time import NEAR, LogTime, Times, later

SECOND = 10**9
DAY = 86_400 * SECOND
NOW = 1_800_000_000 * SECOND
KEEP = 35 * DAY
IDLE = 600 * SECOND


def times(*values: int) -> Times:
    """Record times of one frame."""
    return np.array(values, np.int64)


def made(*frames: int) -> LogTime:
    """A log's time after these frames of one row."""
    log = LogTime(keep_ns=KEEP, idle_ns=IDLE)
    for frame in frames:
        log.take(times(frame))
    return log


def test_time_passes_with_the_frames() -> None:
    """Frames move the time forward by what lies between them; those of a worker slightly behind do not."""
    log = made(NOW, NOW + 5 * SECOND, NOW + 3 * SECOND, NOW + 8 * SECOND)
    assert (log.now, log.kept, log.used) == (NOW + 8 * SECOND,) * 3


@pytest.mark.parametrize("wrong", [2**62, 1, NOW + 40 * DAY, NOW - 40 * DAY])
def test_one_wrong_row_moves_nothing(wrong: int) -> None:
    """A single row from far away is held near and counted; after it all is as if it never was."""
    log = made(NOW)
    held, changed = log.take(times(wrong))
    assert abs(int(held[0]) - NOW) == NEAR
    assert changed == 1
    _, changed = log.take(times(NOW + SECOND))
    assert changed == 0
    assert (log.now, log.kept, log.used) == (NOW + SECOND,) * 3


def test_one_wrong_row_among_others_is_held() -> None:
    """In a frame of many rows the median speaks; a row far from it is held and counted."""
    log = made(NOW)
    held, changed = log.take(times(NOW, NOW + 1, NOW + 2, 2**62, NOW + 4))
    assert (log.now, changed, held[3]) == (NOW + 2, 1, NOW + 2 + NEAR)


def test_a_silence_counts_as_one_step() -> None:
    """Three days without a frame are believed, and age nothing by more than a tenth of what would end it."""
    log = made(NOW)
    _, changed = log.take(times(*range(NOW + 30 * DAY, NOW + 30 * DAY + 5)))
    assert changed == 0
    assert log.now == NOW + 30 * DAY + 2
    assert (log.kept - NOW, log.used - NOW) == (KEEP // 10, IDLE // 10)


def test_two_rows_of_one_mind_are_believed() -> None:
    """Where frames hold single rows, the second one on the same side tells a silence from a wrong clock."""
    log = made(NOW, NOW + 2 * DAY, NOW + 4 * DAY)
    assert log.now == NOW + 2 * DAY
    log = made(NOW, NOW + 2 * DAY, NOW - 2 * DAY)
    assert log.now == NOW


def test_a_host_thirty_days_late_ages_nothing() -> None:
    """A clock that is set right by thirty days, either way, neither ages nor idles by more than a tenth."""
    late = [NOW - 30 * DAY + step * SECOND for step in range(100)]
    right = [NOW + step * SECOND for step in range(100)]
    for story in (late + right, right + late):
        log = made(*story)
        assert log.kept - story[0] <= KEEP // 10 + 200 * SECOND
        assert log.used - story[0] <= IDLE // 10 + 200 * SECOND
        assert abs(log.now - story[-1]) <= SECOND


@pytest.mark.parametrize("first", [2**63 - 1, 2**63 - 1 - SECOND])
def test_a_log_of_the_end_of_time_can_be_kept(first: int) -> None:
    """However late the first clock is, no time is told that the store has no room for."""
    log = made(first - 2, first - 1, first)
    held, _ = log.take(times(first, first, 2**63 - 1))
    for told in (log.now, log.kept, log.used, *held.tolist()):
        assert told <= 2**63 - 1
    log = made(first)
    log.take(times(NOW, NOW, NOW))
    log.take(times(first, first, first))
    assert max(log.now, log.kept, log.used) <= 2**63 - 1


@given(st.lists(st.integers(0, 2**62), min_size=1, max_size=30), st.integers(0, 30))
def test_passed_time_never_goes_back_and_survives_a_restart(frames: list[int], cut: int) -> None:
    """Whatever the clocks said, passed time only grows; a run cut anywhere and restored goes on the same."""
    whole, first = LogTime(keep_ns=KEEP, idle_ns=IDLE), LogTime(keep_ns=KEEP, idle_ns=IDLE)
    passed = 0
    for at, frame in enumerate(frames):
        if at == cut:
            second = LogTime(keep_ns=KEEP, idle_ns=IDLE)
            second.restore(first.state())
            first = second
        held = whole.take(times(frame))[0]
        assert held.tolist() == first.take(times(frame))[0].tolist()
        assert whole.kept >= passed
        passed = whole.kept
    assert whole.state() == first.state()


def test_a_mark_follows_a_clock_that_was_set_back() -> None:
    """Between two times the later counts, but for a step back of more than an hour."""
    assert later(NOW, NOW - SECOND) == NOW
    assert later(NOW, NOW - 2 * NEAR) == NOW - 2 * NEAR
