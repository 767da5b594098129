"""Requests that arrive when they are due, whatever the server does, with latencies by window of time.

Differs from `bench.generator.open_loop` in what a long run needs: windows, connections that are opened again
when the server closes them, and a sender that is never early. (uvloop's timers are whole milliseconds and
fire up to one too soon; a request sent before it was due would look faster than it was.)
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from urllib.parse import urlsplit

import uvloop

from loadtests.bench.generator import Connection, Tally

DRAIN_S = 30.0
_SOON_S = 0.01


class Arrivals:
    """One stream of requests; owned by the loop it runs on. `windows` grows while it runs."""

    def __init__(
        self, url: str, payload: bytes, *, rate: float, window: float, connections: int = 64
    ) -> None:
        """Ask `url` for `payload` `rate` times a second; latencies by `window` seconds of due time."""
        parts = urlsplit(url)
        self.windows: list[Tally] = []
        self._place = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._payload = payload
        self._rate = rate
        self._window = window
        self._connections = connections
        self._waiting: deque[int] = deque()
        self._idle: list[Connection] = []
        self._opening: set[asyncio.Task[None]] = set()
        self._began = 0

    def run(self, seconds: float) -> list[Tally]:
        """Send for so long; blocks, and returns the windows. What is never answered counts as bad."""
        uvloop.run(self._run(seconds))
        return self.windows

    async def _run(self, seconds: float) -> None:
        for _ in range(self._connections):
            await self._open()
        source = random.Random(3)
        self._began = due = time.perf_counter_ns()
        stop = self._began + int(seconds * 1e9)
        while (due := due + int(source.expovariate(self._rate) * 1e9)) < stop:
            while (pause := due - time.perf_counter_ns()) > 0:  # noqa: ASYNC110  a time, not an event
                await asyncio.sleep(pause / 1e9)
            self._waiting.append(due)
            self._pump()
        await self._drain()

    async def _drain(self) -> None:
        """Wait for what is under way, and let every connection go."""
        limit = time.monotonic() + DRAIN_S
        while (len(self._idle) < self._connections or self._waiting) and time.monotonic() < limit:  # noqa: ASYNC110  all connections, not one event
            await asyncio.sleep(_SOON_S)
        for due in self._waiting:
            self._tally(due).bad += 1
        for connection in self._idle:
            if connection.transport is not None:
                connection.transport.close()

    def _pump(self) -> None:
        while self._waiting and self._idle:
            connection = self._idle.pop()
            if connection.lost:
                self._open_soon()
            else:
                connection.send(self._payload, self._waiting.popleft())

    def _answered(self, connection: Connection, ok: bool) -> None:  # noqa: FBT001  a protocol callback
        tally = self._tally(connection.sent)
        if ok:
            tally.latencies.append(time.perf_counter_ns() - connection.sent)
        else:
            tally.bad += 1
        connection.sent = 0
        self._idle.append(connection)
        self._pump()

    def _tally(self, due: int) -> Tally:
        place = int((due - self._began) / 1e9 / self._window)
        while len(self.windows) <= place:
            self.windows.append(Tally(seconds=self._window))
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
        self._idle.append(connection)
        self._pump()
