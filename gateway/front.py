"""The ports of one worker: HTTP and gRPC for those who predict, one more for operators.

The listening sockets are the supervisor's, inherited by the descriptors of an Order; what answers behind them
is made elsewhere. Clients of both data ports are parted with at once, so that neither waits for the other;
operators come last, for they may want to see how it ends.
"""

import asyncio
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from gateway.access import AccessControl
from gateway.catalogue import Catalogue
from gateway.console import Console
from gateway.core import Core
from gateway.endpoints import DataPort, Exposition
from gateway.fast import connections
from gateway.operator import Supervised, build_operator
from gateway.order import Order
from gateway.port import Connection, Port
from gateway.presence import Presence
from gateway.repository import Repository
from gateway.seat import Seat
from groundwork.gate import Guarded, api_scope
from groundwork.logs import Log

if TYPE_CHECKING:
    from gateway.grpc_port.port import GrpcPort

_OPERATOR_SECONDS: Final = 1.0
"""What an operator's request in flight still has when the worker ends."""


class Behind(msgspec.Struct, frozen=True):
    """What answers behind the ports; `exposition` renders /metrics, in a thread."""

    core: Core
    console: Console
    catalogue: Catalogue
    repository: Repository
    exposition: Exposition
    supervisor: Supervised


class Front:
    """The ports of one worker; owned by its loop. `slot` is its private folder."""

    def __init__(
        self,
        told: Order,
        behind: Behind,
        access: AccessControl,
        seat: Seat,
        presence: Presence,
        *,
        slot: Path,
        log: Log,
    ) -> None:
        self._access = access
        self._seat = seat
        self._presence = presence
        self._log = log
        data = DataPort(
            behind.core,
            behind.exposition,
            log,
            access.gate("http"),
            slots_folder=slot.parent,
            repository=behind.repository,
        )
        self._http = self._http_port(told, data)
        self._grpc = None if told.grpc_fd is None else self._grpc_port(told.grpc_fd, slot, data)
        self._operator = self._operator_port(told.operator_fd, behind)

    async def open(self) -> None:
        """Begin to answer."""
        self._http.open()
        if self._grpc is not None:
            await self._grpc.open()
        self._operator.open()

    async def close(self, *, linger: float, limit: float) -> int:
        """Part with everybody; how many connections of HTTP were cut. Seconds, as `Port.close` has them."""
        closing = None
        if self._grpc is not None:
            closing = asyncio.create_task(self._grpc.close(linger=linger, limit=limit))
        cut = await self._http.close(linger=linger, limit=limit)
        if closing is not None:
            await closing
        await self._operator.close(linger=0.0, limit=_OPERATOR_SECONDS)
        return cut

    def _http_port(self, told: Order, app: DataPort) -> Port:
        fast = told.settings.requests.fast
        return Port(
            app,
            socket.socket(fileno=told.http_fd),
            self._log,
            crowded=lambda: self._seat.holds_more(self._http.connections),
            changed=self._hold,
            limits=self._access.limits,
            tls=self._access.tls["http"],
            refused=self._access.refused("http"),
            connect=connections(app, self._log) if fast else Connection,
        )

    def _grpc_port(self, listener: int, slot: Path, data: DataPort) -> "GrpcPort":
        # A stranger's bytes must not fill the log; gRPC's core reads this when it is loaded.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        from gateway.grpc_port.port import GrpcPort  # noqa: PLC0415  an extra, and 16 MB of memory

        return GrpcPort(
            socket.socket(fileno=listener),
            slot,
            data.premises,
            self._access.gate("grpc"),
            self._log,
            room=data.room,
            tls=self._access.tls["grpc"],
            refused=self._access.refused("grpc"),
            crowded=lambda: self._grpc is not None and self._seat.called_more(self._grpc.connections),
            changed=self._seat.call,
        )

    def _operator_port(self, listener: int, behind: Behind) -> Port:
        app = build_operator(behind.console, behind.catalogue, behind.exposition, behind.supervisor)
        return Port(
            Guarded(app, self._access.gate("operator"), api_scope),
            socket.socket(fileno=listener),
            self._log,
            limits=self._access.limits,
            tls=self._access.tls["operator"],
            refused=self._access.refused("operator"),
        )

    def _hold(self, connections: int) -> None:
        self._seat.hold(connections)
        self._presence.connections(connections)
