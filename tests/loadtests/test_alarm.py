"""A sleep of less than a millisecond ends when it should, on a loop that counts whole ones."""

import asyncio
import os
import time

import pytest
import uvloop

from loadtests.alarm import Alarm

SHORT_NS = 300_000


async def _naps(count: int) -> list[int]:
    """How long so many short sleeps took, in ns."""
    alarm = Alarm()
    took = []
    for _ in range(count):
        began = time.perf_counter_ns()
        await alarm.sleep(SHORT_NS)
        took.append(time.perf_counter_ns() - began)
    alarm.close()
    alarm.close()
    return took


def test_no_sleep_ends_early_and_some_end_within_the_millisecond() -> None:
    """A request is never sent before it is due; and the timer is not one of whole milliseconds."""
    took = uvloop.run(_naps(50))
    assert min(took) >= SHORT_NS
    if hasattr(os, "sched_getaffinity"):  # Linux
        assert min(took) < 1_000_000


@pytest.mark.parametrize("nanoseconds", [0, -5])
def test_a_time_that_is_past_is_no_sleep_for_ever(nanoseconds: int) -> None:
    """The kernel takes 0 for "never"; a sleeper must not."""

    async def nap() -> None:
        alarm = Alarm()
        try:
            async with asyncio.timeout(30):
                await alarm.sleep(nanoseconds)
        finally:
            alarm.close()

    uvloop.run(nap())
