"""How fast the machine is just now: what a piece of work costs that is always the same.

A virtual processor is a thread of a core whose other thread is somebody else's. Where the neighbour works,
everything costs up to 1.75 times as much, in spells from tenths of a second to minutes, and no statistic of
the machine shows it. A load that is to be "60 %" throughout must follow, and who compares two minutes must
know what the machine was worth in each.

The work is the interpreter's, as most of a request's is: of what was tried this foretold best how busy a
fixed load keeps the processors. It is none of the program's, so a program that grows slow does not change
it, and gets no smaller load for it. Its processor time is what counts, not how long it took: waiting for a
turn is load.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import statistics
import threading
import time
from collections import deque
from itertools import islice
from types import TracebackType
from typing import Final, Self

EVERY_S: Final = 0.04
"""A piece takes about 0.2 ms of this: five thousandths of each processor."""
LONG_S: Final = 5.0
SHORT_S: Final = 1.0
"""The speed is the mean of so long: shorter would follow the single piece."""
LEAST, MOST = 0.5, 2.0
"""No speed is taken for lower or higher: a piece that was disturbed is no other machine."""
_OBJECTS: Final = 1600
_KEPT: Final = 64


class Yardstick:
    """A thread on each processor that does a piece now and then; lives as long as the `with` block.

    `speed` lies in shared memory, for processes that are given it: 1 until `begin`, from then on the speed
    of the machine as a multiple of what it was.
    """

    def __init__(self) -> None:
        self.speed = multiprocessing.get_context("spawn").RawValue(ctypes.c_double, 1.0)
        self._reference = 0.0
        self._over = threading.Event()
        self._pieces = {place: deque[int](maxlen=round(LONG_S / EVERY_S)) for place in _processors()}
        self._threads = [
            threading.Thread(target=self._work, args=(place,), name=f"yardstick-{place}")
            for place in self._pieces
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def cost(self, seconds: float = LONG_S) -> float:
        """Microseconds of processor time for a piece: mean over all processors and the last `seconds`.

        At most LONG_S seconds are remembered; not a number before the first piece.
        """
        count = max(round(seconds / EVERY_S), 1)
        means = [
            statistics.fmean(islice(reversed(tuple(pieces)), count))
            for pieces in self._pieces.values()
            if pieces
        ]
        return statistics.fmean(means) / 1e3 if means else float("nan")

    def begin(self) -> None:
        """From now on `speed` is told against what the machine did until now."""
        self._reference = self.cost()

    def _work(self, place: int) -> None:
        """One thread's life, on the processor `place` where the system lets it choose."""
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(threading.get_native_id(), {place})
        while not self._over.wait(EVERY_S):
            began = time.thread_time_ns()
            piece()
            self._pieces[place].append(time.thread_time_ns() - began)
            if self._reference:
                self.speed.value = speed(self._reference, self.cost(SHORT_S))


def speed(reference: float, cost: float) -> float:
    """How many times as fast as at `reference` a machine is on which a piece costs `cost`."""
    return min(max(reference / cost, LEAST), MOST)


def piece() -> int:
    """One piece of work: objects made, looked up and let go. What it returns is always the same."""
    kept: dict[int, tuple[int, int]] = {}
    total = 0
    for place in range(_OBJECTS):
        kept[place % _KEPT] = (place, total)
        total += kept[place % _KEPT][0]
    return total


def _processors() -> list[int]:
    """Those that this process may use; one nameless one where the system does not tell."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
