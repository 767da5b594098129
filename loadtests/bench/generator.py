"""A load generator cheap enough not to be what is measured: one process, raw sockets, no HTTP library.

Closed loop: every connection sends its next request when the answer is there (latency hides behind waiting
clients; good for cost and throughput). Open loop: requests are due at Poisson times whatever the server does,
and latency counts from the time a request was due, so that a stall is charged to everyone who waited.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

import numpy as np
import uvloop


@dataclass
class Tally:
    """What came back: latencies in ns, answers other than 200, answers by a body marker."""

    latencies: list[int] = field(default_factory=list)
    bad: int = 0
    seconds: float = 0.0

    @property
    def done(self) -> int:
        return len(self.latencies)

    def took(self, latency: int) -> None:
        """Keep an answer that took so many ns."""
        self.latencies.append(latency)

    def percentile(self, q: float) -> float:
        """Latency in µs below which a share `q` (0..100) of the answers came; nan when there were none."""
        return float(np.percentile(self.latencies, q)) / 1e3 if self.latencies else float("nan")


def request_bytes(url: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    """One whole HTTP/1.1 POST."""
    parts = urlsplit(url)
    lines = [f"POST {parts.path} HTTP/1.1", f"Host: {parts.netloc}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Connection(asyncio.Protocol):
    """One keep-alive connection; tells `answered(self, ok)` about every answer."""

    def __init__(self, answered: Callable[[Connection, bool], None]) -> None:
        self.answered = answered
        self.transport: asyncio.Transport | None = None
        self.buffer = bytearray()
        self.wanted = 0
        self.ok = False
        self.sent = 0
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none of asyncio's by class

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's signature
        self.lost = True
        if self.sent:
            self.answered(self, False)  # noqa: FBT003  the callback's one flag

    def send(self, payload: bytes, due: int) -> None:
        self.sent = due
        assert self.transport is not None
        self.transport.write(payload)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if not self.wanted:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self.buffer[:end]).lower()
            start = head.index(b"\r\ncontent-length:") + 17
            stop = head.find(b"\r\n", start)
            self.wanted = end + 4 + int(head[start : stop if stop > 0 else None])
            self.ok = head[9:12] == b"200"
        if len(self.buffer) >= self.wanted:
            del self.buffer[: self.wanted]
            self.wanted = 0
            self.answered(self, self.ok)


async def _connect(url: str, count: int, answered: Callable[[Connection, bool], None]) -> list[Connection]:
    parts = urlsplit(url)
    host, port = parts.hostname or "localhost", parts.port or 80
    loop = asyncio.get_running_loop()
    return [(await loop.create_connection(lambda: Connection(answered), host, port))[1] for _ in range(count)]


async def _closed(url: str, payload: bytes, connections: int, seconds: float) -> Tally:
    tally = Tally()
    clock = time.perf_counter_ns
    stop = clock() + int(seconds * 1e9)
    finished = asyncio.Event()
    live = connections

    def answered(connection: Connection, ok: bool) -> None:  # noqa: FBT001  a protocol callback
        nonlocal live
        now = clock()
        if ok:
            tally.latencies.append(now - connection.sent)
        else:
            tally.bad += 1
        if now < stop and not connection.lost:
            connection.send(payload, now)
            return
        connection.sent = 0
        live -= 1
        if not live:
            finished.set()

    opened = await _connect(url, connections, answered)
    began = clock()
    for connection in opened:
        connection.send(payload, clock())
    await asyncio.wait_for(finished.wait(), seconds + 30)
    tally.seconds = (clock() - began) / 1e9
    for connection in opened:
        connection.sent = 0
        if connection.transport is not None:
            connection.transport.close()
    return tally


def free_connection(idle: list[Connection]) -> Connection | None:
    """A connection to send on; one that lay idle for long may have been closed, which is no failure."""
    while idle:
        found = idle.pop()
        if not found.lost:
            return found
    return None


async def _open(url: str, payload: bytes, connections: int, seconds: float, rate: float) -> Tally:
    tally = Tally()
    clock = time.perf_counter_ns
    waiting: deque[int] = deque()
    idle: list[Connection] = []

    def answered(connection: Connection, ok: bool) -> None:  # noqa: FBT001  a protocol callback
        if ok:
            tally.latencies.append(clock() - connection.sent)
        else:
            tally.bad += 1
        connection.sent = 0
        if waiting:
            connection.send(payload, waiting.popleft())
        else:
            idle.append(connection)

    idle += await _connect(url, connections, answered)
    opened = list(idle)
    source = random.Random(3)
    began = due = clock()
    stop = began + int(seconds * 1e9)
    while due < stop:
        due += int(source.expovariate(rate) * 1e9)
        # uvloop wakes up to a millisecond early.
        while (pause := (due - clock()) / 1e9) > 0:  # noqa: ASYNC110  a time is meant, not an event
            await asyncio.sleep(pause)
        free = free_connection(idle)
        if free is not None:
            free.send(payload, due)
        else:
            waiting.append(due)
    limit = clock() + int(30e9)
    while any(one.sent for one in opened) and clock() < limit:  # noqa: ASYNC110  all connections, not one event
        await asyncio.sleep(0.01)
    tally.seconds = (clock() - began) / 1e9
    for connection in opened:
        connection.sent = 0
        if connection.transport is not None:
            connection.transport.close()
    return tally


def closed_loop(url: str, payload: bytes, *, connections: int, seconds: float) -> Tally:
    """`connections` clients that each wait for an answer before they send again, for `seconds`."""
    return uvloop.run(_closed(url, payload, connections, seconds))


def open_loop(url: str, payload: bytes, *, connections: int, seconds: float, rate: float) -> Tally:
    """Poisson arrivals at `rate` per second for `seconds`, latency from the time each was due."""
    return uvloop.run(_open(url, payload, connections, seconds, rate))
