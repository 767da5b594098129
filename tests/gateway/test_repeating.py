"""A task that looks at one thing again and again."""

import asyncio
import contextlib
import io

from gateway.repeating import again
from groundwork.clock import FakeClock
from groundwork.errors import StoreError
from groundwork.logs import Log


async def test_what_fails_is_told_and_tried_again() -> None:
    """A fault, foreseen or not, ends one look and not the task; the log says which task it was."""
    written, looks, done = io.StringIO(), iter([StoreError("gone"), ZeroDivisionError()]), asyncio.Event()

    async def look() -> None:
        fault = next(looks, None)
        if fault is not None:
            raise fault
        done.set()

    task = asyncio.create_task(again(look, lambda: 0.0, Log(written, FakeClock()), rest=0.0))
    await done.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    failed, broken = written.getvalue().splitlines()
    assert "task-failed" in failed
    assert "gone" in failed
    assert "task-broken" in broken
    assert "ZeroDivisionError" in broken
    assert all("look" in line for line in (failed, broken))
