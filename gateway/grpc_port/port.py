"""The gRPC port of one worker: gRPC's own server behind our relay, our limits, and the order of its stop.

Stop: nobody is taken any more; clients are told to go elsewhere while the server serves on; when they have
gone, or after `linger`, the server ends what is left: calls in flight have `limit` seconds. Health says
NOT_SERVING as soon as readiness falls.
"""

import logging
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import grpc
import msgspec
from grpc import aio

from gateway.body_room import BodyRoom
from gateway.grpc_port import schema
from gateway.grpc_port.health import Health
from gateway.grpc_port.inbound import MARK_SIZE
from gateway.grpc_port.incoming import Incomings
from gateway.grpc_port.methods import METHODS
from gateway.grpc_port.relay import Relay
from gateway.grpc_port.rpc import Calls
from gateway.pages.page import Premises
from gateway.settings import GatewaySettings
from groundwork.connection import Count
from groundwork.errors import DriftgateError
from groundwork.gate import Gate
from groundwork.logs import Log
from groundwork.ports import Tls, is_loopback

_HERE: Final = Path(__file__).parent
_MOST_STREAMS: Final = 10_000
"""Calls at once on one connection. A client queues more by itself, but what it sends before it has heard of
the limit fails: so none that a client comes near."""
_MOST_PENDING: Final = 2 * _MOST_STREAMS
"""Calls that gRPC has read and not given us yet: it gives one by one, so that a burst waits here. From half
of it on gRPC cancels some, without a word, where the core would say why."""
_AROUND: Final = 16 << 10
"""Bytes of a message for what stands around its tensors: as much of tensors as a body may have is taken."""
_KEEPALIVE: Final = 60_000
_FASTEST_PINGS: Final = 500
"""Milliseconds. Who pings faster is parted with: less than anybody sets a client to."""
_MILLISECONDS: Final = 1000
_STRANGERS: Final = ("Invalid encoding on", "ExecuteBatchError raised in core")
"""How grpcio begins to tell of metadata that are no UTF-8 (all of them, a key that is nearly right too), and,
with a traceback, of an answer whose client left before it had read it."""


class GrpcPortError(DriftgateError):
    """GRPC's server does not start."""

    code = "cannot-listen-grpc"


class GrpcPort:
    """The port of one worker; owned by its loop."""

    def __init__(  # noqa: PLR0913  the parts of a port, each its own
        self,
        listener: socket.socket,
        folder: Path,
        premises: Premises,
        gate: Gate | None,
        log: Log,
        *,
        room: BodyRoom,
        tls: Tls | None = None,
        refused: Count = lambda _reason: None,
        crowded: Callable[[], bool] = lambda: False,
        changed: Callable[[int], None] = lambda _count: None,
    ) -> None:
        """Answer on `listener` from `open` on; `folder` is private to this worker. The rest is `Port`'s.

        Large messages take `room` beside other large bodies, and answers their core's.
        """
        logging.getLogger("grpc._cython.cygrpc").addFilter(_no_stranger_s)
        settings = premises.core.settings
        incomings = Incomings(room, premises.core.answers, settings.limits.body_time)
        local = is_loopback(settings.grpc.host)
        keyed = premises.keyed
        premises = msgspec.structs.replace(premises, commands=lambda: local or keyed())
        inference, health = (schema.read(_HERE / name) for name in ("inference.proto", "health.proto"))
        self._relay = Relay(
            listener,
            folder,
            log,
            incomings,
            limits=settings.limits,
            tls=tls,
            refused=refused,
            crowded=crowded,
            changed=changed,
        )
        self._calls = Calls(premises, gate, inference, log, incomings)
        services = frozenset((inference.service, health.service))
        self._health = Health(premises.core, health, services, incomings)
        self._server = aio.server(options=options(settings))
        self._server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler(inference.service, self._inference()),
                grpc.method_handlers_generic_handler(
                    health.service,
                    {
                        "Check": grpc.stream_unary_rpc_method_handler(self._health.check),
                        "List": grpc.stream_unary_rpc_method_handler(self._health.listing),
                        "Watch": grpc.stream_stream_rpc_method_handler(self._health.watch),
                    },
                ),
            )
        )

    @property
    def connections(self) -> int:
        """How many connections are open or about to be."""
        return self._relay.connections

    async def open(self) -> None:
        """Begin to answer; GrpcPortError where gRPC's server does not start."""
        try:
            # Plain, for nobody else comes there: TLS ends at the relay.
            self._server.add_insecure_port(self._relay.inside)
        except RuntimeError as error:
            raise GrpcPortError(f"gRPC's server does not start: {' '.join(str(error).split())}") from None
        await self._server.start()
        self._relay.open()

    async def close(self, *, linger: float, limit: float) -> None:
        """Part with every client within `linger`; what is in flight then has `limit` seconds."""
        self._health.close()
        await self._relay.part(linger)
        await self._server.stop(limit)
        self._relay.close()

    def _inference(self) -> dict[str, Any]:
        """Every method takes a stream, so that nothing of its message is read before it is called."""
        calls = self._calls
        handlers = {
            name: grpc.stream_unary_rpc_method_handler(calls.handler(name, calls.schema.methods[name], rpc))
            for name, rpc in METHODS.items()
        }
        return {
            **handlers,
            "ModelInfer": grpc.stream_unary_rpc_method_handler(calls.infer),
            "ModelStreamInfer": grpc.stream_stream_rpc_method_handler(calls.stream),
        }


def _no_stranger_s(record: logging.LogRecord) -> bool:
    """Whether it is no stranger who makes grpcio say this: else anybody could fill the log."""
    return not str(record.msg).startswith(_STRANGERS)


def options(settings: GatewaySettings) -> list[tuple[str, int]]:
    """The settings in the words of gRPC's core; sizes are bytes, times milliseconds."""
    limits = settings.limits
    metadata = limits.header_bytes + MARK_SIZE + 1  # gRPC refuses what has as many as it is told
    return [
        ("grpc.max_receive_message_length", settings.requests.max_body_bytes + _AROUND),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_metadata_size", metadata),
        ("grpc.absolute_max_metadata_size", metadata),
        ("grpc.max_concurrent_streams", _MOST_STREAMS),
        ("grpc.server.max_pending_requests", _MOST_PENDING // 2),
        ("grpc.server.max_pending_requests_hard_limit", _MOST_PENDING),
        ("grpc.server_handshake_timeout_ms", int(limits.header_time * _MILLISECONDS)),
        ("grpc.http2.bdp_probe", 0),  # else the window of messages that nobody has read yet grows
        ("grpc.keepalive_time_ms", _KEEPALIVE),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", _FASTEST_PINGS),
    ]
