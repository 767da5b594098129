"""Clocks."""

import time

import pytest

from groundwork.clock import Clock, FakeClock, SystemClock


def test_the_system_clock_is_the_machines() -> None:
    """`now` is unix time in nanoseconds, and `monotonic` never goes back."""
    clock: Clock = SystemClock()
    assert time.time_ns() <= clock.now() <= time.time_ns()
    assert clock.monotonic() <= clock.monotonic()


def test_a_fake_clock_moves_only_when_told() -> None:
    """Both readings advance together, and by exactly what was said."""
    clock: Clock = FakeClock(now_ns=5, monotonic_s=1.0)
    assert (clock.now(), clock.monotonic()) == (5, 1.0)
    assert isinstance(clock, FakeClock)
    clock.advance(0.25)
    assert (clock.now(), clock.monotonic()) == (250_000_005, 1.25)


def test_a_fake_clock_never_goes_back() -> None:
    """A step back is a mistake of the test that asks for it."""
    with pytest.raises(ValueError, match="cannot be advanced by -1"):
        FakeClock().advance(-1)
