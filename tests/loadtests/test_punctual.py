"""A sender that sleeps until each request is due, to microseconds."""

import asyncio
import sys
import time

import pytest

from loadtests.bench.generator import Tally, request_bytes
from loadtests.punctual import Alarm, Punctual
from tests.loadtests.stub import Stub

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the timer is Linux's")


def test_all_that_is_due_is_sent_and_no_processor_is_kept_busy() -> None:
    """The rate is kept, everything is answered, and the sender sleeps for most of the time."""
    with Stub(closes_after=10_000) as stub:
        request = request_bytes(stub.url, b"", {})
        used = time.thread_time()
        arrivals = Punctual(stub.url, request, rate=200.0, window=0.5, into=Tally, connections=4)
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
