"""HTTP/2 as far as the relay knows it: where frames end, and the frames that it says itself (RFC 9113)."""

from collections.abc import Callable
from typing import Final

HEAD: Final = 9
"""Bytes of a frame's head: three of its length, its type, its flags, four of its stream."""
GOAWAY: Final = bytes((0, 0, 8, 7, 0, 0, 0, 0, 0)) + (2**31 - 1).to_bytes(4) + bytes(4)
"""On stream 0: NO_ERROR, and the highest stream there is, so that every call under way is answered."""
_WHY: Final = b"answers are not read"
UNREAD: Final = bytes((0, 0, 8 + len(_WHY))) + GOAWAY[3:-4] + (11).to_bytes(4) + _WHY
"""ENHANCE_YOUR_CALM, to who is parted with."""
_DATA: Final = 0
_HEADERS: Final = 1
_RESET: Final = 3
_END_STREAM: Final = 1


class Frames:
    """Where frames end in a stream of bytes; nothing of them is kept but a head that was cut.

    `over` is called with each stream that ends here, `passed` with the stream and the size of its data.
    """

    def __init__(
        self,
        over: Callable[[int], None] = lambda _stream: None,
        passed: Callable[[int, int], None] = lambda _stream, _size: None,
    ) -> None:
        self._over = over
        self._passed = passed
        self._left = 0
        self._head = b""

    @property
    def between(self) -> bool:
        """Whether the bytes so far end with a frame."""
        return not self._left and not self._head

    def take(self, data: bytes) -> int:
        """Walk over more bytes; where in them the frame under way ends, -1 where it goes on behind them."""
        size = len(data)
        at = self._left
        if self._head:
            missing = HEAD - len(self._head)
            if size < missing:
                self._head += data
                return -1
            head = self._head + data[:missing]
            at = missing + int.from_bytes(head[:3])
            self._look(head, 0)
            self._head = b""
        first = at
        while at + HEAD <= size:
            self._look(data, at)
            at += HEAD + (data[at] << 16 | data[at + 1] << 8 | data[at + 2])
        self._left = max(0, at - size)
        if at < size:
            self._head = data[at:]
        return first if first <= size else -1

    def _look(self, data: bytes, at: int) -> None:
        """What the frame whose head is there says of its stream."""
        kind = data[at + 3]
        if kind == _DATA:
            self._passed(stream_of(data, at), int.from_bytes(data[at : at + 3]))
        if kind == _RESET or (kind <= _HEADERS and data[at + 4] & _END_STREAM):
            self._over(stream_of(data, at))


def stream_of(data: bytes, at: int) -> int:
    """The stream of the frame whose head is there."""
    return int.from_bytes(data[at + 5 : at + HEAD]) & 0x7FFFFFFF
