"""What of each call's message is here: counted where the relay passes it on, bounded where it is read.

gRPC says nothing of a message before all of it is in memory, and of ten thousand at once it keeps ten
thousand. So:

1. every call is handed over when its headers are here. gRPC takes no more of its message than the window it
   opens for every stream (64 KiB) until it is read: who has no key gets no further;
2. the relay counts the bytes of each call's message as they pass. What is large takes room where large bodies
   over HTTP do (`gateway.body_room`), by what has come, and so does what is small where a connection has more
   of it than one small body; a message that finds no room is refused while it comes;
3. a method that needs no large message takes none, and none may take longer than a body over HTTP; so many
   calls may wait for theirs, half as many of such a method: whoever needs no key keeps no tensors out;
4. a compressed message is counted as it came, and once more when it is inflated;
5. a message leaves the room when its call is answered, whether or not the client reads the answer;
6. its call is not run while too many answers before it are not read (`gateway.grpc_port.backlog`).

A call is known to both by a mark: the relay adds it to the call's metadata (`gateway.grpc_port.inbound`).
Nothing is read of a call whose mark nobody knows: it was taken back, or its headers hide the mark.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from grpc import aio

from gateway.body_room import AnswerRoom, BodyRoom, BodyShare
from gateway.errors import ExpiredError, MalformedError, OverloadedError, TooLargeError
from gateway.grpc_port.backlog import Backlog, Backlogs, Reply
from gateway.protocols.codec import Headers
from groundwork.errors import DriftgateError

MARK: Final = b"x-driftgate-stream"
"""The metadata that name a call; a client's own count for nothing, for ours come last."""
SMALL_MESSAGE: Final = 256 << 10
"""Bytes of a message that asks for something, and has no tensors."""
MOST_WAITING: Final = 10_000
"""Calls of one worker whose message is not whole; each costs it some 26 kB besides."""
_CANCEL_SECONDS: Final = 0.1
"""How long gRPC may take to cancel a call that its client has taken back before anybody looked at it."""


class Incoming:
    """The message of one call as far as it is here; `finished` when nothing more of it will come."""

    __slots__ = (
        "_crowded", "_fault", "_most", "_past", "_room", "_share", "_told",
        "ended", "finished", "mark", "reply", "seen", "size",
    )  # fmt: skip

    def __init__(self, room: BodyRoom, mark: bytes, backlog: Backlog) -> None:
        self.mark = mark
        self.reply = Reply(backlog)
        self.seen: Callable[[], None] | None = None
        """Told when somebody looks at the call; None where that has been, or nobody wants to know."""
        self._room = room
        self._share: BodyShare | None = None
        self._fault: DriftgateError | None = None
        self._told: asyncio.Future[None] | None = None
        self._most: int | None = None
        self.ended = False
        self._crowded = False
        self._past: int | None = None
        self.finished = False
        self.size = 0

    def grew(self, more: int, *, crowded: bool) -> None:
        """So many bytes more have come, on a connection that has more than its share of small ones or not."""
        self.size += more
        self._crowded = crowded
        self._look()

    def looked_at(self) -> None:
        """Somebody looks at the call, or it has been answered."""
        tell, self.seen = self.seen, None
        if tell is not None:
            tell()

    def bound(self, most: int | None) -> None:
        """Let it be no longer than `most` bytes, None: as long as there is room."""
        self._most = most
        self._look()

    def inflated(self, size: int) -> None:
        """It is of so many bytes now that all of it is here; OverloadedError where there is no room."""
        self._past = 0
        self._reach(size)

    def answered(self) -> None:
        """Where all of it was here nobody needs it any more: only what comes from now on takes room."""
        if self._past is None:
            return
        self._past = self.size
        if self._share is not None:
            self._share.give_back()

    def end(self) -> None:
        """The call has ended: what comes of it now goes nowhere."""
        self.ended = self.finished = True
        self.reply.over()
        if self._share is not None:
            self._share.give_back()

    async def whole(self, read: Callable[[], Awaitable[Any]], seconds: float) -> Any:
        """What `read` gives, unless the message is refused while it comes, or takes longer than that."""
        if self._fault is not None:
            raise self._fault
        if self.finished:
            return await read()
        reading = asyncio.ensure_future(read())
        # It ends with the call. Were it cancelled, gRPC would not let go of a message that has just come.
        reading.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        self._told = asyncio.get_running_loop().create_future()
        await asyncio.wait((reading, self._told), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if self._fault is not None:
            raise self._fault
        if not reading.done():
            raise ExpiredError(f"the message took longer than {seconds:g} seconds to come")
        return reading.result()

    def _look(self) -> None:
        if self._fault is not None:
            return
        try:
            if self._most is not None and self.size > self._most:
                raise TooLargeError(f"the message is longer than the {self._most} bytes that are read here")
            self._reach(self.size - (self._past or 0))
        except DriftgateError as error:
            self._fault = error
            if self._told is not None and not self._told.done():
                self._told.set_result(None)

    def _reach(self, size: int) -> None:
        if self.ended or (size <= self._room.small and not self._crowded):
            return
        if self._share is None:
            self._share = self._room.share()
        self._share.take(size)


class Incomings:
    """Those of one worker, by their marks; owned by its loop."""

    def __init__(self, room: BodyRoom, answers: AnswerRoom, seconds: float, most: int = MOST_WAITING) -> None:
        """A message may take so many `seconds` to come, and so many calls at most may wait for theirs.

        `answers` is the room of those that are not read.
        """
        self.small = room.small
        self.backlogs = Backlogs(answers)
        self._room = room
        self._seconds = seconds
        self._most = most
        self._waiting = 0
        self._by_mark: dict[bytes, Incoming] = {}

    def begin(self, mark: bytes, backlog: Backlog) -> Incoming:
        """A call has come; its answer waits with those of `backlog`."""
        made = self._by_mark[mark] = Incoming(self._room, mark, backlog)
        return made

    def end(self, mark: bytes) -> None:
        """It is over; harmless when repeated."""
        ended = self._by_mark.pop(mark, None)
        if ended is not None:
            ended.end()

    def answered(self, headers: Headers) -> None:
        """The call with these headers has its answer, which its client may read late or never."""
        incoming = self._find(headers)
        if incoming is not None:
            incoming.answered()

    def made(self, headers: Headers, body: bytes) -> bytes:
        """What the call with these headers is about to be sent, and its client reads late or never."""
        incoming = self._find(headers)
        if incoming is not None:
            incoming.reply.made(len(body))
        return body

    async def read(
        self, context: Any, headers: Headers, most: int | None = SMALL_MESSAGE, seconds: float | None = None
    ) -> bytes:
        """The message of a call, whose `headers` have its mark; of `most` bytes, None: as there is room.

        Raises:
            TooLargeError: it is longer than that.
            OverloadedError: there is no room for it beside other large ones, or too many wait.
            ExpiredError: it took longer than `seconds`, or than a body may.
            MalformedError: there is none, nobody knows whose it is, or its client has taken it back.
        """
        incoming = self._look_at(headers)
        places = self._most if most is None else (self._most + 1) // 2
        if self._waiting >= places and (incoming is None or not incoming.finished):
            raise OverloadedError(f"{places} calls have not sent their messages; try again in a moment")
        self._waiting += 1
        try:
            if incoming is None:
                await asyncio.sleep(_CANCEL_SECONDS)
                raise MalformedError("the last of the call's headers is shorter than it says")
            incoming.bound(most)
            message = await incoming.whole(context.read, self._seconds if seconds is None else seconds)
        finally:
            self._waiting -= 1
        if message is aio.EOF:
            raise MalformedError("the call has no message")
        incoming.inflated(len(message))
        if incoming.reply.backlog.waits:
            await incoming.reply.backlog.turn()
        return bytes(message)

    def _look_at(self, headers: Headers) -> Incoming | None:
        incoming = self._find(headers)
        if incoming is not None:
            incoming.looked_at()
            if incoming.ended:
                self.end(incoming.mark)
                raise MalformedError("the call was taken back")
        return incoming

    def _find(self, headers: Headers) -> Incoming | None:
        return self._by_mark.get(headers.get(MARK, b"").rpartition(b", ")[2])
