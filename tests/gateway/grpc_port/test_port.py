"""The port's stop, byte by byte: what a client of HTTP/2 is told, and what it may still finish."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import msgspec
import pytest

from tests.gateway.grpc_port.ports import CODES, SERVICE, Served, raw

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
END_STREAM, ACK, END_HEADERS = 1, 1, 4
PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class Frame(msgspec.Struct, frozen=True):
    """One frame as it travelled."""

    kind: int
    flags: int
    stream: int
    payload: bytes


class Wire:
    """A connection whose client is this test."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._send(SETTINGS, 0, 0, b"", before=PREFACE)

    def _send(self, kind: int, flags: int, stream: int, payload: bytes, before: bytes = b"") -> None:
        head = len(payload).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4)
        self._writer.write(before + head + payload)

    def begin(self, path: str, stream: int) -> None:
        """The headers of a call."""
        fields = {
            b":method": b"POST",
            b":scheme": b"http",
            b":path": path.encode(),
            b":authority": b"x",
            b"te": b"trailers",
            b"content-type": b"application/grpc",
        }
        block = b"".join(
            b"\0" + bytes((len(name),)) + name + bytes((len(value),)) + value
            for name, value in fields.items()
        )
        self._send(HEADERS, END_HEADERS, stream, block)

    def message(self, part: bytes, stream: int, *, last: bool) -> None:
        """Some bytes of a call's message."""
        self._send(DATA, END_STREAM if last else 0, stream, part)

    async def heard(self) -> None:
        """Until the other side has read everything that was sent."""
        self._send(PING, 0, 0, b"up to me")
        async for frame in self.frames():
            if frame.kind == PING and frame.payload == b"up to me":
                return
        raise AssertionError

    async def frames(self) -> AsyncIterator[Frame]:
        """What comes, until the connection ends; pings and settings are answered."""
        while True:
            try:
                head = await self._reader.readexactly(9)
            except asyncio.IncompleteReadError:
                return
            payload = await self._reader.readexactly(int.from_bytes(head[:3]))
            frame = Frame(head[3], head[4], int.from_bytes(head[5:]), payload)
            if frame.kind in (PING, SETTINGS) and not frame.flags & ACK:
                self._send(frame.kind, ACK, 0, payload if frame.kind == PING else b"")
            yield frame

    def close(self) -> None:
        """End it."""
        self._writer.transport.abort()


@pytest.fixture
async def wire(there: Served) -> AsyncIterator[Wire]:
    """A connection to the port."""
    made = Wire(*await asyncio.open_connection(*there.address.rsplit(":", 1)))
    yield made
    made.close()


async def test_a_stop_tells_the_client_and_finishes_what_has_begun(there: Served, wire: Wire) -> None:
    """GOAWAY comes while a call is half sent; its rest is read, answered and recorded, then all is closed."""
    body = SERVICE.messages["ModelInferRequest"](**raw()).SerializeToString()
    sent = b"\0" + len(body).to_bytes(4) + body
    wire.begin(f"/{SERVICE.service}/ModelInfer", 1)
    wire.message(sent[:20], 1, last=False)
    await wire.heard()
    closing = asyncio.create_task(there.port.close(linger=0.1, limit=30.0))
    found: list[Frame] = []
    async with asyncio.timeout(30):
        async for frame in wire.frames():
            found.append(frame)
            if frame.kind == GOAWAY and frame.payload[4:8] == bytes(4) and len(goodbyes(found)) == 1:
                wire.message(sent[20:], 1, last=True)
        await closing
    assert goodbyes(found)
    assert not [frame for frame in found if frame.kind == RST_STREAM]
    (data,) = (frame.payload for frame in found if frame.kind == DATA)
    answer = SERVICE.messages["ModelInferResponse"].FromString(data[5:])
    assert (answer.model_name, len(answer.outputs)) == ("m", 2)
    assert found[-1].flags & END_STREAM or found[-1].kind == GOAWAY


def goodbyes(found: list[Frame]) -> list[Frame]:
    """Every GOAWAY of these."""
    return [frame for frame in found if frame.kind == GOAWAY]


async def test_nobody_is_let_in_after_a_stop(there: Served) -> None:
    """A closed port refuses connections, and a call that comes then was run by nobody."""
    assert (await there.client.infer()).code is CODES.OK
    await there.port.close(linger=1.0, limit=1.0)
    assert (await there.client.infer()).code is CODES.UNAVAILABLE
