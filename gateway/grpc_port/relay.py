"""Clients of gRPC, taken as those of every port are, and relayed to gRPC's own server in the same process.

gRPC's server cannot inherit a listening socket, and it cannot say goodbye and serve on: when its stop begins,
what it has read and not handed over, and what comes before a client has heard of it, ends CANCELLED. So the
server listens where only this process comes (a socket in the slot's folder), and we stand between:

1. connections come from the supervisor's socket, shared out fairly, bounded, TLS ended by our own rules;
2. bytes pass unread, but for the heads of frames: we know where one ends, which call begins and ends, and how
   much of its message has come (`gateway.grpc_port.incoming`);
3. no client's burst stands before everybody else's calls (`gateway.grpc_port.turns`);
4. who is to leave is told so there (GOAWAY, RFC 9113 6.8: no new calls, all that were sent are answered)
   while the server serves on. It is stopped when nobody is left, or after a bound: clients that heed GOAWAY
   lose no call.

Refuses to know: what the bytes mean.
"""

import asyncio
import contextlib
import errno
import os
import secrets
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

from gateway.arrivals import Arrivals
from gateway.grpc_port.incoming import Incomings
from gateway.grpc_port.link import Link
from gateway.grpc_port.turns import Turns
from groundwork.connection import Count
from groundwork.logs import Log
from groundwork.ports import LimitSettings, Tls
from groundwork.sweep import Sweep

NAME: Final = "grpc"
"""The file in the worker's own folder on which gRPC's server listens."""


class Relay:
    """Every client of the port of one worker; owned by its loop."""

    def __init__(  # noqa: PLR0913  the parts of a port, each its own
        self,
        listener: socket.socket,
        folder: Path,
        log: Log,
        incomings: Incomings,
        *,
        limits: LimitSettings,
        tls: Tls | None,
        refused: Count,
        crowded: Callable[[], bool],
        changed: Callable[[int], None],
    ) -> None:
        """Take clients from `listener`; gRPC's server is to listen at `inside`, in the private `folder`.

        Messages are counted by `incomings`. The rest is as `gateway.arrivals.Arrivals`.
        """
        self._incomings = incomings
        self._limits = limits
        self._tls = tls
        self._refused = refused
        self._links: set[Link] = set()
        self._turns = Turns()
        self._sweep = Sweep(self._links)
        self._parting = False
        # A path of any depth, in the few bytes that the address of a socket has.
        self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        self._path = f"/proc/self/fd/{self._folder}/{NAME}"
        self._name = f"driftgate/{os.getpid()}-{secrets.token_hex(4)}"
        self._made = 0
        self._arrivals = Arrivals(
            listener,
            self._greet,
            log,
            most=limits.connections,
            turn_away=socket.socket.close,
            refused=refused,
            crowded=crowded,
            changed=changed,
        )

    @property
    def inside(self) -> str:
        """Where gRPC's server is to listen, as gRPC writes it."""
        return f"unix:{self._path}"

    @property
    def connections(self) -> int:
        """How many clients are there or about to be."""
        return self._arrivals.held

    def open(self) -> None:
        """Begin to take clients."""
        self._arrivals.open()
        self._sweep.begin()

    async def part(self, linger: float) -> None:
        """Take nobody more and ask all to leave; returns when they have, or after `linger` seconds."""
        self._arrivals.close()
        self._parting = True
        for link in self._links:
            link.leave()
        await self._arrivals.until_empty(linger)

    def close(self) -> None:
        """End who is left; harmless when repeated."""
        self._arrivals.close()
        self._sweep.end()
        for link in tuple(self._links):
            link.cut()
        if self._folder >= 0:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(NAME, dir_fd=self._folder)
            os.close(self._folder)
            self._folder = -1

    async def _greet(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        link = Link(self._come, self._lose, self._incomings, self._turns, self._limits, self._refused)
        context = None if self._tls is None else self._tls.context
        timeout = None if context is None else self._limits.header_time
        with contextlib.ExitStack() as undo:
            undo.callback(connection.close)
            await loop.create_unix_connection(lambda: link.inner, sock=self._inward(connection))
            undo.callback(link.server.abort)
            await loop.connect_accepted_socket(
                lambda: link.outer, connection, ssl=context, ssl_handshake_timeout=timeout
            )
            undo.pop_all()

    def _inward(self, client: socket.socket) -> socket.socket:
        """A connection to gRPC's server, which sees the client's address at the end of our own name."""
        self._made += 1
        made = socket.socket(socket.AF_UNIX)
        try:
            made.settimeout(0)
            made.bind(f"\0{self._name}-{self._made}/{client.getpeername()[0]}".encode())
            made.connect(self._path)
        except BlockingIOError as error:
            made.close()
            raise ConnectionAbortedError("gRPC's server takes no more connections now") from error
        except OSError as error:
            made.close()
            if error.errno == errno.ENOTCONN:
                raise ConnectionResetError("the client has gone already") from error
            raise
        return made

    def _come(self, link: Link) -> None:
        self._links.add(link)
        if self._parting:
            link.leave()

    def _lose(self, link: Link) -> None:
        self._links.discard(link)
        self._arrivals.part()


def address_of(peer: str) -> str:
    """The client's address, of what gRPC calls the peer of a relayed call."""
    return peer.rpartition("/")[2]
