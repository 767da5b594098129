"""Signals of a program that people start by hand.

SIGHUP may mean what it did first: the terminal is gone. A program that reloads on SIGHUP and was started from
a terminal would otherwise outlive it, unseen. And who presses Ctrl-C twice must not break off the end of a
program that has stopped in order.
"""

import os
import signal


def open_terminal() -> bool:
    """Whether this process has a terminal that can still be opened."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def ignore_stops() -> None:
    """Heed SIGTERM and SIGINT no more: for a program whose loop is over and that only has to leave.

    asyncio gives both back to the system when its loop closes; another one would then end it by a signal.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
