"""One client of gRPC coupled with gRPC's server: what the one sends goes to the other, in turn and in time.

Nothing more is read of a client while gRPC takes no more of it, while a call of its waits for its turn
(`gateway.grpc_port.turns`), or while it has sent more frames than the loop looks at in one turn; no further
call, while it reads nothing of what it is sent.

A client without a call for as long as a connection may be idle is told to leave, which no call is lost by,
and is ended only where it does not: gRPC's own server would end it at once, with a word of an internal error.
One that reads nothing of an answer, or is in the midst of a call's headers, for as long as a client of HTTP
may is ended too.
"""

import asyncio
from collections.abc import Callable
from typing import Final, cast

from gateway.grpc_port.frames import GOAWAY, UNREAD, Frames
from gateway.grpc_port.inbound import Inbound
from gateway.grpc_port.incoming import Incomings
from gateway.grpc_port.turns import HELD_SECONDS, Turn, Turns
from groundwork.connection import Count
from groundwork.ports import LimitSettings

_FLUSH_SECONDS: Final = 10.0
"""How long a client may take to read what was left for it when gRPC has ended its connection."""
_LEAVING_SECONDS: Final = 10.0
"""How long an idle client may stay when it was told to leave."""


class _Client(asyncio.Protocol):
    """The client's side of one connection."""

    def __init__(self, link: "Link") -> None:
        self._link = link

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._link.greeted(cast("asyncio.Transport", transport))

    def data_received(self, data: bytes) -> None:
        self._link.hear(data)

    def pause_writing(self) -> None:
        self._link.inbound.backlog.choked = True
        if not self._link.server.is_closing():
            self._link.server.pause_reading()

    def resume_writing(self) -> None:
        self._link.unchoked()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._link.lost()


class _Server(asyncio.Protocol):
    """The side of gRPC's server."""

    def __init__(self, link: "Link") -> None:
        self._link = link

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._link.server = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._link.answer(data)

    def pause_writing(self) -> None:
        self._link.crammed = True
        self._link.flow()

    def resume_writing(self) -> None:
        self._link.crammed = False
        self._link.flow()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._link.ended()


class Link:
    """One client coupled with gRPC's server; owned by the loop.

    `came` is called when the client's handshake is over, `gone` when it has gone: both or neither.
    """

    server: asyncio.Transport

    def __init__(
        self,
        came: Callable[["Link"], None],
        gone: Callable[["Link"], None],
        incomings: Incomings,
        turns: Turns,
        limits: LimitSettings,
        refused: Count,
    ) -> None:
        """`limits` say how long it may ask nothing, or read nothing; `refused` is told why it was ended."""
        self.outer, self.inner = _Client(self), _Server(self)
        """What the client's connection calls, and the server's."""
        self.inbound = Inbound(incomings, Turn(turns, self._go_on))
        self.client: asyncio.Transport | None = None
        self.crammed = False
        """Whether gRPC takes no more for now."""
        self._came = came
        self._gone = gone
        self._limits = limits
        self._refused = refused
        self._loop = asyncio.get_running_loop()
        self._since = self._loop.time()
        self._asked = (0, self._since)
        """The call whose headers were under way at the last look, and since when."""
        self._last = 0
        self._told = False
        self._soon = False
        self._patience: asyncio.TimerHandle | None = None
        self._frames = Frames(self.inbound.over, self.inbound.passed)
        self._early = b""
        """What gRPC has sent before the client's handshake was over: its settings, a few bytes."""
        self._leaving = False

    def greeted(self, client: asyncio.Transport) -> None:
        """The client is there."""
        self.client = client
        self._came(self)
        self._write(self._early)
        self._early = b""
        if self.server.is_closing():
            self.ended()

    def hear(self, data: bytes) -> None:
        """What the client sends."""
        if not self.server.is_closing():
            self.server.writelines(self.inbound.take(data))
            self.flow()

    def flow(self) -> None:
        """Read on, or stop reading, as those behind us take it."""
        client, waits = self.client, self.inbound.waits
        if client is None or client.is_closing():
            return
        if self.inbound.again and not self._soon:
            self._soon = True
            self._loop.call_soon(self._next)
        elif waits and self._patience is None:
            self._patience = self._loop.call_later(HELD_SECONDS, self._forget)
        if waits or self.crammed:
            client.pause_reading()
        else:
            client.resume_reading()

    def unchoked(self) -> None:
        """The client reads again."""
        self.inbound.backlog.unchoke()
        if not self.server.is_closing():
            self.server.resume_reading()
            self._go_on()

    def answer(self, data: bytes) -> None:
        """What gRPC sends."""
        at, first = self._frames.take(data), not self.inbound.greeted
        if self._leaving:
            data = self._with_goodbye(data, -1 if first else at)
        self._write(data)
        if first:
            self.inbound.greeted = True
            self._go_on()

    def leave(self) -> None:
        """Tell the client to begin nothing more here, as soon as what is being written is whole."""
        if self._frames.between and self.inbound.greeted:
            self._write(GOAWAY)
        else:
            self._leaving = True

    def ended(self) -> None:
        """GRPC's server has ended the connection: let the client read what is left, for a while."""
        client = self.client
        if client is not None and not client.is_closing():
            client.close()
            self._loop.call_later(_FLUSH_SECONDS, client.abort)

    def lost(self) -> None:
        """The client has gone."""
        self.server.abort()
        if self._patience is not None:
            self._patience.cancel()
        self.inbound.close()
        self._gone(self)

    def look(self, now: float) -> None:
        """Part with who asked or read nothing, or said half, for too long; `now` in the loop's seconds."""
        if self.server.is_closing():
            return
        if self.inbound.backlog.stalled(now, self._limits.idle + self._limits.body_time):
            self._refused("unread-answer")
            if self._frames.between:
                self._write(UNREAD)
            self.server.abort()
        elif self._is_slow(now):
            self._refused("slow-headers")
            self.cut()
        elif self.inbound.calls or self.inbound.last != self._last:
            self._last, self._since, self._told = self.inbound.last, now, False
        elif now - self._since > self._limits.idle + _LEAVING_SECONDS:
            self.cut()
        elif now - self._since > self._limits.idle and not self._told:
            self._told = True
            self.leave()

    def _is_slow(self, now: float) -> bool:
        """Whether the headers of a call are under way for too long, though we read on."""
        inbound = self.inbound
        if not inbound.asking or inbound.waits or self.crammed or inbound.last != self._asked[0]:
            self._asked = (inbound.last, now)
        return now - self._asked[1] > self._limits.header_time

    def cut(self) -> None:
        """End it at once."""
        if self.client is not None:
            self.client.abort()
        self.server.abort()

    def _go_on(self) -> None:
        if self.inbound.waits:
            self.hear(b"")

    def _next(self) -> None:
        self._soon = False
        self._go_on()

    def _forget(self) -> None:
        self._patience = None
        self.inbound.forget()
        self.flow()

    def _with_goodbye(self, data: bytes, at: int) -> bytes:
        """`data` with the goodbye where a frame ends, if one does; never first, where the settings stand."""
        if at < 0:
            if not self._frames.between:
                return data
            at = len(data)
        self._leaving = False
        return data[:at] + GOAWAY + data[at:]

    def _write(self, data: bytes) -> None:
        if self.client is None:
            self._early += data
        elif data and not self.client.is_closing():
            self.client.write(data)
