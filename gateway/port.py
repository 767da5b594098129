"""One listening port of one worker: an ASGI application behind uvicorn's HTTP protocol.

uvicorn supplies the parsing, the keep-alive and the flow control of a connection; its server is not used,
because the sockets belong to the supervisor, the connections must be shared out fairly, and the order of a
stop is ours: stop accepting, answer what still comes with `Connection: close`, wait for what is in flight,
then cut what is left.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Final

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from gateway.acceptor import Acceptor
from groundwork.logs import Log

KEEP_ALIVE_SECONDS: Final = 75
NOT_HTTP: Final = b'{"error":"the bytes sent are not an HTTP/1.1 request"}'
NOT_HTTP_ANSWER: Final = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%s" % (len(NOT_HTTP), NOT_HTTP)
)


class PortState(ServerState):
    """What the connections of one port share: uvicorn's own state, and ours."""

    def __init__(self, parted: Callable[[], None]) -> None:
        """Call `parted` whenever a connection has gone."""
        super().__init__()
        self.parted = parted
        self.closing = False


class Connection(HttpToolsProtocol):
    """uvicorn's protocol for one connection, which also tells its port that it has gone."""

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

    def send_400_response(self, msg: str) -> None:
        """Refuse bytes that are no HTTP in the one error shape this product has; `msg` is uvicorn's."""
        del msg
        self.transport.write(NOT_HTTP_ANSWER)
        self.transport.close()


class Port:
    """One listening port of this worker; owned by the worker's loop."""

    def __init__(
        self,
        app: Callable[..., Any],
        listener: socket.socket,
        log: Log,
        *,
        crowded: Callable[[], bool] = lambda: False,
        changed: Callable[[int], None] = lambda _count: None,
    ) -> None:
        """Serve `app` on `listener`.

        `crowded` says that another worker should take the next connection; `changed` is told the number of
        open connections whenever it changes.
        """
        self._config = Config(
            app,
            interface="asgi3",
            http=Connection,
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
        self._config.load()
        self._state = PortState(self._part)
        self._changed = changed
        self._log = log
        self._arriving: set[asyncio.Task[None]] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._held = 0
        self._acceptor = Acceptor(listener, self._attach, crowded, log)

    @property
    def connections(self) -> int:
        """How many connections are open or about to be."""
        return self._held

    def open(self) -> None:
        """Begin to take connections."""
        self._acceptor.open()

    def stop_accepting(self) -> None:
        """Take no more connections; those that are open live on."""
        self._acceptor.close()

    async def close(self, *, linger: float, limit: float) -> int:
        """Part with every connection; return how many had to be cut in the middle of a request.

        Answers say `Connection: close` from now on. For `linger` seconds a keep-alive client may still send
        a request; then idle connections are closed; what is in flight has `limit` seconds.
        """
        self.stop_accepting()
        self._state.closing = True
        for connection in self._open:
            connection.finish()
        await self._until_empty(linger)
        for connection in self._open:
            connection.shutdown()
        await self._until_empty(limit)
        left = self._open
        for connection in left:
            connection.transport.abort()
        for task in list(self._state.tasks):
            task.cancel()
        return len(left)

    @property
    def _open(self) -> list[Connection]:
        return [one for one in self._state.connections if isinstance(one, Connection)]

    async def _until_empty(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._empty.wait()
        except TimeoutError:
            self._log.debug("connections-open", count=self.connections, after_s=seconds)

    def _attach(self, connection: socket.socket) -> None:
        task = asyncio.get_running_loop().create_task(self._greet(connection))
        self._arriving.add(task)
        self._count(1)
        task.add_done_callback(self._arrived)

    async def _greet(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(self._protocol, connection)

    def _arrived(self, task: asyncio.Task[None]) -> None:
        self._arriving.discard(task)
        fault = "cancelled" if task.cancelled() else task.exception()
        if fault is not None:
            self._part()
            self._log.warning("connection-lost", fault=fault)

    def _protocol(self) -> Connection:
        return Connection(config=self._config, server_state=self._state, app_state={})

    def _part(self) -> None:
        self._count(-1)

    def _count(self, change: int) -> None:
        self._held += change
        if self._held:
            self._empty.clear()
        else:
            self._empty.set()
        self._changed(self._held)
