"""What a client of gRPC sends, on its way to gRPC's server: each call is marked, its message counted.

The mark is metadata in a frame of its own (CONTINUATION, RFC 9113 6.10) behind the call's other headers, in
HPACK's form that no table remembers (RFC 7541 6.2.2): what the client sent is not read, but for the heads of
its frames, and one bit of one of them is changed. Nothing is kept but a head that was cut.

Headers whose last one says that it is longer than it is swallow the mark. So a mark is a secret, and a call
without one is refused (`gateway.grpc_port.incoming`): nobody goes uncounted, or by another call's mark.
"""

import secrets
from typing import Final

from gateway.grpc_port.backlog import Backlog
from gateway.grpc_port.frames import HEAD, stream_of
from gateway.grpc_port.incoming import MARK, Incoming, Incomings
from gateway.grpc_port.turns import Turn

MOST_FRAMES: Final = 500
"""Frames of one client in one turn of the loop, half a millisecond of it: one read may bring 30 000."""
_PREFACE: Final = 24
"""Bytes that a client says before its first frame (RFC 9113 3.4)."""
_DATA: Final = 0
_HEADERS: Final = 1
_RESET: Final = 3
_SETTINGS: Final = 4
_CONTINUATION: Final = 9
_ACK: Final = 1
_ACKNOWLEDGED: Final = bytes((0, 0, 0, _SETTINGS, _ACK, 0, 0, 0, 0))
_END_STREAM: Final = 1
_END_HEADERS: Final = 4
_NEW_NAME: Final = bytes((0, len(MARK))) + MARK
_MARK_BYTES: Final = 8
MARK_SIZE: Final = len(MARK) + 2 * _MARK_BYTES + 32
"""What a mark adds to a call's metadata, as they are measured (RFC 9113, section 6.5.2)."""


class Inbound:
    """What one client sends; owned by the loop."""

    def __init__(self, incomings: Incomings, turn: Turn) -> None:
        self.backlog = Backlog(incomings.backlogs)
        """What the client has not read."""
        self._incomings = incomings
        self._turn = turn
        self._calls: dict[int, Incoming] = {}
        self._held = 0
        self.waits = False
        """Whether something waits here, a call for its turn or frames for the loop's next one."""
        self.again = False
        """Whether it is for the loop's next turn."""
        self.last = 0
        """The stream of the last call that has begun."""
        self.greeted = False
        """Whether gRPC has sent its settings: no call goes there before."""
        self._vouched = False
        """Whether we have said that the client knows them."""
        self._settled = False
        """Whether the client has said so itself."""
        self._left = _PREFACE
        self._cut = b""
        self._mark = b""
        self._open = False
        self._ending: Incoming | None = None
        """Whose last frame is under way."""

    @property
    def calls(self) -> int:
        """How many are under way."""
        return len(self._calls)

    @property
    def asking(self) -> bool:
        """Whether the headers of a call are under way."""
        return self._open or bool(self._mark)

    def take(self, data: bytes) -> list[bytes]:
        """More bytes, or none where a turn may have come; those to send on instead."""
        self.waits = self.again = False
        if self._cut:
            data, self._cut = self._cut + data, b""
        told: list[bytes] = []
        at, start, size, frames = self._left, 0, len(data), 0
        while at <= size:
            if self._mark:
                told += (data[start:at], self._mark)
                self._mark, start = b"", at
            if self._ending is not None:
                self._ending.finished, self._ending = True, None
            frames += 1
            if at + HEAD > size or frames > MOST_FRAMES or self._stops(data, at):
                self.waits = at + HEAD <= size
                self.again = self.waits and frames > MOST_FRAMES
                self._cut, data, self._left = data[at:], data[:at], 0
                break
            if not self._settled:
                start = self._settle(data, start, at, told)
            length = data[at] << 16 | data[at + 1] << 8 | data[at + 2]
            if self._opens(data[at + 3], data[at + 4], stream_of(data, at), length):
                told += (data[start : at + 4], bytes((data[at + 4] & ~_END_HEADERS,)))
                start = at + 5
            at += HEAD + length
        else:
            self._left = at - size
        told.append(data[start:] if start else data)
        return told

    def passed(self, stream: int, size: int) -> None:
        """So much of a call's answer has gone on to the client."""
        call = self._calls.get(stream)
        if call is not None:
            call.reply.passed(size)

    def over(self, stream: int) -> None:
        """A call has ended."""
        call = self._calls.get(stream) or self._turn.calls.get(stream)
        if call is not None:
            call.looked_at()
            self._end(stream, call)

    def forget(self) -> None:
        """Let calls that were taken back, and that gRPC has not handed over, stand in nobody's way."""
        given_up = [one for one in self._turn.calls.items() if one[1].ended]
        for stream, _call in given_up:
            self.over(stream)

    def close(self) -> None:
        """The client has gone."""
        self._turn.close()
        for stream in (*self._calls, *self._turn.calls):
            self.over(stream)

    def _end(self, stream: int, call: Incoming) -> None:
        """Keep nothing of it, but of one that nobody has looked at its mark: gRPC will hand it over."""
        if self._calls.pop(stream, None) is not None:
            self._held -= call.size
        if call.seen is None:
            self._incomings.end(call.mark)
        else:
            call.end()

    def _settle(self, data: bytes, start: int, at: int, told: list[bytes]) -> int:
        """Vouch for the client before its first call; from where on `data` is still to be told."""
        if data[at + 3] == _HEADERS and not self._vouched:
            told += (data[start:at], _ACKNOWLEDGED)
            self._vouched = True
            return at
        if self.greeted and data[at + 3] == _SETTINGS and data[at + 4] & _ACK and not any(data[at : at + 3]):
            self._settled = True
            if self._vouched:
                told.append(data[start:at])
                return at + HEAD
        return start

    def _stops(self, data: bytes, at: int) -> bool:
        """Whether a call begins there whose turn has not come."""
        waits = self._turn.full or self.backlog.choked or not self.greeted
        return waits and data[at + 3] == _HEADERS and self._is_new(stream_of(data, at))

    def _is_new(self, stream: int) -> bool:
        return stream > self.last and stream % 2 == 1

    def _opens(self, kind: int, flags: int, stream: int, length: int) -> bool:
        """Look at a frame's head; whether the headers of a new call end with it."""
        if kind == _HEADERS and self._is_new(stream):
            self.last = stream
            mark = secrets.token_hex(_MARK_BYTES).encode()
            self._calls[stream] = self._incomings.begin(mark, self.backlog)
            self._turn.add(stream, self._calls[stream])
        if kind in (_HEADERS, _CONTINUATION):
            self._open = not flags & _END_HEADERS
        call = self._calls.get(stream)
        if call is None:
            return False
        if kind == _DATA:
            self._held += length
            call.grew(length, crowded=self._held > self._incomings.small)
        if kind in (_DATA, _HEADERS) and flags & _END_STREAM:
            self._ending = call
        elif kind == _RESET:
            self._end(stream, call)
        if kind not in (_HEADERS, _CONTINUATION) or self._open:
            return False
        self._mark = _continuation(stream, call.mark)
        return True


def _continuation(stream: int, mark: bytes) -> bytes:
    block = _NEW_NAME + bytes((len(mark),)) + mark
    return len(block).to_bytes(3) + bytes((_CONTINUATION, _END_HEADERS)) + stream.to_bytes(4) + block
