"""One listening port of one worker: an ASGI application behind uvicorn's HTTP protocol.

uvicorn supplies the parsing, the keep-alive and the flow control of a connection; its server is not used,
because the sockets belong to the supervisor, the connections must be shared out fairly, and the order of a
stop is ours: stop accepting, answer what still comes with `Connection: close`, wait for what is in flight,
then cut what is left.
"""

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import Any, Final

from uvicorn.server import ServerState

from gateway.arrivals import Arrivals
from gateway.responses import Header
from groundwork.connection import BoundedConnection, Count
from groundwork.http_config import config_of
from groundwork.logs import Log
from groundwork.ports import LimitSettings, Tls
from groundwork.sweep import Sweep
from groundwork.turned_away import REFUSALS

LIMITS: Final = LimitSettings()


class PortState(ServerState):
    """What the connections of one port share: uvicorn's own state, and ours."""

    def __init__(self, parted: Callable[[], None], now: Callable[[], float]) -> None:
        """Call `parted` whenever a connection has gone; `now` is in Unix seconds."""
        super().__init__()
        self.parted = parted
        self.closing = False
        self._now = now
        self.tell_time()

    def tell_time(self) -> None:
        """Date answers by this second from now on (RFC 9110, section 6.6.1)."""
        self.date: Header = (b"date", formatdate(self._now(), usegmt=True).encode())
        self.default_headers = [self.date]


class Connection(BoundedConnection):
    """One bounded connection, which also tells its port that it has gone."""

    server_state: PortState

    def connection_lost(self, exc: Exception | None) -> None:
        """Count the connection out."""
        super().connection_lost(exc)
        self.server_state.parted()

    def on_headers_complete(self) -> None:
        """Begin a request; one that comes while the port closes is answered and then parted with."""
        super().on_headers_complete()
        if self.server_state.closing:
            self.finish()

    def finish(self) -> None:
        """Let the request in flight, if there is one, be the connection's last."""
        # uvicorn declares the cycle as always there, and sets it to None before the first request.
        if self.cycle is not None and not self.cycle.response_complete:  # type: ignore[redundant-expr]
            self.cycle.keep_alive = False


class Port:
    """One listening port of this worker; owned by the worker's loop."""

    def __init__(  # noqa: PLR0913  the parts of a port, each its own
        self,
        app: Callable[..., Any],
        listener: socket.socket,
        log: Log,
        *,
        crowded: Callable[[], bool] = lambda: False,
        changed: Callable[[int], None] = lambda _count: None,
        limits: LimitSettings = LIMITS,
        tls: Tls | None = None,
        refused: Count = lambda _reason: None,
        connect: Callable[..., Connection] = Connection,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Serve `app` on `listener`, over what `connect` makes of its connections.

        `crowded` says that another worker should take the next connection; `changed` is told the number of
        open connections whenever it changes; `refused` the reason for each connection that is refused.
        Plain HTTP without `tls`. Answers are dated by `now`, in Unix seconds.
        """
        self._limits = limits
        self._tls = tls
        self._refused = refused
        self._connect = connect
        self._config = config_of(app, Connection, date_header=False)
        self._arrivals = Arrivals(
            listener,
            self._greet,
            log,
            most=limits.connections,
            turn_away=self._turn_away,
            refused=refused,
            crowded=crowded,
            changed=changed,
        )
        self._state = PortState(self._arrivals.part, now)
        self._sweep = Sweep(self._state.connections, self._state.tell_time)

    @property
    def connections(self) -> int:
        """How many connections are open or about to be."""
        return self._arrivals.held

    def open(self) -> None:
        """Begin to take connections."""
        self._sweep.begin()
        self._arrivals.open()

    def stop_accepting(self) -> None:
        """Take no more connections; those that are open live on."""
        self._arrivals.close()

    async def close(self, *, linger: float, limit: float) -> int:
        """Part with every connection; return how many had to be cut in the middle of a request.

        Answers say `Connection: close` from now on. For `linger` seconds a keep-alive client may still send
        a request; then idle connections are closed; what is in flight has `limit` seconds.
        """
        self.stop_accepting()
        self._state.closing = True
        for connection in self._open:
            connection.finish()
        await self._arrivals.until_empty(linger)
        for connection in self._open:
            connection.shutdown()
        await self._arrivals.until_empty(limit)
        self._sweep.end()
        left = self._open
        for connection in left:
            connection.transport.abort()
        for task in list(self._state.tasks):
            task.cancel()
        return len(left)

    @property
    def _open(self) -> list[Connection]:
        return [one for one in self._state.connections if isinstance(one, Connection)]

    async def _greet(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        context = None if self._tls is None else self._tls.context
        timeout = None if context is None else self._limits.header_time
        await loop.connect_accepted_socket(
            self._protocol, connection, ssl=context, ssl_handshake_timeout=timeout
        )

    def _turn_away(self, connection: socket.socket) -> None:
        """Say that there are too many, where it can be said at once."""
        with contextlib.closing(connection), contextlib.suppress(OSError):
            if self._tls is None or self._tls.context is None:
                connection.send(REFUSALS["too-many-connections"])
                connection.shutdown(socket.SHUT_WR)

    def _protocol(self) -> Connection:
        return self._connect(
            config=self._config,
            server_state=self._state,
            app_state={},
            limits=self._limits,
            count=self._refused,
        )
