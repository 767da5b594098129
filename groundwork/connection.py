"""One HTTP connection that a client cannot use to hurt: uvicorn's protocol with bounds on bytes and on time.

    more header bytes, or a longer URL, than may be     431, 414
    headers or a body that do not come in time          408 (nothing, where not one byte has come)
    bytes that are no HTTP, or that belong to no body   400
    no Host, two of them, or one that is none           400
    a request for an upgrade, which is not offered      what it would be answered without asking for one
    a connection more than a worker may hold            503
    requests sent ahead by the hundred, unread answers  the end of the connection

Rules: what has been refused is closed; each refusal is counted by its reason, a bounded word. Time is looked
at from outside, once a second over all connections: a timer per request would cost every request. So a limit
of time may be exceeded by a second.

Refuses to know: what requests mean.
"""

import asyncio
import math
from collections.abc import Callable
from typing import Any, Final

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from groundwork import authority, heads
from groundwork.ports import LimitSettings
from groundwork.turned_away import REFUSALS

MOST_AHEAD: Final = 128
"""Requests that a client may send ahead on one connection before it has read the answers."""
DRAINED_BYTES: Final = 128 << 20
"""How much of a body that nobody wants is read before the connection is closed instead.

Many clients send all of a body before they read a word: closed on, they would never see why it was refused.
"""
LINGER_BYTES: Final = 16 << 20
LINGER_SECONDS: Final = 1.0
"""How much, and how long, is read and forgotten of a client that was refused, so that it sees its answer."""
# Before a path that begins with two slashes: uvicorn would take its first segment for a host and the rest for
# the path, which is not the one that whoever guards paths before us has seen.
_ORIGIN: Final = b"http://host"

Count = Callable[[str], None]


# Where a connection is in what it receives. Plain numbers: an enumeration's members cost a request 0.5 µs.
FRESH_PHASE: Final = 0
HEAD_PHASE: Final = 1
BODY_PHASE: Final = 2
WHOLE_PHASE: Final = 3
REFUSED_PHASE: Final = 4


class BoundedConnection(HttpToolsProtocol):
    """uvicorn's protocol within `limits`; owned by the loop."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        limits: LimitSettings,
        count: Count,
    ) -> None:
        """As uvicorn makes it, plus `limits` and where a refusal is counted."""
        super().__init__(config, server_state, app_state, _loop)
        self.timeout_keep_alive = math.ceil(limits.idle)
        self._limits = limits
        self._header_bytes = limits.header_bytes
        self._url_bytes = limits.url_bytes
        self._now = self.loop.time
        self._count = count
        self._phase = FRESH_PHASE
        self._since = 0.0
        self._chunk = 0
        self._head = 0
        self._strange = 0
        self._drained = 0
        self._host = b""
        """The last one that was looked at, and is one."""
        self._last = False
        """Whether the connection ends with this request, once its body is here."""
        self._farewell = b""
        """What is still to be said, once the requests before it have been answered."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take it, or turn it away when there are too many."""
        super().connection_made(transport)
        self._since = self._now()
        if len(self.connections) > self._limits.connections:
            self.refuse("too-many-connections")

    def data_received(self, data: bytes) -> None:
        """Read, and look whether what came is within bounds."""
        if self._phase == REFUSED_PHASE:
            self._discard(data)
            return
        self._chunk = len(data)
        if self._phase == HEAD_PHASE:
            self._head += len(data)
        elif self._phase == BODY_PHASE:
            self._strange += len(data)  # what turns out to be body is taken off again
        self._feed(data)
        if self._phase == HEAD_PHASE and self._head > self._header_bytes:
            self.refuse("large-headers")
        elif self._phase == BODY_PHASE and self._strange > self._header_bytes:
            self.refuse("not-http")

    def on_message_begin(self) -> None:
        """A request's first byte."""
        if self._phase == REFUSED_PHASE:
            return
        super().on_message_begin()
        self._phase = HEAD_PHASE
        self._since = self._now()
        self._head = self._chunk
        if len(self.pipeline) >= MOST_AHEAD:
            self.refuse("too-far-ahead")

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; the parser leaves white space behind its value, which is no part of it.

        What comes behind a body in chunks is none (RFC 9110 6.5.1): whoever guards headers before us has not
        seen it, and whether it were here in time would be chance.
        """
        if self._phase == HEAD_PHASE:
            super().on_header(name, value.rstrip(b" \t"))

    def on_headers_complete(self) -> None:
        """The headers are whole; the application begins, unless they are too large."""
        if self._phase == REFUSED_PHASE or heads.asks_upgrade(self.parser):
            return
        if len(self.url) > self._url_bytes:
            self.refuse("long-url")
        elif self._head > self._header_bytes and heads.size(self.url, self.headers) > self._header_bytes:
            self.refuse("large-headers")
        elif fault := self._fault():
            self.refuse(fault)
        else:
            self._phase = BODY_PHASE
            self._strange = self._drained = 0
            if self.url.startswith(b"//"):
                self.url = _ORIGIN + self.url
            super().on_headers_complete()
            if self.parser.should_upgrade():  # CONNECT: what follows is meant for a tunnel
                self.cycle.keep_alive = False
            # Closing after an answer that came before the body did would reset the connection, and take the
            # answer away; who waits to be asked for the body sends none.
            self._last = not self.cycle.keep_alive and not self.expect_100_continue
            if self._last:
                self.cycle.keep_alive = True

    def on_body(self, body: bytes) -> None:
        """A part of the body; one that nobody wants any more is not read for ever."""
        if self._phase != BODY_PHASE:
            return
        self._strange = 0
        if self.cycle.response_complete:
            self._drained += len(body)
            if self._drained > DRAINED_BYTES:
                self.refuse("unwanted-body")
                return
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        if self._phase != BODY_PHASE:
            return
        self._phase = WHOLE_PHASE
        super().on_message_complete()
        if self._last or not self.parser.should_keep_alive():  # behind the body, too, it may say close
            self._last = self.cycle.keep_alive = False
            if self.cycle.response_complete:
                self.transport.close()

    def refuse(self, reason: str) -> None:
        """Part with the client, tell it why, and count; REFUSALS has the reasons.

        Whole requests before the one that is refused are answered first. What the client is still sending is
        read and forgotten for a moment: closing on unread bytes would reset the connection, and take the
        answer away from its reader.
        """
        if self._phase == REFUSED_PHASE:
            return
        in_body, self._phase = self._phase == BODY_PHASE, REFUSED_PHASE
        self._count(reason)
        self._since, self._drained = self._now(), 0
        answer, cycle = REFUSALS[reason], self.cycle
        if cycle is None or cycle.response_complete:  # type: ignore[redundant-expr]  # None at first, whatever uvicorn declares
            self._part(answer)
            return
        queued = bool(self.pipeline) and self.pipeline[0][0] is cycle
        if in_body and queued:
            self.pipeline.popleft()
        if answer and (queued or not in_body):
            self._farewell = answer
            return
        # Whatever the application still answers has nowhere to go.
        cycle.disconnected = True
        cycle.message_event.set()
        self._part(b"" if queued or not in_body or cycle.response_started else answer)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """As uvicorn does, but an answer to a connection that has just failed goes nowhere.

        uvicorn hears of it in the loop's next turn, and would tell of a mistake in the application before.
        """
        transport = self.transport

        async def attended(scope: Any, receive: Any, send: Any) -> None:
            async def send_on(message: Any) -> None:
                if transport.is_closing():
                    cycle.disconnected = True
                await send(message)

            await app(scope, receive, send_on)

        super()._start_asgi_task(cycle, attended)

    def on_response_complete(self) -> None:
        """Go on to the next request, or part where what follows was refused."""
        if self._farewell and not self.pipeline:
            answer, self._farewell = self._farewell, b""
            self._since = self._now()
            self._part(answer)
        else:
            super().on_response_complete()

    def _part(self, answer: bytes) -> None:
        if not answer or self.transport.is_closing():
            self.transport.close()
            return
        self.flow.resume_reading()
        line, _, rest = answer.partition(b"\r\n")
        standing = [b"%b: %b" % header for header in self.server_state.default_headers]
        self.transport.write(b"\r\n".join((line, *standing, rest)))
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def _feed(self, data: bytes) -> None:
        """As uvicorn does, but without a line in the log for whatever a stranger sends."""
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self._phase == HEAD_PHASE and heads.asks_upgrade(self.parser):
                again = heads.without_upgrade(self.parser, self.url, self.headers) + data[upgrade.args[0] :]
                # Another parser: behind a connection's last request this one reads nothing any more.
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's own
                self._feed(again)
        except httptools.HttpParserError:
            self.refuse("not-http")

    def _fault(self) -> str:
        """What is wrong with the request's version or its host; the host that was right is looked at once."""
        version = self.parser.get_http_version()
        hosts = [value for name, value in self.headers if name == b"host"]
        if version == "1.1" and len(hosts) == 1 and hosts[0] == self._host:
            return ""
        fault = authority.fault(version, hosts)
        if hosts and not fault:
            self._host = hosts[0]
        return fault

    def _discard(self, data: bytes) -> None:
        self._drained += len(data)
        if self._drained > LINGER_BYTES:
            self.transport.abort()

    def resume_writing(self) -> None:
        """The client has read on: the time that it has for an answer begins again."""
        super().resume_writing()
        if self._phase == WHOLE_PHASE:
            self._since = self._now()

    def look(self, now: float) -> None:
        """Refuse what has taken too long; `now` in the loop's seconds."""
        waited, limits = now - self._since, self._limits
        if self.transport.is_closing():
            if waited > limits.header_time + limits.body_time + limits.idle:
                self.transport.abort()
        elif self._phase == REFUSED_PHASE:
            self._look_at_parting(waited)
        elif self._phase == FRESH_PHASE and waited > limits.header_time:
            self.refuse("silent")
        elif self._phase == HEAD_PHASE and waited > limits.header_time:
            self.refuse("slow-headers")
        elif self._phase == BODY_PHASE and waited > limits.header_time + limits.body_time:
            self.refuse("slow-body")
        elif self._phase == WHOLE_PHASE and waited > limits.idle + limits.body_time:
            self._look_at_answer()

    def _look_at_parting(self, waited: float) -> None:
        if not self._farewell and waited > LINGER_SECONDS:
            self.transport.close()
        elif waited > self._limits.idle + self._limits.body_time and self.transport.get_write_buffer_size():
            self.transport.abort()  # answers come before the farewell, and nobody reads them

    def _look_at_answer(self) -> None:
        if self.transport.get_write_buffer_size():
            self.refuse("unread-answer")
            self.transport.abort()
