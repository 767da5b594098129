"""The short way of a prediction: answered between two callbacks of the HTTP parser, around ASGI.

A connection of this kind answers a POST on a protocol's path as soon as its last byte is there: no scope, no
task, no messages, one write. What is not plain goes through the ASGI application as on any other
connection, byte for byte with the same answer:

    a body without a length, above `Shortcut.most_body`, compressed, or waited for with 100-continue
    HTTP/1.0, `Connection: close`, an upgrade, a query, a URL that is not a plain path
    while an earlier answer is pending, the client reads too slowly, or the port is closing
    everything that is no prediction, or that is refused

Rules:

1. The gate is asked, the core answers and faults are told by the same functions as through ASGI.
2. A core that needs longer is answered for by a cycle of uvicorn's (`gateway.late`).
3. A head that was seen before is not parsed again: where the bytes up to the empty line are the same, so is
   what they mean. Only heads that the parser has read whole, of requests that went this way, are remembered.
4. Idle connections are ended by the sweep that looks at all of them, not by a timer per answer.
5. uvicorn's insides are no promise. `insides.mismatch` compares those that are touched here with what this
   was written against; where they differ, every request goes through ASGI and the log says so once.
"""

import asyncio
import functools
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import uvicorn
from uvicorn.config import Config
from uvicorn.server import ServerState

from gateway import insides
from gateway.asgi import headers_of
from gateway.away import Away
from gateway.digits import MOST_DIGITS
from gateway.endpoints import DataPort
from gateway.late import LateConnection
from gateway.paths import Target
from gateway.port import Connection, PortState
from gateway.responses import Response
from gateway.shortcut import Known, Shortcut, meaning_of, wire
from groundwork import heads
from groundwork.authority import is_host
from groundwork.connection import BODY_PHASE, FRESH_PHASE, HEAD_PHASE, WHOLE_PHASE, Count
from groundwork.logs import Log
from groundwork.ports import LimitSettings

MOST_IN_A_TURN: Final = 16
"""Answers to one read; what a client has sent ahead beyond them is queued, so that others get their turn."""
MOST_HEAD_BYTES: Final = 2048
_END: Final = b"\r\n\r\n"
_UNUSUAL: Final = frozenset({b"expect", b"transfer-encoding", b"content-encoding", b"upgrade"})
_BETWEEN: Final = (FRESH_PHASE, WHOLE_PHASE)


class FastConnection(LateConnection):
    """One connection that answers plain predictions itself; owned by the loop."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        limits: LimitSettings,
        count: Count,
        shortcut: Shortcut,
    ) -> None:
        """As any connection, plus what it shares with the others of its port."""
        super().__init__(config, server_state, app_state, _loop, limits=limits, count=count)
        self._port = shortcut.port
        self._shortcut = shortcut
        self._known = shortcut.heads.get
        self._recent: Known | None = None
        self._predict = shortcut.port.predict
        self._target: Target | None = None
        self._parts: list[bytes] = []
        self._turn = 0
        self._read = b""

    def data_received(self, data: bytes) -> None:
        """Answer at once where this is one whole request with a head seen before; else let it be parsed."""
        self._turn = 0
        if self._phase in _BETWEEN:
            known = self._recent
            if known is None or not data.startswith(known.head):
                known = self._recent = self._known(data[: data.find(_END) + len(_END)])
            if known is not None and len(data) == known.size and self._is_free():
                self._phase = WHOLE_PHASE
                whole: Any = memoryview(data) if known.views else data
                self._answer(known, whole[len(known.head) :])
                return
            self._read = data
        super().data_received(data)
        self._read = b""

    def on_headers_complete(self) -> None:
        """Take the short way where the request is plain."""
        limit = self._header_bytes
        if self._phase == HEAD_PHASE and (self._head <= limit or heads.size(self.url, self.headers) <= limit):
            self._target = self._plain()
            if self._target is not None:
                self._phase = BODY_PHASE
                self._strange = self._drained = 0
                return
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body, whose length is known to be small."""
        if self._target is None:
            super().on_body(body)
        elif self._phase == BODY_PHASE:
            self._strange = 0
            self._parts.append(body)

    def on_message_complete(self) -> None:
        """Answer, and remember what the head was."""
        target = self._target
        if target is None:
            super().on_message_complete()
            return
        self._target = None
        body, self._parts = b"".join(self._parts), []
        if self._phase != BODY_PHASE:
            return
        self._phase = WHOLE_PHASE
        head = self._lone_head(len(body))
        path = unquote_to_bytes(self.url).decode("utf-8", "replace")
        meaning = meaning_of(head, path, target, headers_of(self.headers), len(body))
        if head:
            self._shortcut.remember(meaning)
        self._answer(meaning, body)

    def finish(self) -> None:
        """A request whose body is still coming is handed to ASGI, which knows how to end a connection."""
        self._demote()
        super().finish()

    def shutdown(self) -> None:
        """As `finish`; without a request in flight the connection ends."""
        self._demote()
        super().shutdown()

    def look(self, now: float) -> None:
        """Refuse what has taken too long, and part with who has been silent too long after an answer."""
        timed = self._phase == WHOLE_PHASE and self.timeout_keep_alive_task is None and self._is_idle()
        if timed and now - self._since > self.timeout_keep_alive:
            self.timeout_keep_alive_handler()
        super().look(now)

    def _is_idle(self) -> bool:
        # uvicorn declares the cycle as always there, and sets it to None before the first request.
        return self.cycle is None or self.cycle.response_complete  # type: ignore[redundant-expr]

    def _is_free(self) -> bool:
        """Whether an answer may be written now: none is pending before it, and there is room for it."""
        state: PortState = self.server_state
        return (
            (self.cycle is None or self.cycle.response_complete)  # type: ignore[redundant-expr]
            and not self.pipeline
            and not self.flow.write_paused
            and not state.closing
            and not self.transport.is_closing()
        )

    def _plain(self) -> Target | None:
        """Where the request leads, if it is one for the short way."""
        url, parser = self.url, self.parser
        if parser.get_method() != b"POST" or self.expect_100_continue or not url.isascii():
            return None
        if b"?" in url or b"#" in url or len(url) > self._url_bytes:
            return None
        target = self._shortcut.port.quick(url)
        if target is None or parser.should_upgrade() or not parser.should_keep_alive():
            return None
        if parser.get_http_version() != "1.1" or self._turn >= MOST_IN_A_TURN or not self._is_free():
            return None
        length = self._announced()
        if not length.isdigit() or len(length) > MOST_DIGITS or int(length) > self._shortcut.most_body:
            return None
        return target

    def _announced(self) -> bytes:
        """The length of a body that comes as it is, for the one host that is named; else nothing."""
        length, host, hosts = b"", b"", 0
        for name, value in self.headers:
            if name == b"content-length":
                length = value
            elif name == b"host":
                host, hosts = value, hosts + 1
            elif name in _UNUSUAL:
                return b""
        if hosts != 1 or (host != self._host and not is_host(host)):
            return b""
        self._host = host
        return length

    def _lone_head(self, length: int) -> bytes:
        """The head of a request that came whole, and alone, in one read; of others nothing."""
        data = self._read
        end = data.find(_END, 0, MOST_HEAD_BYTES) + len(_END)
        return data[:end] if data[:5] == b"POST " and len(data) == end + length else b""

    def _demote(self) -> None:
        """Go on through ASGI with a request whose headers, and perhaps part of its body, are here."""
        if self._target is None:
            return
        self._target = None
        parts, self._parts = self._parts, []
        self._phase = HEAD_PHASE
        super().on_headers_complete()
        for part in parts:
            super().on_body(part)

    def _answer(self, known: Known, body: bytes) -> None:
        self._turn += 1
        asked = {"client": self.client, "method": "POST", "path": known.path}
        answer = self._predict(known.target, known.headers, body, asked)
        if isinstance(answer, Response):
            if self.timeout_keep_alive_task is not None:
                self._unset_keepalive_if_required()
            self._since = self._now()
            self.transport.write(wire(answer, self.server_state.date))
        elif isinstance(answer, Away):
            self.let_run(answer, known.target, asked)
        else:
            self.send_when_there(answer)


def connections(port: DataPort, log: Log) -> Callable[..., Connection]:
    """What makes the connections of a data port: fast ones where uvicorn is as expected, else plain ones."""
    wrong = insides.mismatch(port)
    if wrong is not None:
        log.warning("fast-path-off", uvicorn=uvicorn.__version__, differs=wrong)
        return Connection
    return functools.partial(FastConnection, shortcut=Shortcut(port))
