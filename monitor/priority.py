"""How little of a processor the pipeline takes where it shares one with a gateway.

Rules: only the thread that calls gives way, so that starting and answering stay as quick as they were; there
is no way back, for a system lets nobody raise a priority; it is never wholly denied a turn. What is not read
waits in the log.

It knows no log and no pipeline.
"""

import contextlib
import os
import sys
from typing import Final

NICENESS: Final = 10
"""A tenth of a processor beside a thread that never rests. At 5, which is a quarter, the pipeline's turns
lengthened a gateway's tail; 15, 19 and SCHED_IDLE were no better, and leave so little that a round could
take minutes."""


def give_way() -> None:
    """Let the calling thread have what others leave, and never interrupt them; nothing but on Linux."""
    if sys.platform == "linux":
        # Linux keeps both for each thread; 0 is the one that calls.
        # A sandbox that forbids it costs the gateway's p99 something, which is no reason to read nothing.
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, max(NICENESS, os.getpriority(os.PRIO_PROCESS, 0)))
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
