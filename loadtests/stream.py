"""One stream of requests from several processes, so that the generator is not what is measured.

Each process sends its share at Poisson times of its own; together they are Poisson times again. The processes
live as long as the `with` block and are told each run over a pipe; nothing else of ours runs in them.
"""

from __future__ import annotations

import ctypes
import math
import multiprocessing
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Final, Self

from loadtests.arrivals import Arrivals
from loadtests.spread import Spread

LEAD_NS: Final = 300_000_000
"""From the word to the first request: every process has opened its connections by then."""
GRAIN_S: Final = 0.0003
"""A sender shares its processor with what it measures, so it sleeps between requests: at least so long."""
STOP_S: Final = 5.0


@dataclass(frozen=True)
class Order:
    """One run: requests a second, for how long, in windows of so many seconds, from `at` on."""

    rate: float
    seconds: float
    window: float
    at: int
    patience: float = math.inf


@dataclass(frozen=True)
class Report:
    """What came back by window, and the share of one processor that the busiest process used."""

    windows: Sequence[Spread]
    busiest: float


class Stream:
    """The processes; owned by who entered it, and used by one thread."""

    def __init__(
        self, url: str, request: bytes, processes: int, speed: ctypes.c_double | None = None
    ) -> None:
        """`processes` senders of the bytes `request` to `url`.

        All rates are multiplied by what `speed` holds at each moment; it lies in shared memory.
        """
        self.processes = processes
        fresh = multiprocessing.get_context("spawn")
        self._pipes: list[Connection] = []
        self._senders = []
        for place in range(processes):
            ours, theirs = fresh.Pipe()
            self._pipes.append(ours)
            self._senders.append(
                fresh.Process(target=_send, args=(theirs, url, request, place, speed), daemon=True)
            )

    def __enter__(self) -> Self:
        for sender in self._senders:
            sender.start()
        for pipe in self._pipes:
            pipe.recv()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for sender in self._senders:
            sender.terminate()
            sender.join(STOP_S)

    def begin(self, order: Order) -> None:
        """Send word; `end` waits for what came of it."""
        for pipe in self._pipes:
            pipe.send(
                Order(order.rate / self.processes, order.seconds, order.window, order.at, order.patience)
            )

    def ended(self, seconds: float) -> bool:
        """Whether every process has reported, after waiting for `seconds` at most."""
        limit = time.monotonic() + seconds
        return all(pipe.poll(max(limit - time.monotonic(), 0)) for pipe in self._pipes)

    def end(self) -> Report:
        """Wait for the run; EOFError where a process has died."""
        reports: list[Report] = [pipe.recv() for pipe in self._pipes]
        windows = [
            Spread.merged(part for part in parts if part is not None)
            for parts in zip_longest(*(report.windows for report in reports))
        ]
        return Report(windows, max(report.busiest for report in reports))


def _send(pipe: Connection, url: str, request: bytes, seed: int, speed: ctypes.c_double | None) -> None:
    """A process's life: run what is ordered, report, until it is ended or its parent has gone."""
    pipe.send(None)
    while True:
        try:
            order: Order = pipe.recv()
        except EOFError:
            return
        began, used = time.perf_counter(), time.process_time()
        arrivals = Arrivals(
            url,
            request,
            rate=order.rate,
            window=order.window,
            into=Spread,
            seed=seed,
            grain=GRAIN_S,
            speed=speed,
        )
        windows = arrivals.run(order.seconds, at=order.at, patience=order.patience)
        wall = time.perf_counter() - began
        pipe.send(Report(windows, (time.process_time() - used) / wall))
