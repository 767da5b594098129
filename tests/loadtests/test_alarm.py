"""A sleep of less than a millisecond ends when it should, and a sender that sleeps so is punctual."""

import asyncio
import sys
import time

import pytest

from loadtests.alarm import Alarm
from loadtests.arrivals import Arrivals
from loadtests.bench.generator import Tally, request_bytes
from tests.loadtests.stub import Stub

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the loop's own timer is used")


@pytest.mark.parametrize("grain", [0.0, 0.0003])
def test_all_that_is_due_is_sent_and_no_processor_is_kept_busy(grain: float) -> None:
    """The rate is kept, everything is answered, and the sender sleeps for most of the time."""
    with Stub(closes_after=10_000) as stub:
        request = request_bytes(stub.url, b"", {})
        used = time.thread_time()
        arrivals = Arrivals(stub.url, request, rate=200.0, window=0.5, into=Tally, connections=4, grain=grain)
        windows = arrivals.run(1.0)
        used = time.thread_time() - used
    assert 120 < sum(window.done for window in windows) < 280
    assert sum(window.bad for window in windows) == 0
    assert used < 0.5


async def test_nobody_is_woken_too_soon() -> None:
    """An alarm rings at its time or later, time after time, and at once where that time is past."""
    with Alarm() as alarm:
        for ns in (200_000, 1, 0, 1_500_000):
            due = time.perf_counter_ns() + ns
            await asyncio.wait_for(alarm.until(due), 10)
            assert time.perf_counter_ns() >= due
        await asyncio.wait_for(alarm.until(0), 10)


async def test_some_sleeps_are_shorter_than_the_loop_counts() -> None:
    """Of many that are a third of a millisecond long, one at least ends within the whole one."""
    took = []
    with Alarm() as alarm:
        for _ in range(50):
            began = time.perf_counter_ns()
            await alarm.until(began + 300_000)
            took.append(time.perf_counter_ns() - began)
    assert min(took) < 1_000_000
