"""One listening port: connections come, are counted, and are parted with in order."""

import asyncio
import contextlib
import io
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.port import Port
from groundwork.clock import FakeClock
from groundwork.logs import Log
from tests.facts import until

DAYS = (b"Thu", b"Fri", b"Sat", b"Sun")
REQUEST = b"GET / HTTP/1.1\r\nhost: test\r\n\r\n"


class Bench:
    """A port whose application answers when its gate is open."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.seconds = 0.0
        self.gate = asyncio.Event()
        self.gate.set()
        self.begun = asyncio.Event()
        self.counts: list[int] = []
        self._writers: list[asyncio.StreamWriter] = []
        self.port = Port(
            self._answer,
            self.listener,
            Log(io.StringIO(), FakeClock()),
            changed=self.counts.append,
            now=lambda: self.seconds,
        )

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        del scope, receive
        self.begun.set()
        await self.gate.wait()
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A client's connection, closed with the bench."""
        reader, writer = await asyncio.open_connection(*self.listener.getsockname())
        self._writers.append(writer)
        return reader, writer

    async def close(self) -> None:
        """End the clients, then the port."""
        for writer in self._writers:
            writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
        self.gate.set()
        await self.port.close(linger=0.0, limit=0.0)
        self.listener.close()


async def answer(reader: asyncio.StreamReader) -> bytes:
    """A whole answer, headers and body."""
    async with asyncio.timeout(30):
        return await reader.readuntil(b"\r\n\r\n") + await reader.readexactly(2)


async def end(reader: asyncio.StreamReader) -> bytes:
    """What comes until the other side closes."""
    async with asyncio.timeout(30):
        return await reader.read()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """An open port."""
    made = Bench()
    made.port.open()
    yield made
    await made.close()


async def test_answers_and_counts_connections(bench: Bench) -> None:
    """A request is answered, the connection stays, and the count goes up and down with it."""
    reader, writer = await bench.connect()
    for _ in range(2):
        writer.write(REQUEST)
        assert (await answer(reader)).endswith(b"\r\n\r\nok")
    assert bench.port.connections == 1
    writer.transport.abort()
    await until(lambda: bench.counts[-1] == 0, "the server's side has ended")
    assert max(bench.counts) == 1


async def test_answers_are_dated_by_the_second(bench: Bench) -> None:
    """Each answer has the date of the last look at the clock, a refusal too (RFC 9110, section 6.6.1)."""
    reader, writer = await bench.connect()
    for day in range(1, 4):
        bench.seconds = day * 86_400.0
        bench.port._state.tell_time()
        writer.write(REQUEST)
        assert b"\r\ndate: %b, 0%d Jan 1970 00:00:00 GMT\r\n" % (DAYS[day], day + 1) in await answer(reader)
    writer.write(b"\x16\x03\x01 hello\r\n\r\n")
    assert (await end(reader)).count(b"date: Sun, 04 Jan 1970 00:00:00 GMT\r\n") == 1


async def test_bytes_that_are_no_http_are_refused_as_json(bench: Bench) -> None:
    """What is not HTTP gets a 400 in the one error shape, and the connection ends."""
    reader, writer = await bench.connect()
    writer.write(b"\x16\x03\x01 hello\r\n\r\n")
    text = await end(reader)
    assert text.startswith(b"HTTP/1.1 400 ")
    assert b"content-type: application/json\r\n" in text
    assert text.endswith(b'{"error":"the bytes sent are not an HTTP/1.1 request"}')


async def test_close_answers_what_still_comes(bench: Bench) -> None:
    """While it lingers a request on an open connection is answered, and told that it was the last."""
    reader, writer = await bench.connect()
    writer.write(REQUEST)
    await answer(reader)
    closing = asyncio.create_task(bench.port.close(linger=30.0, limit=30.0))
    await asyncio.sleep(0)
    writer.write(REQUEST)
    assert b"connection: close\r\n" in await answer(reader)
    assert await end(reader) == b""
    assert await closing == 0


async def test_close_waits_for_what_is_in_flight(bench: Bench) -> None:
    """A request that has begun is answered before its connection ends."""
    bench.gate.clear()
    reader, writer = await bench.connect()
    writer.write(REQUEST)
    await bench.begun.wait()
    closing = asyncio.create_task(bench.port.close(linger=0.0, limit=30.0))
    await asyncio.sleep(0)
    bench.gate.set()
    assert b"connection: close\r\n" in await answer(reader)
    assert await closing == 0


async def test_close_lets_idle_connections_go(bench: Bench) -> None:
    """An idle keep-alive connection ends when the time to linger is over."""
    reader, writer = await bench.connect()
    writer.write(REQUEST)
    await answer(reader)
    assert await bench.port.close(linger=0.0, limit=30.0) == 0
    assert await end(reader) == b""


async def test_close_cuts_what_does_not_end(bench: Bench) -> None:
    """A request that takes longer than the limit is cut, and counted."""
    bench.gate.clear()
    reader, writer = await bench.connect()
    writer.write(REQUEST)
    await bench.begun.wait()
    assert await bench.port.close(linger=0.0, limit=0.0) == 1
    assert await end(reader) == b""


async def test_stop_accepting_leaves_the_socket_to_others(bench: Bench) -> None:
    """A port that stops accepting closes neither the listening socket nor its connections."""
    reader, writer = await bench.connect()
    writer.write(REQUEST)
    await answer(reader)
    bench.port.stop_accepting()
    await bench.connect()
    writer.write(REQUEST)
    assert (await answer(reader)).endswith(b"ok")
    assert bench.port.connections == 1
