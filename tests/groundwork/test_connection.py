"""One connection against clients that send too much, too slowly, too far ahead, or nothing at all."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from groundwork.connection import HEAD_PHASE, LINGER_SECONDS, MOST_AHEAD, BoundedConnection
from groundwork.ports import LimitSettings
from groundwork.turned_away import REFUSALS
from tests.counts import TORTURE

LIMITS = LimitSettings(header_bytes=4096, url_bytes=1024, connections=2000)
GET = b"GET / HTTP/1.1\r\nhost: test\r\n\r\n"
HALF_OPEN = 1000 if TORTURE else 50
LONG = 1e6
"""Seconds after which everything has taken too long; nobody waits for them."""


class Bench:
    """A server of bounded connections whose application reads the body and answers with its length."""

    def __init__(self, limits: LimitSettings) -> None:
        self.limits = limits
        self.counts: Counter[str] = Counter()
        self.state = ServerState()
        self.config = Config(
            self._app, interface="asgi3", ws="none", lifespan="off", log_config=None, access_log=False
        )
        self.config.load()
        self.gate = asyncio.Event()
        self.gate.set()
        self.left = 0
        self.server: asyncio.Server | None = None

    def _count(self, reason: str) -> None:
        self.counts[reason] += 1

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        size, more = 0, scope["path"] != "/unread"
        while more:
            message = await receive()
            if message["type"] != "http.request":
                self.left += 1
                return
            size, more = size + len(message["body"]), message["more_body"]
        await self.gate.wait()
        body = b"%d" % size
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _protocol(self) -> BoundedConnection:
        return BoundedConnection(self.config, self.state, {}, limits=self.limits, count=self._count)

    async def open(self) -> None:
        """Listen on a free port."""
        self.server = await asyncio.get_running_loop().create_server(self._protocol, "127.0.0.1", 0)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A client."""
        assert self.server is not None
        return await asyncio.open_connection(*self.server.sockets[0].getsockname())

    async def talk(self, *parts: bytes) -> bytes:
        """What a client that sends these bytes one after the other gets until the other side ends."""
        reader, writer = await self.connect()
        for part in parts:
            with contextlib.suppress(ConnectionError):
                writer.write(part)
                await writer.drain()
        async with asyncio.timeout(30):
            text = await reader.read()
        writer.close()
        return text

    async def until(self, connections: int) -> None:
        """Wait until so many are open."""
        async with asyncio.timeout(30):
            while len(self.state.connections) != connections:  # noqa: ASYNC110  turns of this loop
                await asyncio.sleep(0)

    def look(self, seconds: float) -> None:
        """Look at every connection as if so much time had gone."""
        now = asyncio.get_running_loop().time() + seconds
        for connection in list(self.state.connections):
            connection.look(now)  # type: ignore[union-attr]

    async def close(self) -> None:
        """End everything."""
        assert self.server is not None
        self.gate.set()
        self.server.close()
        for connection in list(self.state.connections):
            connection.transport.abort()
        await self.until(0)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """A server that listens."""
    made = Bench(LIMITS)
    await made.open()
    yield made
    await made.close()


def status(text: bytes) -> int:
    """The status of the first answer; 0 where nothing came."""
    return int(text.split(b" ", 2)[1]) if text else 0


async def test_an_ordinary_request_is_answered(bench: Bench) -> None:
    """Within the bounds nothing changes: bodies, pieces of any size, several requests on a connection."""
    reader, writer = await bench.connect()
    for size in (0, 10, 300_000):
        request = b"POST / HTTP/1.1\r\nhost: t\r\ncontent-length: %d\r\n\r\n%s" % (size, b"x" * size)
        for start in range(0, len(request), 5000):
            writer.write(request[start : start + 5000])
            await writer.drain()
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        assert await reader.readexactly(len(str(size))) == b"%d" % size
    writer.close()
    assert bench.counts == {}


async def test_a_request_for_an_upgrade_is_an_ordinary_one(bench: Bench) -> None:
    """Who asks for another protocol is answered in this one, body and all, and so is what comes after."""
    ask = b"POST / HTTP/1.1\r\nhost: t\r\nconnection: upgrade\r\nUpgrade: h2c\r\ncontent-length: 2\r\n\r\nhi"
    last = b"POST / HTTP/1.1\r\nhost: t\r\nconnection: close\r\ncontent-length: 3\r\n\r\nxyz"
    text = await bench.talk(ask + last)
    answers = [part.partition(b"HTTP/1.1")[0] for part in text.split(b"\r\n\r\n")[1:]]
    assert answers == [b"2", b"3"]


@pytest.mark.parametrize(
    "last", [b"HTTP/1.0\r\nconnection: upgrade", b"HTTP/1.1\r\nconnection: close, upgrade"]
)
async def test_a_connection_s_last_request_may_ask_for_an_upgrade_too(bench: Bench, last: bytes) -> None:
    """It is answered, body and all, before the connection ends, and what comes behind it is not read."""
    ask = b"POST / %b\r\nhost: t\r\nupgrade: h2c\r\ncontent-length: 5\r\n\r\nhello" % last
    text = await bench.talk(ask + b"POST / HTTP/1.1\r\nhost: t\r\ncontent-length: 0\r\n\r\n")
    assert (text.count(b"HTTP/1.1 200"), text.rpartition(b"\r\n")[2]) == (1, b"5")
    assert bench.counts == {}


@pytest.mark.parametrize(
    ("reason", "parts", "wanted"),
    [
        ("large-headers", [b"GET / HTTP/1.1\r\na: ", *[b"x" * 65_536] * 160, b"\r\n\r\n"], 431),
        ("large-headers", [b"GET / HTTP/1.1\r\n", *[b"a: b\r\n" * 10_000] * 170, b"\r\n"], 431),
        ("large-headers", [b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 800 + b"\r\n"], 431),
        ("large-headers", [b"GET /" + b"x" * 60_000], 431),
        ("long-url", [b"GET /" + b"x" * 1100 + b" HTTP/1.1\r\nhost: t\r\n\r\n"], 414),
        ("no-host", [b"GET / HTTP/1.1\r\n\r\n"], 400),
        ("no-host", [b"GET / HTTP/1.1\r\nhost: t\r\nhost: t\r\n\r\n"], 400),
        ("no-host", [b"GET / HTTP/1.1\r\nhost: t t\r\n\r\n"], 400),
        ("not-http", [b"GET / HTTP/2.0\r\nhost: t\r\n\r\n"], 400),
        ("not-http", [b"GET /\r\n\r\n"], 400),
        ("not-http", [b"\x16\x03\x01 hello\r\n\r\n"], 400),
        ("not-http", [b"GET / HTTP/1.1\r\ncontent-length: -1\r\n\r\n"], 400),
        ("not-http", [b"POST / HTTP/1.1\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n"], 400),
    ],
)
async def test_too_much_is_refused_with_its_status(
    bench: Bench, reason: str, parts: list[bytes], wanted: int
) -> None:
    """10 MB of headers in one or in many, a long URL, no HTTP: the right status, and the client sees it."""
    asking = asyncio.create_task(bench.talk(*parts))
    while not bench.counts:  # noqa: ASYNC110  turns of this loop
        await asyncio.sleep(0)
    while not asking.done():
        bench.look(LINGER_SECONDS + 1 if not bench.state.connections else 0)
        await asyncio.sleep(0)
    text = await asking
    assert (status(text), bench.counts) == (wanted, {reason: 1})
    assert b"connection: close\r\n" in text
    assert text.endswith(REFUSALS[reason])


@pytest.mark.parametrize("flood", [b"a: b\r\n" * 2000, b"1;" + b"x" * 9000])
async def test_what_belongs_to_no_body_is_bounded(bench: Bench, flood: bytes) -> None:
    """Trailers and extensions of chunks, for which HTTP knows no bound, end like large headers."""
    end = b"0\r\n" if flood.startswith(b"a") else b""
    head = b"POST / HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n"
    reader, writer = await bench.connect()
    writer.write(head)
    while not bench.state.tasks:  # noqa: ASYNC110  turns of this loop
        await asyncio.sleep(0)
    writer.write(end + flood)
    async with asyncio.timeout(30):
        text = await reader.read()
    assert (status(text), bench.counts) == (400, {"not-http": 1})
    writer.close()


async def test_half_open_connections_are_ended(bench: Bench) -> None:
    """Clients that send nothing, half a header or half a body hold their place for a time and no longer."""
    clients = [await bench.connect() for _ in range(HALF_OPEN)]
    pieces = [b"", b"GET / HTTP/1.1\r\nhos", b"POST / HTTP/1.1\r\nhost: t\r\ncontent-length: 9\r\n\r\nhalf"]
    for number, (_, writer) in enumerate(clients):
        writer.write(pieces[number % 3])
    await bench.until(HALF_OPEN)
    assert status(await bench.talk(GET.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))) == 200
    bench.look(LIMITS.header_time / 2)
    assert bench.counts == {}
    while sum(bench.counts.values()) < HALF_OPEN:
        bench.look(LONG)
        await asyncio.sleep(0)
    texts = []
    for reader, writer in clients:
        async with asyncio.timeout(30):
            texts.append(await reader.read())
        writer.close()
    silent = texts.count(b"")
    assert Counter(map(status, texts)) == {0: silent, 408: HALF_OPEN - silent}
    assert silent == bench.counts["silent"] == len(range(0, HALF_OPEN, 3))
    await bench.until(0)
    assert bench.left == bench.counts["slow-body"]


async def test_one_connection_too_many_is_told(bench: Bench) -> None:
    """The one above the limit gets a 503 that says why; the others go on."""
    bench.limits = LimitSettings(connections=2)
    held = [await bench.connect() for _ in range(2)]
    await bench.until(2)
    text = await bench.talk()
    assert (status(text), bench.counts) == (503, {"too-many-connections": 1})
    assert b"retry-after: 1\r\n" in text
    for reader, writer in held:
        writer.write(GET)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        writer.close()


async def test_requests_sent_far_ahead_end_the_connection(bench: Bench) -> None:
    """A client that sends hundreds of requests and reads nothing is parted with; what it holds is bounded."""
    bench.gate.clear()
    reader, writer = await bench.connect()
    writer.write(GET * (3 * MOST_AHEAD))
    async with asyncio.timeout(30):
        assert await reader.read() == b""
    assert bench.counts == {"too-far-ahead": 1}
    writer.close()


async def test_a_body_that_nobody_wants_is_not_read_for_ever(bench: Bench) -> None:
    """After an answer that came without reading, so much more is read and then the connection ends."""
    reader, writer = await bench.connect()
    writer.write(b"POST /unread HTTP/1.1\r\nhost: t\r\ncontent-length: 99999999999\r\n\r\n")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    with pytest.raises(ConnectionError):
        await flood(writer)
    assert bench.counts == {"unwanted-body": 1}


async def test_a_client_that_sends_before_it_reads_sees_why_it_was_refused(bench: Bench) -> None:
    """A body that nobody wants is read to its end, and the connection lives on."""
    reader, writer = await bench.connect()
    size = 8 << 20
    writer.write(b"POST /unread HTTP/1.1\r\nhost: test\r\ncontent-length: %d\r\n\r\n" % size + b"x" * size)
    await writer.drain()
    for _ in range(2):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        await reader.readexactly(1)
        writer.write(GET)
    assert bench.counts == {}
    writer.close()


async def test_a_last_request_is_read_to_its_end_too(bench: Bench) -> None:
    """Who asked to close sees the answer that came before the body was sent, and then the end."""
    size = 8 << 20
    head = b"POST /unread HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % size
    reader, writer = await bench.connect()
    writer.write(head)
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"x" * size)
    await writer.drain()
    assert await reader.read() == b"0"
    assert bench.counts == {}
    writer.close()
    whole = await bench.talk(GET.replace(b"host", b"connection: close\r\nhost"))
    assert b"connection: close" in whole


async def flood(writer: asyncio.StreamWriter) -> None:
    """Send until it does not go on."""
    while True:
        writer.write(b"x" * 65_536)
        await writer.drain()


class Failed:
    """What uvloop leaves of a transport under which a write has failed."""

    def write(self, _data: bytes) -> None:
        """Raise, where asyncio's own would let it pass."""
        raise RuntimeError("unable to perform operation on <TCPTransport>; the handler is closed")

    def close(self) -> None:
        """It is."""


async def test_an_answer_to_a_connection_that_has_just_failed_is_no_mistake(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """Between a write that fails and the loop's next turn an answer goes nowhere, and nobody logs a fault."""
    bench.gate.clear()
    _, writer = await bench.connect()
    writer.write(GET)
    await bench.until(1)
    (connection,) = bench.state.connections
    while connection.cycle is None:  # type: ignore[union-attr]  # noqa: ASYNC110  turns of this loop
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    connection.cycle.transport = Failed()  # type: ignore[union-attr]
    bench.gate.set()  # the application goes on before the connection is told that it is lost
    connection.transport.abort()
    await bench.until(0)
    await asyncio.gather(*bench.state.tasks)
    assert not caplog.records
    writer.close()


async def test_an_answer_that_nobody_reads_ends_the_connection(bench: Bench) -> None:
    """Time runs for unread answers too; an idle connection without any is left to its own timer."""
    _, writer = await bench.connect()
    writer.write(GET)
    await bench.until(1)
    connection: Any = next(iter(bench.state.connections))
    while connection.cycle is None:  # noqa: ASYNC110  turns of this loop
        await asyncio.sleep(0)
    bench.look(LONG)
    assert bench.counts == {}
    connection.transport.write(b"x" * (64 << 20))
    bench.look(LONG)
    await bench.until(0)
    assert bench.counts == {"unread-answer": 1}
    writer.close()


async def test_who_reads_slowly_has_all_of_an_answer(bench: Bench) -> None:
    """Time for an answer begins again whenever its client has read on, but not for what it asks meanwhile."""
    reader, writer = await bench.connect()
    writer.write(GET)
    await reader.readuntil(b"\r\n\r\n0")
    connection: Any = next(iter(bench.state.connections))
    late = connection._since + LIMITS.idle + LIMITS.body_time + 1e-6
    connection.transport.write(b"x" * (64 << 20))
    await reader.readexactly(64 << 20)
    while connection.flow.write_paused:  # noqa: ASYNC110  turns of this loop
        await asyncio.sleep(0)
    connection.transport.write(b"x" * (64 << 20))
    connection.look(late)
    assert bench.counts == {}
    writer.write(GET[:5])
    while connection._phase != HEAD_PHASE:  # noqa: ASYNC110  turns of this loop
        await asyncio.sleep(0)
    since = connection._since
    await reader.readexactly(64 << 20)
    while connection.flow.write_paused:  # noqa: ASYNC110  turns of this loop
        await asyncio.sleep(0)
    assert connection._since == since
    writer.close()
