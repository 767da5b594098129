"""What a client of gRPC sends, on its way to gRPC's server: each call is marked, its message counted.

The mark is metadata in a frame of its own (CONTINUATION, RFC 9113 6.10) behind the call's other headers, in
HPACK's form that no table remembers (RFC 7541 6.2.2): what the client sent is not read, but for the heads of
its frames, and one bit of one of them is changed. Nothing is kept but a head that was cut.

Headers whose last one says that it is longer than it is swallow the mark. So a mark is a secret, and a call
without one is refused (`gateway.grpc_port.incoming`): nobody goes uncounted, or by another call's mark.
"""

import secrets
from typing import Final

from gateway.grpc_port.frames import HEAD
from gateway.grpc_port.incoming import MARK, Incoming, Incomings

_PREFACE: Final = 24
"""Bytes that a client says before its first frame (RFC 9113 3.4)."""
_DATA: Final = 0
_HEADERS: Final = 1
_RESET: Final = 3
_CONTINUATION: Final = 9
_END_STREAM: Final = 1
_END_HEADERS: Final = 4
_NEW_NAME: Final = bytes((0, len(MARK))) + MARK
_MARK_BYTES: Final = 8


class Inbound:
    """What one client sends; owned by the loop."""

    def __init__(self, incomings: Incomings) -> None:
        self._incomings = incomings
        self._calls: dict[int, Incoming] = {}
        self._held = 0
        self._last = 0
        self._left = _PREFACE
        self._cut = b""
        self._mark = b""
        self._ending: Incoming | None = None
        """Whose last frame is under way."""

    def take(self, data: bytes) -> list[bytes]:
        """More bytes; those to send on instead."""
        if self._cut:
            data, self._cut = self._cut + data, b""
        told: list[bytes] = []
        at, start, size = self._left, 0, len(data)
        while at <= size:
            if self._mark:
                told += (data[start:at], self._mark)
                self._mark, start = b"", at
            if self._ending is not None:
                self._ending.finished, self._ending = True, None
            if at + HEAD > size:
                self._cut, data, self._left = data[at:], data[:at], 0
                break
            length = data[at] << 16 | data[at + 1] << 8 | data[at + 2]
            if self._opens(data[at + 3], data[at + 4], data[at + 5 : at + HEAD], length):
                told += (data[start : at + 4], bytes((data[at + 4] & ~_END_HEADERS,)))
                start = at + 5
            at += HEAD + length
        else:
            self._left = at - size
        told.append(data[start:] if start else data)
        return told

    def over(self, stream: int) -> None:
        """A call has ended."""
        call = self._calls.pop(stream, None)
        if call is not None:
            self._held -= call.size
            self._incomings.end(call.mark)

    def close(self) -> None:
        """The client has gone."""
        for stream in tuple(self._calls):
            self.over(stream)

    def _opens(self, kind: int, flags: int, place: bytes, length: int) -> bool:
        """Look at a frame's head; whether the headers of a new call end with it."""
        stream = int.from_bytes(place) & 0x7FFFFFFF
        if kind == _HEADERS and stream > self._last and stream % 2:
            self._last = stream
            self._calls[stream] = self._incomings.begin(secrets.token_hex(_MARK_BYTES).encode())
        call = self._calls.get(stream)
        if call is None:
            return False
        if kind == _DATA:
            self._held += length
            call.grew(length, crowded=self._held > self._incomings.small)
        if kind in (_DATA, _HEADERS) and flags & _END_STREAM:
            self._ending = call
        elif kind == _RESET:
            self.over(stream)
        if kind not in (_HEADERS, _CONTINUATION) or not flags & _END_HEADERS:
            return False
        self._mark = _continuation(stream, call.mark)
        return True


def _continuation(stream: int, mark: bytes) -> bytes:
    block = _NEW_NAME + bytes((len(mark),)) + mark
    return len(block).to_bytes(3) + bytes((_CONTINUATION, _END_HEADERS)) + stream.to_bytes(4) + block
