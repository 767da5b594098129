"""One worker process: read the order, build the parts, answer until told to stop, leave everything tidy.

It ends on SIGTERM or SIGINT, and when its supervisor is gone, which it learns from the end of its standard
input. A loop that no longer turns cannot stop in order, so the thread that watches the supervisor ends the
process itself when the time for that is over.
"""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Final

import uvloop

from gateway import order
from gateway.app import App
from gateway.order import Order
from groundwork.clock import SystemClock
from groundwork.errors import DriftgateError
from groundwork.logs import Log, capture, program_log

ORDERS: Final = 0
"""The descriptor orders come by: standard input."""
# What a stop may take beyond what its settings allow for, before the process is ended without ceremony.
PATIENCE_SECONDS: Final = 5.0


def main() -> int:
    """Run one worker to its end; the exit code."""
    told = order.read(ORDERS)
    log = program_log(told.settings.messages, SystemClock()).bind(worker=told.place)
    capture(log)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_live(told, log))
    except (DriftgateError, OSError) as error:
        log.error("worker-failed", fault=error)  # noqa: TRY400  our own log writes one line
        return 1


async def _live(told: Order, log: Log) -> int:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    bound = told.settings.stop
    patience = bound.delay + bound.linger + bound.limit + PATIENCE_SECONDS
    threading.Thread(
        target=_watch_supervisor,
        args=(lambda: loop.call_soon_threadsafe(stop.set), patience),
        name="supervisor-watch",
        daemon=True,
    ).start()
    return await App(told, log).run(stop)


def _watch_supervisor(stop: Callable[[], object], patience: float) -> None:
    """Wait for the end of the orders; then ask for a stop, and after `patience` seconds end the process."""
    while os.read(ORDERS, 4096):
        pass
    stop()
    threading.Event().wait(patience)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
