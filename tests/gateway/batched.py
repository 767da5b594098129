"""A batcher over a graph that runs when it is let, with clocks that stand still."""

import asyncio
import threading
from pathlib import Path

import numpy as np

from gateway.batching import Batcher, Subject
from gateway.errors import RunError
from gateway.inference import Array
from gateway.joining import Feeds
from gateway.queue_meters import QueueMeters
from gateway.queueing import Waiting
from gateway.run_settings import QueueSettings
from gateway.schedule import Measured, Schedule, Times
from groundwork.clock import FakeClock
from groundwork.counters import Counters

FLAT: Times = ((1, 1.0), (16, 1.0))
PATIENCE = 10.0


class Graph:
    """A graph that doubles, fails for negative numbers, and runs when it is let."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.begun = threading.Semaphore(0)
        self.go = threading.Semaphore(0)

    def run(self, feeds: Feeds) -> list[Array]:
        """Wait to be let, then run."""
        self.begun.release()
        assert self.go.acquire(timeout=PATIENCE)
        self.rows.append(len(feeds["x"]))
        if (feeds["x"] < 0).any():
            raise RunError("the model failed on this request: a negative number")
        return [feeds["x"] * 2]

    def let(self, runs: int = 1) -> None:
        """Let so many runs go on."""
        self.go.release(runs)

    async def running(self) -> None:
        """Wait until a run has begun."""
        assert await asyncio.to_thread(self.begun.acquire, timeout=PATIENCE)


class Bench:
    """A batcher over such a graph, with a clock that stands still."""

    def __init__(
        self,
        folder: Path,
        times: Times = FLAT,
        rows: int = 16,
        *,
        aside: bool = False,
        open_inputs: tuple[str, ...] = (),
        **settings: int,
    ) -> None:
        self.graph = Graph()
        self.clock = FakeClock()
        self.counters = Counters.create(folder / f"counters-{rows}-{len(settings)}")
        executing = self.counters.series("executing", {}, kind="gauge")
        meters = QueueMeters(self.counters, "m", "1", executing)
        schedule = Schedule("batched", -1, rows, "", Measured(times))
        self.held = 0
        subject = Subject(
            "model m version 1", self.graph.run, schedule, open_inputs, 2, self._hold, self._let_go, aside
        )
        self.worked = FakeClock()
        monotonic, worked = self.clock.monotonic, self.worked.monotonic
        self.batcher = Batcher(subject, QueueSettings(**settings), meters, monotonic, worked)

    def ask(
        self, value: float = 1.0, deadline: float | None = None, priority: int = 5, length: int = 1
    ) -> Waiting:
        """One request of one row, which is so long."""
        feeds = {"x": np.full((1, length), value, np.float32)}
        return self.batcher.submit(feeds, 1, deadline, priority)

    def _hold(self) -> None:
        self.held += 1

    def _let_go(self) -> None:
        self.held -= 1

    def counted(self, name: str) -> int:
        """The sum of the series of this name."""
        return sum(value for key, value in self.counters.read().items() if key.name == name)


async def answers(*entries: Waiting) -> list[float]:
    """The one number that each was answered with."""
    async with asyncio.timeout(PATIENCE):
        return [float((await entry.future)[0][0, 0]) for entry in entries]
