"""Two edges of the same data port, through ASGI and around it, asked with the same bytes over sockets."""

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import msgspec

from gateway.endpoints import DataPort
from gateway.fast import FastConnection, connections
from gateway.port import Connection, Port
from gateway.settings import GatewaySettings
from groundwork.allowance import Allowance
from groundwork.denials import Audit
from groundwork.gate import Gate, Keys
from groundwork.keys import KeyBook
from groundwork.logs import Log
from groundwork.ports import LimitSettings
from tests.gateway.worlds import World, request, world

LIMITS: Final = LimitSettings(header_bytes=2048, url_bytes=512)
_LENGTH: Final = re.compile(rb"content-length: (\d+)\r\n")
_TURNS: Final = 20

Connect = Callable[..., Connection]


def plain(_port: DataPort, _log: Log) -> Connect:
    """Every request goes through ASGI."""
    return Connection


EDGES: Final = MappingProxyType({"asgi": plain, "fast": connections})


class Answered(msgspec.Struct, frozen=True):
    """One answer; header lines sorted, for their order is nobody's business."""

    status: int
    headers: tuple[bytes, ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The value of a header."""
        found = [line for line in self.headers if line.startswith(name.encode() + b": ")]
        return found[0].decode().partition(": ")[2] if found else None


class Client:
    """One connection to an edge, over which bytes are sent as they are."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, *chunks: bytes) -> None:
        """Send the chunks, each in a segment of its own that the server has read before the next."""
        for chunk in chunks:
            self.writer.write(chunk)
            await self.writer.drain()
            for _ in range(_TURNS):
                await asyncio.sleep(0)

    async def answer(self) -> Answered:
        """The next answer."""
        async with asyncio.timeout(30):
            head = await self.reader.readuntil(b"\r\n\r\n")
            found = _LENGTH.search(head)
            body = await self.reader.readexactly(int(found[1])) if found else b""
        first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
        return Answered(int(first.split(b" ")[1]), tuple(sorted(lines)), body)

    async def answers(self) -> list[Answered]:
        """All answers until the server closes."""
        found: list[Answered] = []
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionResetError):
            while True:
                found.append(await self.answer())
        return found


class Edge:
    """A world behind one kind of edge."""

    def __init__(self, here: World, connect: str, book: KeyBook | None) -> None:
        self.world = here
        self.log = Log(here.lines, here.clock)
        keys = Keys(Allowance.private(), here.clock)
        if book is not None:
            keys.use(book)
        self.denied: list[str] = []
        audit = Audit(self.log, lambda reason, _scope: self.denied.append(reason), here.clock)
        app = DataPort(here.core, lambda: b"", self.log, Gate(keys, audit))
        self.refused: list[str] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = Port(
            app,
            self.listener,
            self.log,
            limits=LIMITS,
            refused=self.refused.append,
            connect=EDGES[connect](app, self.log),
            now=lambda: here.clock.now() / 1e9,
        )
        self.clients: list[Client] = []

    async def connect(self) -> Client:
        """A new connection."""
        client = Client(*await asyncio.open_connection(*self.listener.getsockname()))
        self.clients.append(client)
        return client

    @property
    def connection(self) -> Connection:
        """The server's side of the only connection."""
        (found,) = self.port._open
        return found

    async def ask(self, *chunks: bytes, count: int) -> list[Answered]:
        """Send over a new connection and read so many answers; it stays open."""
        client = await self.connect()
        await client.send(*chunks)
        return [await client.answer() for _ in range(count)]

    async def close(self) -> None:
        """End the clients, then the port."""
        for client in self.clients:
            client.writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                await client.writer.wait_closed()
        await self.port.close(linger=0.0, limit=1.0)
        self.listener.close()


@contextlib.asynccontextmanager
async def edge(
    folder: Path, connect: str, settings: GatewaySettings | None = None, book: KeyBook | None = None
) -> AsyncIterator[Edge]:
    """An open edge of its own world."""
    folder.mkdir()  # noqa: ASYNC240  once, in a test
    async with world(folder, settings) as here:
        made = Edge(here, connect, book)
        made.port.open()
        try:
            yield made
        finally:
            await made.close()


def post(
    document: Any = None, *lines: str, path: str = "/v2/models/m/infer", head: str = "POST {} HTTP/1.1"
) -> bytes:
    """A whole request of this document (bytes as they are; None: one good row), with these header lines."""
    body = document if isinstance(document, bytes) else msgspec.json.encode(document or request())
    sent: Sequence[str] = [head.format(path), "Host: test", *lines, f"Content-Length: {len(body)}"]
    return "\r\n".join(sent).encode() + b"\r\n\r\n" + body


def is_fast(connection: Connection) -> bool:
    """Whether the connection has answered everything so far without a cycle of uvicorn's."""
    return isinstance(connection, FastConnection) and connection.cycle is None
