"""Requests that arrive when they are due, whatever the server does, with latencies by window of time.

Differs from `bench.generator.open_loop` in what a long run needs: windows, connections that are opened
again when the server closes them, and a sender that is never early, and that sleeps where it shares its
processor. (uvloop's timers are whole milliseconds and fire up to one too soon; a request sent before it was
due would look faster than it was.) What counts the latencies is the caller's choice: a Tally keeps every
one, a Spread costs the same however long the run is.
"""

from __future__ import annotations

import asyncio
import ctypes
import math
import random
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar
from urllib.parse import urlsplit

import uvloop

from loadtests.alarm import Alarm
from loadtests.bench.generator import Connection

DRAIN_S = 30.0
_SOON_S = 0.01


class Counts(Protocol):
    """What counts one window: answers by their latency in ns, and what was not answered with success."""

    bad: int

    def took(self, latency: int, /) -> None: ...


C = TypeVar("C", bound=Counts)


class Arrivals(Generic[C]):
    """One stream of requests; owned by the loop it runs on. `windows` grows while it runs."""

    def __init__(  # noqa: PLR0913  one stream, all that says what it is
        self,
        url: str,
        payload: bytes,
        *,
        rate: float,
        window: float,
        into: Callable[[], C],
        connections: int = 64,
        seed: int = 3,
        drain: float = DRAIN_S,
        grain: float | None = None,
        speed: ctypes.c_double | None = None,
    ) -> None:
        """Ask `url` for `payload` `rate` times a second; latencies by `window` seconds of due time.

        `drain` is how many seconds what is under way at the end may take. A sender with a processor to itself
        is punctual to microseconds, for which it turns round and round before each request. With a `grain` it
        sleeps, at least so many seconds, and then sends all that is due: late by that much and some 40 µs,
        which counts as latency, and far cheaper. `rate` is multiplied by what `speed` holds at each moment.
        """
        parts = urlsplit(url)
        self.windows: list[C] = []
        self._into = into
        self._source = random.Random(seed)
        self._place = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._payload = payload
        self._rate = rate
        self._window = window
        self._connections = connections
        self._drain_s = drain
        self._grain = None if grain is None else int(grain * 1e9)
        self._speed = speed or ctypes.c_double(1.0)
        self._waiting: deque[int] = deque()
        self._idle: list[Connection] = []
        self._opened: set[Connection] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._began = 0
        self._ended = False

    def end(self) -> None:
        """Send nothing more; from any thread."""
        self._ended = True

    def run(self, seconds: float, *, at: int = 0, patience: float = math.inf) -> list[C]:
        """Send for so long; blocks, and returns the windows. What is never answered counts as bad.

        The first window begins at `at` (of `time.perf_counter_ns`), or now where that is past. When a request
        has waited `patience` seconds for a connection, all that wait are given up, and the run with them.
        """
        uvloop.run(self._run(seconds, at, patience * 1e9))
        return self.windows

    async def _run(self, seconds: float, at: int, patience: float) -> None:
        for _ in range(self._connections):
            await self._open()
        with Alarm() as alarm:
            await self._send(alarm, seconds, at, patience)
        await self._drain()

    async def _send(self, alarm: Alarm, seconds: float, at: int, patience: float) -> None:
        self._began = due = max(time.perf_counter_ns(), at)
        stop = self._began + int(seconds * 1e9)
        while not self._ended and (due := due + self._gap()) < stop:
            if self._waiting and time.perf_counter_ns() - self._waiting[0] > patience:
                self._give_up()
                break
            while (now := time.perf_counter_ns()) < due:
                if self._grain is None:
                    await asyncio.sleep((due - now) / 1e9)
                else:
                    await alarm.until(max(due, now + self._grain))
            self._waiting.append(due)
            self._pump()

    def _gap(self) -> int:
        """Nanoseconds until the next request is due."""
        return int(self._source.expovariate(self._rate * self._speed.value) * 1e9)

    async def _drain(self) -> None:
        """Wait for what is under way, and let every connection go."""
        limit = time.monotonic() + self._drain_s
        while (len(self._idle) < self._connections or self._waiting) and time.monotonic() < limit:  # noqa: ASYNC110  all connections, not one event
            await asyncio.sleep(_SOON_S)
        self._give_up()
        await asyncio.gather(*self._opening, return_exceptions=True)  # half open, nobody would close them
        for connection in self._opened:
            if connection.sent:
                self._tally(connection.sent).bad += 1
            connection.sent = 0
            if connection.transport is not None:
                connection.transport.close()

    def _give_up(self) -> None:
        while self._waiting:
            self._tally(self._waiting.popleft()).bad += 1

    def _pump(self) -> None:
        while self._waiting and self._idle:
            connection = self._idle.pop()
            if connection.lost:
                self._opened.discard(connection)
                self._open_soon()
            else:
                connection.send(self._payload, self._waiting.popleft())

    def _answered(self, connection: Connection, ok: bool) -> None:  # noqa: FBT001  a protocol callback
        tally = self._tally(connection.sent)
        if ok:
            tally.took(time.perf_counter_ns() - connection.sent)
        else:
            tally.bad += 1
        connection.sent = 0
        self._idle.append(connection)
        self._pump()

    def _tally(self, due: int) -> C:
        place = int((due - self._began) / 1e9 / self._window)
        while len(self.windows) <= place:
            self.windows.append(self._into())
        return self.windows[place]

    def _open_soon(self) -> None:
        task = asyncio.get_running_loop().create_task(self._open())
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self) -> None:
        host, port = self._place
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: Connection(self._answered), host, port
        )
        self._opened.add(connection)
        self._idle.append(connection)
        self._pump()
