"""What a client of gRPC has not read of its answers: who reads none is made none.

gRPC keeps an answer until its client lets it go (HTTP/2's windows), of every call of a connection, for ever.
So:

1. of each call that is answered count CALL_BYTES, and what has not been passed on of the answer;
2. where a connection has an eighth of `requests.unread_answers` of that, its next calls are not run until
   some of it was read. Frames of the client are read on: by some of them it lets answers go;
3. what a connection has beyond a small body takes room with large answers (`gateway.body_room`). None may
   have more than is left of that, so that some always is, or else a small body;
4. so many calls of a worker wait at most, and each connection has its share of them;
5. who has answers and reads nothing of any for too long is parted with (`gateway.grpc_port.link`).

Whoever reads, however slowly, is answered.
"""

import asyncio
from typing import Final

from gateway.body_room import AnswerRoom
from gateway.errors import OverloadedError

CALL_BYTES: Final = 32 << 10
"""A call beside its message and its answer: 26 kB, as measured."""
HEAD_BYTES: Final = 5
"""What stands before a message: whether it is compressed, and its length."""
MOST_WAITING: Final = 10_000
"""Calls of one worker that wait until answers before theirs are read."""


class Backlogs:
    """Of all connections of one worker; owned by its loop."""

    def __init__(self, room: AnswerRoom, most: int = MOST_WAITING) -> None:
        self.room = room
        self.held_up = 0
        """Connections that have calls which wait."""
        self._most = most

    @property
    def share(self) -> int:
        """How many calls of one connection may wait now."""
        return self._most // max(1, self.held_up)


class Backlog:
    """Of one connection; owned by the loop."""

    def __init__(self, backlogs: Backlogs) -> None:
        self.size = 0
        self.unread = 0
        """Bytes of answers that have not been passed on."""
        self.read = 0
        """Bytes that were, or that nobody wants any more, since the connection began."""
        self.choked = False
        """Whether the connection itself takes nothing more: refusals are not read either."""
        self._waiting: dict[object, asyncio.Future[None]] = {}
        self._backlogs = backlogs
        self._share = backlogs.room.share()
        self._looked = -1
        self._since = 0.0

    @property
    def full(self) -> bool:
        """Whether the next call has to wait."""
        room, size = self._backlogs.room, self.size
        return size > 0 and size >= room.small and size >= min(room.most, room.limit - room.held)

    @property
    def waits(self) -> bool:
        """Whether the next call has to wait, for answers to be read or for others that wait for that."""
        return bool(self._waiting) or self.full

    async def turn(self) -> None:
        """Wait until another call may be run; OverloadedError where too many wait."""
        if len(self._waiting) >= self._backlogs.share:
            raise OverloadedError(
                f"{len(self._waiting)} calls of this connection wait until its answers are read; "
                "read them, or try again in a moment"
            )
        place, loop = object(), asyncio.get_running_loop()
        self._backlogs.held_up += not self._waiting
        self._waiting[place] = loop.create_future()
        try:
            await self._waiting[place]
            while self.full:
                self._waiting[place] = loop.create_future()
                await self._waiting[place]
        finally:
            del self._waiting[place]
            self._backlogs.held_up -= not self._waiting
            self._wake()  # the next one looks when this one has run, or waits for its run

    def grow(self, size: int) -> None:
        """So much more is kept, or less; the first call that waits goes on as soon as there is room."""
        self.size += size
        large = self.size > self._backlogs.room.small
        if large or self._share.size:
            self._share.hold(self.size if large else 0)
        if size < 0 and self._waiting:
            self._wake()

    def unchoke(self) -> None:
        """The connection takes more again."""
        self.choked = False
        self.read += 1

    def stalled(self, now: float, patience: float) -> bool:
        """Whether something waits and nothing of it was read for `patience` seconds; asked often."""
        if not (self.unread or self.choked) or self.read != self._looked:
            self._looked, self._since = self.read, now
        return now - self._since > patience

    def _wake(self) -> None:
        if self._waiting and not self.full:
            first = next(iter(self._waiting.values()))
            if not first.done():
                first.set_result(None)


class Reply:
    """The answer of one call."""

    __slots__ = ("_made", "_over", "backlog", "left")

    def __init__(self, backlog: Backlog) -> None:
        self.left = 0
        """Bytes of it that have not been passed on."""
        self.backlog = backlog
        self._made = False
        self._over = False

    def made(self, size: int) -> None:
        """The answer, or another message of it, is there, of so many bytes."""
        if self._over:
            return
        size += HEAD_BYTES
        self.left += size
        self.backlog.unread += size
        self.backlog.grow(size if self._made else size + CALL_BYTES)
        self._made = True

    def passed(self, size: int) -> None:
        """So much of it has gone on to the client."""
        self._pass(min(size, self.left), 0)

    def over(self) -> None:
        """The call has ended; harmless when repeated."""
        self._pass(self.left, CALL_BYTES if self._made and not self._over else 0)
        self._over = True

    def _pass(self, size: int, more: int) -> None:
        if size or more:
            self.left -= size
            self.backlog.unread -= size
            self.backlog.read += size
            self.backlog.grow(-size - more)
