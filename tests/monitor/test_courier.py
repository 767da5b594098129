"""Tests of monitor.courier; what it carries, tests of monitor.delivery say."""

import asyncio
import threading

from monitor.courier import widen


async def test_names_that_nobody_resolves_leave_threads_to_others() -> None:
    """While a hundred look-ups wait for a name server, the next one has a thread at once."""
    widen(asyncio.get_running_loop())
    answered = threading.Event()
    waiting = [asyncio.create_task(asyncio.to_thread(answered.wait)) for _ in range(100)]
    assert await asyncio.wait_for(asyncio.to_thread(lambda: "known"), 10.0) == "known"
    answered.set()
    await asyncio.gather(*waiting)
