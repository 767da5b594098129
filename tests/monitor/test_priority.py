"""Tests of monitor.priority."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from monitor.priority import NICENESS, give_way


def _standing() -> tuple[int, int]:
    """The niceness and the policy of the calling thread."""
    return os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(0)


@pytest.mark.skipif(sys.platform != "linux", reason="priorities of threads are Linux's")
def test_only_the_thread_that_calls_gives_way() -> None:
    """A thread that gives way is last and interrupts nobody; the others stand where they stood."""
    before = _standing()
    with ThreadPoolExecutor(1) as thread:
        thread.submit(give_way).result()
        assert thread.submit(_standing).result() == (max(NICENESS, before[0]), os.SCHED_BATCH)
    assert _standing() == before
