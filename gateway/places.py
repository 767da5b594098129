"""The table that the supervisor and its workers share: one row of whole numbers per worker place.

It answers without a message: how many connections does each worker hold (so that a worker can leave the next
one to a less loaded neighbour), how far has each worker come (so that the supervisor knows when everything is
ready), does its loop turn, and how much has it served. The supervisor creates the table as an anonymous
memory file that its workers inherit; each worker writes its own row and no other, and the supervisor clears
the row of a worker that died. A cell is one aligned int64, so a reader sees the old or the new value and
nothing between.

Nothing here survives the supervisor, and nothing here is counted or paid: counters live in slots.
"""

import mmap
import os
from collections.abc import Callable
from enum import IntEnum
from typing import Final

CELLS: Final = 8  # one cache line of int64 per place, so that two workers never write the same line
CONNECTIONS: Final = 0
STAGE: Final = 1
BEAT: Final = 2
SERVED: Final = 3
CALLERS: Final = 4
FRESH_SECONDS: Final = 1.0
"""A worker whose last beat is older than this does not turn its loop; nobody leaves it a connection."""
_MICROSECONDS: Final = 1e6


class Stage(IntEnum):
    """How far a worker has come; what an empty place shows is ABSENT."""

    ABSENT = 0
    STARTING = 1
    READY = 2
    DRAINING = 3


class Places:
    """Rows of shared cells, one per worker place; closing it ends this process's view only."""

    def __init__(self, fd: int, count: int) -> None:
        """Map the memory file `fd` of `count` rows, each of CELLS int64."""
        self.fd = fd
        self.count = count
        self._map = mmap.mmap(fd, count * CELLS * 8)
        self._cells = memoryview(self._map).cast("q")

    @classmethod
    def create(cls, count: int) -> "Places":
        """A new table of `count` cleared rows in an anonymous memory file."""
        fd = os.memfd_create("driftgate-places")
        os.ftruncate(fd, count * CELLS * 8)
        return cls(fd, count)

    def connections(self, place: int) -> int:
        """How many connections the worker of `place` holds open."""
        return self._cells[place * CELLS + CONNECTIONS]

    def hold(self, place: int, connections: int) -> None:
        """Publish how many connections the worker of `place` holds open."""
        self._cells[place * CELLS + CONNECTIONS] = connections

    def callers(self, place: int) -> int:
        """How many connections of gRPC the worker of `place` holds open."""
        return self._cells[place * CELLS + CALLERS]

    def call(self, place: int, connections: int) -> None:
        """Publish how many connections of gRPC the worker of `place` holds open."""
        self._cells[place * CELLS + CALLERS] = connections

    def stage(self, place: int) -> Stage:
        """How far the worker of `place` has come."""
        return Stage(self._cells[place * CELLS + STAGE])

    def reach(self, place: int, stage: Stage) -> None:
        """Publish how far the worker of `place` has come."""
        self._cells[place * CELLS + STAGE] = int(stage)

    def beat(self, place: int, now: float) -> None:
        """Publish that the worker of `place` turned its loop at `now` (monotonic seconds)."""
        self._cells[place * CELLS + BEAT] = round(now * _MICROSECONDS)

    def beat_of(self, place: int) -> int:
        """When the worker of `place` last said that its loop turned: a number that grows; 0 before that."""
        return self._cells[place * CELLS + BEAT]

    def serve(self, place: int, requests: int) -> None:
        """Publish how many requests the worker of `place` has answered."""
        self._cells[place * CELLS + SERVED] = requests

    def served(self, place: int) -> int:
        """How many requests the worker of `place` has answered."""
        return self._cells[place * CELLS + SERVED]

    def clear(self, place: int) -> None:
        """Empty the row of a worker that is gone."""
        for cell in range(CELLS):
            self._cells[place * CELLS + cell] = 0

    def least(self, place: int, now: float) -> int | None:
        """The fewest connections any *other* worker holds that is ready and turns; None when none does."""
        return self._least(self.connections, place, now)

    def least_called(self, place: int, now: float) -> int | None:
        """The same of connections of gRPC."""
        return self._least(self.callers, place, now)

    def _least(self, held: Callable[[int], int], place: int, now: float) -> int | None:
        since = round((now - FRESH_SECONDS) * _MICROSECONDS)
        others = [
            held(other) for other in range(self.count) if other != place and self._is_ready(other, since)
        ]
        return min(others, default=None)

    def _is_ready(self, place: int, since: int) -> bool:
        row = place * CELLS
        return self._cells[row + STAGE] == Stage.READY and self._cells[row + BEAT] >= since

    def close(self) -> None:
        """Unmap the table and close this process's descriptor of it."""
        self._cells.release()
        self._map.close()
        os.close(self.fd)
