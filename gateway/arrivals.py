"""The connections of one port of one worker, from the shared listening socket on: bounded, greeted, counted.

A connection counts from the moment it is taken until whoever holds it says that it has gone. One that fails
while it is greeted (its TLS handshake does) is counted as refused; a stranger fills no log.

Refuses to know: what is spoken on a connection.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Coroutine
from typing import Any

from gateway.acceptor import Acceptor
from groundwork.connection import Count
from groundwork.logs import Log


class Arrivals:
    """Who came on one listening socket and is still there; owned by the worker's loop."""

    def __init__(
        self,
        listener: socket.socket,
        greet: Callable[[socket.socket], Coroutine[Any, Any, object]],
        log: Log,
        *,
        most: int,
        turn_away: Callable[[socket.socket], None],
        refused: Count,
        crowded: Callable[[], bool],
        changed: Callable[[int], None],
    ) -> None:
        """`greet` couples a new connection with its protocol; whom it took is let go by `part`, once each.

        `turn_away` gets those beyond `most`, and closes them. `crowded` says that another worker should take
        the next connection; `changed` is told the number of open connections whenever it changes; `refused`
        the reason for each one that is refused.
        """
        self._greet = greet
        self._log = log
        self._most = most
        self._turn_away = turn_away
        self._refused = refused
        self._changed = changed
        self._arriving: set[asyncio.Task[object]] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._acceptor = Acceptor(listener, self._attach, crowded, log)
        self.held = 0
        """How many connections are open or about to be."""

    def open(self) -> None:
        """Begin to take connections."""
        self._acceptor.open()

    def close(self) -> None:
        """Take no more; those that are open live on."""
        self._acceptor.close()

    def part(self) -> None:
        """One connection has gone."""
        self._count(-1)

    async def until_empty(self, seconds: float) -> None:
        """Until no connection is left, but not longer."""
        try:
            async with asyncio.timeout(seconds):
                await self._empty.wait()
        except TimeoutError:
            self._log.debug("connections-open", count=self.held, after_s=seconds)

    def _attach(self, connection: socket.socket) -> None:
        if self.held >= self._most:
            self._refused("too-many-connections")
            self._turn_away(connection)
            return
        task = asyncio.get_running_loop().create_task(self._greet(connection))
        self._arriving.add(task)
        self._count(1)
        task.add_done_callback(self._arrived)

    def _arrived(self, task: asyncio.Task[object]) -> None:
        self._arriving.discard(task)
        fault = "cancelled" if task.cancelled() else task.exception()
        if fault is None:
            return
        self.part()
        if isinstance(fault, ssl.SSLError | ConnectionError | TimeoutError):
            self._refused("no-tls")  # a stranger without TLS or without a certificate fills no log
        else:
            self._log.warning("connection-lost", fault=fault)

    def _count(self, change: int) -> None:
        self.held += change
        if self.held:
            self._empty.clear()
        else:
            self._empty.set()
        self._changed(self.held)
