"""What a client of gRPC has not read of its answers: who reads none is made none.

gRPC keeps an answer until its client lets it go (HTTP/2's windows), of every call of a connection, for ever.
So:

1. a call counts CALL_BYTES from its turn to its end, and its answer what has not been passed on of it;
2. where a connection has as much of that as one body may have (`requests.max_body_bytes`), its next calls
   wait for their turn before their messages are read. Frames of the client are read on: by some of them it
   lets answers go;
3. what a connection has beyond a small body takes room with large answers (`gateway.body_room`). Where that
   is full, no connection begins a call beyond a small body: each goes on, some calls at a time;
4. who has answers and reads nothing of any for too long is parted with (`gateway.grpc_port.link`).

Whoever reads, however slowly, is answered.
"""

import asyncio
from typing import Final

from gateway.body_room import AnswerRoom

CALL_BYTES: Final = 32 << 10
"""A call beside its message and its answer: 26 kB, as measured."""
HEAD_BYTES: Final = 5
"""What stands before a message: whether it is compressed, and its length."""


class Backlog:
    """Of one connection; owned by the loop."""

    def __init__(self, room: AnswerRoom) -> None:
        self.size = 0
        self.unread = 0
        """Bytes of answers that have not been passed on."""
        self.read = 0
        """Bytes that were, or that nobody wants any more, since the connection began."""
        self.waiting: dict[Reply, None] = {}
        """Calls that wait for their turn, in their order."""
        self.choked = False
        """Whether the connection itself takes nothing more: refusals are not read either."""
        self._room = room
        self._share = room.share()
        self._looked = -1
        self._since = 0.0

    @property
    def full(self) -> bool:
        """Whether the next call has to wait."""
        room = self._room
        return self.size >= (room.small if room.held >= room.limit else room.most)

    def grow(self, size: int) -> None:
        """So much more is kept, or less; those that wait begin as far as there is room."""
        self.size += size
        self._share.hold(self.size if self.size > self._room.small else 0)
        while self.waiting and not self.full:
            next(iter(self.waiting)).begin()

    def unchoke(self) -> None:
        """The connection takes more again."""
        self.choked = False
        self.read += 1

    def stalled(self, now: float, patience: float) -> bool:
        """Whether something waits and nothing of it was read for `patience` seconds; asked often."""
        if not (self.unread or self.choked) or self.read != self._looked:
            self._looked, self._since = self.read, now
        return now - self._since > patience


class Reply:
    """The answer of one call, from the call's turn to its end."""

    __slots__ = ("_backlog", "_over", "_turn", "begun", "left")

    def __init__(self, backlog: Backlog) -> None:
        self.begun = False
        self.left = 0
        """Bytes of it that have not been passed on."""
        self._backlog = backlog
        self._over = False
        self._turn: asyncio.Future[None] | None = None

    @property
    def waits(self) -> bool:
        """Whether the call would have to wait for its turn."""
        return bool(self._backlog.waiting) or self._backlog.full

    async def turn(self) -> None:
        """Returns when it is the call's turn, or when it wants none any more."""
        if self._over:
            return
        if not self.waits:
            self.begin()
            return
        self._turn = asyncio.get_running_loop().create_future()
        self._backlog.waiting[self] = None
        await self._turn

    def begin(self) -> None:
        """It is the call's turn."""
        self._let_go()
        self.begun = True
        self._backlog.grow(CALL_BYTES)

    def made(self, size: int) -> None:
        """The answer, or another message of it, is there, of so many bytes."""
        if self.begun:
            self._leave(self.left + size + HEAD_BYTES)

    def passed(self, size: int) -> None:
        """So much of it has gone on to the client."""
        self._leave(max(0, self.left - size))

    def give_up(self) -> None:
        """The call will not be answered: it waits for no turn."""
        self._over = True
        self._let_go()

    def over(self) -> None:
        """The call has ended; harmless when repeated."""
        self.give_up()
        self._leave(0)
        if self.begun:
            self.begun = False
            self._backlog.grow(-CALL_BYTES)

    def _leave(self, left: int) -> None:
        more, self.left = left - self.left, left
        if more:
            self._backlog.unread += more
            self._backlog.read -= min(0, more)
            self._backlog.grow(more)

    def _let_go(self) -> None:
        self._backlog.waiting.pop(self, None)
        if self._turn is not None and not self._turn.done():
            self._turn.set_result(None)
