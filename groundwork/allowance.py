"""How much of a key's allowance is used: one table of whole numbers that all workers of a machine share.

    rate          one number per key: the time at which its bucket is full again (the generic cell rate
                  algorithm, ITU-T I.371: a token bucket that needs no refill)
    concurrency   one number per worker place and key: requests under way there

Rules: nobody waits for a lock. Two workers that take from one bucket in the same instant (some 200 ns) may
count one of two, and workers that begin in the same instant may exceed a concurrency by one each: a limit is
there to protect, and may err on the side of the caller. A worker clears its own row when it starts.

The table holds nothing that must outlive the machine's uptime; times are those of CLOCK_MONOTONIC.
"""

import mmap
import os
from pathlib import Path
from typing import Final, Self

from groundwork.files import allocate
from groundwork.keys import MOST_KEYS

_WORD: Final = 8
NANOSECONDS: Final = 1_000_000_000


class Allowance:
    """The shared table as seen by the worker of `place`; a key's `index` is its position in the keys file.

    After a reload an index may belong to another key: a bucket is then wrong for as long as it takes to fill,
    about a second.
    """

    def __init__(self, table: memoryview, place: int, places: int) -> None:
        """`table` is int64, MOST_KEYS * (1 + places) long."""
        self._table = table
        self._own = MOST_KEYS * (1 + place)
        self._rows = range(MOST_KEYS, MOST_KEYS * (1 + places), MOST_KEYS)
        for index in range(self._own, self._own + MOST_KEYS):
            table[index] = 0

    @classmethod
    def private(cls) -> Self:
        """An allowance of a program with one process."""
        return cls(memoryview(bytearray(2 * MOST_KEYS * _WORD)).cast("q"), 0, 1)

    @classmethod
    def shared(cls, path: Path, place: int, places: int) -> Self:
        """The allowance in a file; NoRoomError when the disk cannot hold it."""
        size = MOST_KEYS * (1 + places) * _WORD
        allocate(path, size)
        descriptor = os.open(path, os.O_RDWR)
        try:
            return cls(memoryview(mmap.mmap(descriptor, size)).cast("q"), place, places)
        finally:
            os.close(descriptor)

    def take(self, index: int, interval: int, burst: int, now: int) -> int:
        """Take one request at `now` (ns) from a bucket that gives one every `interval` ns and holds `burst`.

        0 when it was there; else the nanoseconds until it will be.
        """
        full_at = self._table[index]
        if not now < full_at <= now + interval * (burst + 1):
            full_at = now  # it is full; or it is from before a reboot, or belonged to another key
        wait = full_at + interval - now - interval * burst
        if wait > 0:
            return wait
        self._table[index] = full_at + interval
        return 0

    def enter(self, index: int, most: int) -> bool:
        """Count one more request under way; False when there are `most` already."""
        if sum(self._table[row + index] for row in self._rows) >= most:
            return False
        self._table[self._own + index] += 1
        return True

    def leave(self, index: int) -> None:
        """One of them has ended."""
        if self._table[self._own + index] > 0:
            self._table[self._own + index] -= 1
