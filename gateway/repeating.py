"""A task that looks at one thing again and again, and outlives what goes wrong while it looks."""

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from typing import Final

from groundwork.errors import DriftgateError
from groundwork.logs import Log

FAULT_SECONDS: Final = 1.0
"""After a fault a task rests at least so long, so that it does not fill the log."""


async def again(
    work: Callable[[], Awaitable[None]],
    seconds: float | Callable[[], float],
    log: Log,
    rest: float = FAULT_SECONDS,
) -> None:
    """Do `work`, each time after `seconds`, until cancelled.

    What fails is told in the log and tried again after `rest` seconds more: a task that ended would be worse.
    """
    name = getattr(work, "__name__", "")
    while True:
        await asyncio.sleep(seconds() if callable(seconds) else seconds)
        try:
            await work()
        except (DriftgateError, OSError) as error:
            log.error("task-failed", task=name, fault=error)  # noqa: TRY400  not that kind of log
            await asyncio.sleep(rest)
        except Exception as error:  # noqa: BLE001  see above
            told = "".join(traceback.format_exception(error))
            log.error("task-broken", task=name, fault=told)  # noqa: TRY400  as above
            await asyncio.sleep(rest)
