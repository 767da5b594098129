"""HTTP/2 by hand: a client of gRPC that says what it likes, when it likes."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import msgspec

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, CONTINUATION = 0, 1, 3, 4, 6, 7, 9
END_STREAM, ACK, END_HEADERS = 1, 1, 4
PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def fields(path: str) -> dict[bytes, bytes]:
    """The headers of every call."""
    return {
        b":method": b"POST",
        b":scheme": b"http",
        b":path": path.encode(),
        b":authority": b"x",
        b"te": b"trailers",
        b"content-type": b"application/grpc",
    }


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

    def begin(self, path: str, stream: int, more: bytes = b"") -> None:
        """The headers of a call, in two frames; `more` of them as they travel (RFC 7541)."""
        block = b"".join(
            b"\0" + bytes((len(name),)) + name + bytes((len(value),)) + value
            for name, value in fields(path).items()
        )
        self._send(HEADERS, 0, stream, block[:20])
        self._send(CONTINUATION, END_HEADERS, stream, block[20:] + more)

    def read_nothing(self) -> None:
        """Open no window for the answers of calls that begin from now on (RFC 9113 6.5.2)."""
        self._send(SETTINGS, 0, 0, (4).to_bytes(2) + bytes(4))

    def read_on(self) -> None:
        """Open the window of every answer as wide as it is where nobody says anything."""
        self._send(SETTINGS, 0, 0, (4).to_bytes(2) + (65535).to_bytes(4))

    def message(self, part: bytes, stream: int, *, last: bool) -> None:
        """Some bytes of a call's message."""
        self._send(DATA, END_STREAM if last else 0, stream, part)

    def half(self, part: bytes, stream: int) -> None:
        """The last frame of a call's message, as long again as what comes of it."""
        size = (2 * len(part)).to_bytes(3)
        self._writer.write(size + bytes((DATA, END_STREAM)) + stream.to_bytes(4) + part)

    def reset(self, stream: int) -> None:
        """Take a call back."""
        self._send(RST_STREAM, 0, stream, (8).to_bytes(4))

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

    async def until_over(self, stream: int) -> list[Frame]:
        """What comes until a call has ended."""
        found = []
        async with asyncio.timeout(30):
            async for frame in self.frames():
                found.append(frame)
                if frame.stream == stream and frame.kind == HEADERS and frame.flags & END_STREAM:
                    return found
        raise AssertionError(found)

    def close(self) -> None:
        """End it."""
        self._writer.transport.abort()
