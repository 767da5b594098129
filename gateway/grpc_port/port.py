"""The gRPC port of one worker: gRPC's own server, our limits, TLS, and the order of its stop.

gRPC listens for itself: every worker listens on the address that the supervisor has reserved, and the kernel
shares connections out by their addresses. So what waits in the queue of a worker that dies is lost with it;
clients of gRPC connect again by themselves.

Stop: health says NOT_SERVING as soon as readiness falls; then clients are asked to go elsewhere, what is in
flight is finished, and what is left is cut. What gRPC has read and not yet given us when its stop begins, and
what comes before a client has heard of it, ends CANCELLED and is run by nobody: so a stop waits for a lull.
"""

import asyncio
import contextlib
from pathlib import Path
from typing import Any, Final

import grpc
import msgspec
from grpc import aio

from gateway.grpc_port import schema
from gateway.grpc_port.certificates import credentials
from gateway.grpc_port.health import Health
from gateway.grpc_port.methods import METHODS
from gateway.grpc_port.rpc import Calls
from gateway.pages.page import Premises
from gateway.settings import GatewaySettings
from groundwork.errors import DriftgateError
from groundwork.gate import Gate
from groundwork.logs import Log
from groundwork.ports import is_loopback

_HERE: Final = Path(__file__).parent
_MOST_STREAMS: Final = 10_000
"""Calls at once on one connection. A client queues more by itself, but what it sends before it has heard of
the limit fails: so none that a client comes near."""
_MOST_PENDING: Final = 2 * _MOST_STREAMS
"""Calls that gRPC has read and not given us yet: it gives one by one, so that a burst waits here. From half
of it on gRPC cancels some, without a word, where the core would say why."""
_KEEPALIVE: Final = 60_000
_FASTEST_PINGS: Final = 500
"""Milliseconds. Who pings faster is parted with: less than anybody sets a client to."""
_MILLISECONDS: Final = 1000
_LULL: Final = 0.002
_LONGEST_WAIT: Final = 0.5
"""Seconds: a stop begins when no call has begun for the one, or after the other."""


class GrpcPortError(DriftgateError):
    """An address that gRPC cannot listen on."""

    code = "cannot-listen-grpc"


class GrpcPort:
    """The port of one worker; owned by its loop."""

    def __init__(self, address: str, premises: Premises, gate: Gate | None, log: Log) -> None:
        """Nothing is listened on before `open`; `address` is "host:port", reserved by the supervisor.

        SettingsError when its certificate cannot be used.
        """
        settings = premises.core.settings
        local = is_loopback(settings.grpc.host)
        keyed = premises.keyed
        premises = msgspec.structs.replace(premises, commands=lambda: local or keyed())
        inference, health = (schema.read(_HERE / name) for name in ("inference.proto", "health.proto"))
        self._address = address
        self._calls = Calls(premises, gate, inference, log)
        self._health = Health(premises.core, health, frozenset((inference.service, health.service)))
        self._server = aio.server(options=options(settings))
        self._server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler(inference.service, self._inference()),
                grpc.method_handlers_generic_handler(
                    health.service,
                    {
                        "Check": grpc.unary_unary_rpc_method_handler(self._health.check),
                        "List": grpc.unary_unary_rpc_method_handler(self._health.listing),
                        "Watch": grpc.unary_stream_rpc_method_handler(self._health.watch),
                    },
                ),
            )
        )
        self._credentials = credentials(settings.grpc.tls, log)

    async def open(self) -> None:
        """Listen; GrpcPortError where that cannot be."""
        try:
            if self._credentials is None:
                self._server.add_insecure_port(self._address)
            else:
                self._server.add_secure_port(self._address, self._credentials)
        except RuntimeError as error:
            raise GrpcPortError(
                f"gRPC cannot listen on {self._address}: {' '.join(str(error).split())}"
            ) from None
        await self._server.start()

    async def close(self, limit: float) -> None:
        """Part with every client; what is in flight has `limit` seconds."""
        self._health.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LONGEST_WAIT):
                await self._lull()
        await self._server.stop(limit)

    async def _lull(self) -> None:
        """Until no call has begun for a moment."""
        begun = -1
        while begun != self._calls.begun:
            begun = self._calls.begun
            await asyncio.sleep(_LULL)

    def _inference(self) -> dict[str, Any]:
        calls = self._calls
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(calls.handler(name, calls.schema.methods[name], rpc))
            for name, rpc in METHODS.items()
        }
        return {
            **handlers,
            "ModelInfer": grpc.unary_unary_rpc_method_handler(calls.infer),
            "ModelStreamInfer": grpc.stream_stream_rpc_method_handler(calls.stream),
        }


def options(settings: GatewaySettings) -> list[tuple[str, int]]:
    """The settings in the words of gRPC's core; sizes are bytes, times milliseconds."""
    limits = settings.limits
    return [
        ("grpc.so_reuseport", 1),
        ("grpc.max_receive_message_length", settings.requests.max_body_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_metadata_size", limits.header_bytes),
        ("grpc.absolute_max_metadata_size", limits.header_bytes),
        ("grpc.max_concurrent_streams", _MOST_STREAMS),
        ("grpc.server.max_pending_requests", _MOST_PENDING // 2),
        ("grpc.server.max_pending_requests_hard_limit", _MOST_PENDING),
        ("grpc.max_allowed_incoming_connections", limits.connections),
        ("grpc.server_handshake_timeout_ms", int(limits.header_time * _MILLISECONDS)),
        ("grpc.max_connection_idle_ms", int(limits.idle * _MILLISECONDS)),
        ("grpc.keepalive_time_ms", _KEEPALIVE),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", _FASTEST_PINGS),
    ]
