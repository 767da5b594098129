"""One worker process: read the order, build the parts, answer until told to stop, leave everything tidy.

It ends on SIGTERM or SIGINT, when its supervisor tells it to, and when its supervisor is gone, which it
learns from the end of its standard input. A loop that no longer turns cannot stop in order, so the thread
that reads the line ends the process itself when the time for that is over.
"""

import asyncio
import faulthandler
import os
import signal
import sys
import threading
from typing import Final

import uvloop

from gateway import order
from gateway.app import App
from gateway.line import Line
from gateway.order import Order
from groundwork import open_files
from groundwork.clock import SystemClock
from groundwork.errors import DriftgateError
from groundwork.logs import Log, capture, program_log

ORDERS: Final = 0
"""The descriptor orders come by: standard input."""
# What a stop may take beyond what its settings allow for, before the process is ended without ceremony.
PATIENCE_SECONDS: Final = 5.0


SWITCH_SECONDS: Final = 0.0005
"""How long the loop waits for a thread that works on in Python; 5 ms where nobody says otherwise."""


def main() -> int:
    """Run one worker to its end; the exit code."""
    sys.setswitchinterval(SWITCH_SECONDS)
    # A worker that is ended because it hangs, or that a model brings down, says where it was.
    faulthandler.enable()
    told = order.read(ORDERS)
    log = program_log(told.settings.messages, SystemClock()).bind(worker=told.place)
    capture(log)
    open_files.make_room(open_files.wanted(told.settings.limits.connections))
    try:
        # Not closed: that would wait for what threads still do, and all that is to be kept is kept by then.
        return asyncio.Runner(loop_factory=uvloop.new_event_loop).run(_live(told, log))
    except (DriftgateError, OSError) as error:
        log.error("worker-failed", fault=error)  # noqa: TRY400  our own log writes one line
        return 1


async def _live(told: Order, log: Log) -> int:
    loop = asyncio.get_running_loop()
    line = Line(ORDERS)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, line.leave)
    bound = told.settings.stop
    patience = bound.delay + bound.linger + bound.limit + PATIENCE_SECONDS

    def gone() -> None:
        """In the line's thread: stop, and after a while end the process whatever the loop does."""
        line.abandon_soon()
        threading.Event().wait(patience)
        os._exit(1)

    line.listen(gone)
    return await App(told, line, log).run()


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # A run that outlasts the stop cannot be interrupted, and the interpreter would wait for its thread.
    os._exit(code)
