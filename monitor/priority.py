"""How little of a processor the pipeline takes where it shares one with a gateway.

Rules: a thread that gives way is interrupted by whoever wants its processor, and interrupts nobody; it has
what others leave, and hardly more. Where that starves it (every processor busy for long), it is followed
for a while by a thread that insists on a tenth: a new one, for a system lets nobody raise the priority of a
thread that has lowered it. What is not read meanwhile waits in the log. The first round insists from its
beginning: a program that starts is not ready before it, and a starved round is seen only when it has ended.
A starved thread also keeps whoever waits for what it holds, so a thread that gives way begins no round while
it is kept waiting for a processor: it finds that out by a nap, in which it holds nothing.

It knows no log and no pipeline.
"""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

QUIET: Final = 19
"""Set beside SCHED_IDLE, and all there is where that is forbidden: a hundredth of a processor beside a thread
that never rests. More comes in turns of the kernel's tick, and each keeps that moment's callers waiting."""
INSISTING: Final = 10
"""A tenth of a processor beside a thread that never rests."""
STARVED_S: Final = 5.0
"""A thread whose rounds, one after another, were starved for so long is followed by one that insists."""
NOTICED_S: Final = 0.4
_SHARE: Final = 0.02
"""A round that lasted so long, and had less of a processor than this share of it, was starved."""
_NAP_S: Final = 0.001
INSISTS_S: Final = 60.0
"""For how long a thread insists before another tries again with what is left."""


def give_way(*, insists: bool = False) -> None:
    """Let the calling thread have what others leave, or a tenth where it `insists`; nothing but on Linux.

    A processor on which only such threads run counts as free (SCHED_IDLE): a thread that wakes is put there,
    and runs at once. A low priority alone does not do that, and a gateway's callers wait for a turn to end.
    """
    if sys.platform == "linux":
        niceness, policy = (INSISTING, os.SCHED_BATCH) if insists else (QUIET, os.SCHED_IDLE)
        # Linux keeps both for each thread; 0 is the one that calls.
        # A sandbox that forbids it costs the gateway's p99 something, which is no reason to read nothing.
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, max(niceness, os.getpriority(os.PRIO_PROCESS, 0)))
            os.sched_setscheduler(0, policy, os.sched_param(0))


class Waited:
    """How long the calling thread has wanted a processor and had next to nothing of one since it was made."""

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        worked: Callable[[], float] = time.thread_time,
    ) -> None:
        self._monotonic, self._worked = monotonic, worked
        self._began = monotonic(), worked()

    @property
    def starved(self) -> float:
        """The seconds that passed, where it was kept waiting for nearly all of them; 0 where it was not."""
        passed, worked = self._monotonic() - self._began[0], self._worked() - self._began[1]
        return passed if passed >= NOTICED_S and worked < passed * _SHARE else 0.0


def nap() -> float:
    """How many seconds late the calling thread wakes of a short sleep, for want of a processor."""
    began = time.monotonic()
    threading.Event().wait(_NAP_S)
    return time.monotonic() - began - _NAP_S


def in_turns(
    work: Callable[[Callable[[float], bool]], bool], *, oversleep: Callable[[], float] = nap
) -> None:
    """Call `work` in one thread after the other until it says that it has ended; raises what it raises.

    The first one insists, for one round; those that follow give way until they are starved.

    `work` gets what it asks after every round with the seconds for which the round was starved: whether to
    leave off there, in a state that another thread goes on from. It returns whether it has ended.
    """
    insists, seconds = True, 0.0
    while not _turn(work, oversleep, insists=insists, seconds=seconds):
        insists, seconds = not insists, INSISTS_S


def _turn(
    work: Callable[[Callable[[float], bool]], bool],
    oversleep: Callable[[], float],
    *,
    insists: bool,
    seconds: float,
) -> bool:
    until, in_a_row = time.monotonic() + seconds, 0.0

    def enough(starved: float) -> bool:
        nonlocal in_a_row
        if insists:
            return time.monotonic() >= until
        in_a_row = in_a_row + starved if starved else 0.0
        while in_a_row < STARVED_S and (late := oversleep()) >= NOTICED_S:
            in_a_row += late
        return in_a_row >= STARVED_S

    def run() -> bool:
        give_way(insists=insists)
        return work(enough)

    with ThreadPoolExecutor(1, "pipeline") as thread:
        return thread.submit(run).result()
