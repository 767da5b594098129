"""Whether SIGHUP means what it did first: the terminal is gone.

A program that reloads on SIGHUP and was started from a terminal would otherwise outlive it, unseen.
"""

import os


def open_terminal() -> bool:
    """Whether this process has a terminal that can still be opened."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
