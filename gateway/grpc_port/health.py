"""grpc.health.v1: whether the port, or one model, should be sent requests.

    ""  inference.GRPCInferenceService     as readiness: SERVING until a stop begins
    a model's name                         SERVING where it answers, NOT_SERVING where it cannot now

Nobody is asked for a key, as for readiness by HTTP; so a list names the services, and no model. A watch looks
again every LOOK_SECONDS; it ends with the port, so that it holds no stop up.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError

from gateway.core import Core
from gateway.errors import MalformedError
from gateway.grpc_port.incoming import Incomings
from gateway.grpc_port.rpc import aborted, headers_of
from gateway.grpc_port.schema import Schema
from gateway.protocols.codec import Headers
from groundwork.errors import DriftgateError

LOOK_SECONDS: Final = 0.1
MOST_WATCHES: Final = 256
"""Of one worker; each costs it ten looks a second."""
_SERVING: Final = 1
_NOT_SERVING: Final = 2
_SERVICE_UNKNOWN: Final = 3


class Health:
    """Answers health checks; owned by one worker's loop."""

    def __init__(self, core: Core, schema: Schema, services: frozenset[str], incomings: Incomings) -> None:
        """`services` are those of the port, by their full names; messages are those of `incomings`."""
        self._core = core
        self._incomings = incomings
        self._schema = schema
        self._services = services | {""}
        self._closing = asyncio.Event()
        self._watches = 0

    async def check(self, _messages: Any, context: Any) -> bytes:
        """How it is now; NOT_FOUND for what is no service and no model."""
        headers = headers_of(context)
        service = await self._service(headers, context)
        status = self._status(service)
        if status == _SERVICE_UNKNOWN:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"there is no service {service[:100]!r} here")
        return self._incomings.made(headers, self._message(status))

    async def listing(self, _messages: Any, context: Any) -> bytes:
        """Every service of the port and how it is now."""
        headers = headers_of(context)
        await self._message_of(headers, context)
        answer = self._schema.messages["HealthListResponse"]()
        for service in self._services:
            answer.statuses[service].status = self._status(service)
        return self._incomings.made(headers, bytes(answer.SerializeToString()))

    async def watch(self, _messages: Any, context: Any) -> AsyncIterator[bytes]:
        """How it is now, and again whenever that changes; what is unknown may come to be known."""
        headers = headers_of(context)
        service = await self._service(headers, context)
        if self._watches >= MOST_WATCHES:
            await context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED, f"this worker has {MOST_WATCHES} watches; use Check"
            )
        self._watches += 1
        try:
            told = 0
            while True:
                status = self._status(service)
                if status != told:
                    told = status
                    yield self._incomings.made(headers, self._message(status))
                if self._closing.is_set():
                    return
                await self._pause()
        finally:
            self._watches -= 1

    def close(self) -> None:
        """Let every watch say its last word."""
        self._closing.set()

    def _status(self, service: str) -> int:
        core = self._core
        if service in self._services or service in core.lanes.served:
            return _SERVING if core.ready else _NOT_SERVING
        return _NOT_SERVING if service in core.lanes.routed else _SERVICE_UNKNOWN

    async def _service(self, headers: Headers, context: Any) -> str:
        body = await self._message_of(headers, context)
        try:
            return str(self._schema.messages["HealthCheckRequest"].FromString(body).service)
        except DecodeError:
            await aborted(context, MalformedError("these bytes are no HealthCheckRequest"))
            raise

    async def _message_of(self, headers: Headers, context: Any) -> bytes:
        try:
            return await self._incomings.read(context, headers)
        except DriftgateError as error:
            return await aborted(context, error)
        finally:
            self._incomings.answered(headers)

    def _message(self, status: int) -> bytes:
        return bytes(self._schema.messages["HealthCheckResponse"](status=status).SerializeToString())

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                await self._closing.wait()
        except TimeoutError:
            return
