"""How late the event loop is."""

import asyncio

import pytest

from gateway.loop_lag import LoopLag
from groundwork.clock import FakeClock

BEAT = 0.01


async def turns(count: int) -> None:
    """Let the loop turn so often."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_loop_in_time_is_not_late() -> None:
    """Beats that come when they are due leave nothing to refuse."""
    clock = FakeClock()
    lag = LoopLag(1.0, clock.monotonic)
    for _ in range(5):
        lag.beat(BEAT)
        clock.advance(BEAT)
    assert lag.waited(clock.monotonic()) == 0
    assert clock.monotonic() < lag.sheds_at


async def test_a_late_loop_says_how_long_requests_may_have_waited() -> None:
    """From a late beat on, a request may have waited since the turn before this one began."""
    clock = FakeClock()
    lag = LoopLag(1.0, clock.monotonic)
    lag.beat(BEAT)
    clock.advance(0.5)
    assert lag.waited(clock.monotonic()) == pytest.approx(0.5 - BEAT), "overdue"
    lag.beat(BEAT)
    assert lag.waited(clock.monotonic()) == pytest.approx(0.5 - BEAT)
    clock.advance(0.25)
    await turns(1)
    assert lag.waited(clock.monotonic()) == pytest.approx(0.25)
    clock.advance(0.8)
    assert clock.monotonic() > lag.sheds_at


async def test_short_turns_end_the_lateness() -> None:
    """After some short turns in a row the loop is in time again, and nothing is scheduled any more."""
    clock = FakeClock()
    lag = LoopLag(1.0, clock.monotonic)
    lag.beat(BEAT)
    clock.advance(0.5)
    lag.beat(BEAT)
    await turns(30)
    assert lag.waited(clock.monotonic()) == 0
