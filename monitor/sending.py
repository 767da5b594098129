"""The dispatcher's task: it looks again and again until it is asked to stop, and takes one step at the end.

On a full disk or a locked file what is pending stays pending, and it is tried again after a growing pause.
"""

import asyncio
import contextlib
import sqlite3
from typing import Final, Protocol

from groundwork.errors import DriftgateError
from groundwork.logs import Log

SOON: Final = 0.2
"""The pipeline tells nobody what it wrote: it is looked for so often."""
_SOONEST: Final = 0.01
_LONGEST: Final = 10.0
_LAST_TRY: Final = 3.0


class Steps(Protocol):
    """What is asked of the dispatcher."""

    async def begin(self) -> float | None:
        """Begin to try what is due; seconds until something is due besides, None if nothing waits."""
        ...

    async def step(self) -> float | None:
        """Try what is due, and wait for the end of it; as `begin`."""
        ...


async def send(dispatcher: Steps, stop: asyncio.Event, log: Log) -> None:
    """Deliver what is due, until it is time to stop."""
    wait = 0.0
    while not stop.is_set():
        try:
            wait = pause(wait, await dispatcher.begin())
        except (DriftgateError, sqlite3.OperationalError) as error:
            log.error("deliveries-wait", fault=error)  # noqa: TRY400  our own log writes one line
            wait = pause(wait, None, failed=True)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), wait)


async def send_last(sending: asyncio.Task[None], dispatcher: Steps, log: Log) -> None:
    """Deliver once more what the last round wrote, for a few seconds at most; the rest waits for a start."""
    sending.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await sending
    try:
        await asyncio.wait_for(dispatcher.step(), _LAST_TRY)
    except TimeoutError:
        pass
    except (DriftgateError, sqlite3.OperationalError) as error:
        log.error("deliveries-wait", fault=error)  # noqa: TRY400  our own log writes one line


def pause(last: float, due: float | None, *, failed: bool = False) -> float:
    """Seconds to wait after a look: until something is due, and ever longer while it fails."""
    if failed:
        return min(_LONGEST, max(SOON, last * 2))
    return SOON if due is None else min(max(due, _SOONEST), SOON)
