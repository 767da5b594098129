"""One attempt to carry an event to a receiver: signed, with its trace context, and a span where wanted.

Refuses to know: why it is carried, and what follows from the answer.
"""

import asyncio
import importlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import msgspec

from groundwork import decoders
from groundwork.clock import Clock
from groundwork.logs import Log
from groundwork.tracing import Tracer, Value, parent_of
from monitor.retries import Response
from monitor.settings import Webhook
from monitor.signing import SigningKeys, sign
from monitor.traces import span_id, trace_id, trace_of, traceparent

if TYPE_CHECKING:
    import httpx

    from monitor.posting import Poster

_NS: Final = 1_000_000_000
_AGENT: Final = "driftgate/0 (+webhooks)"
_REFUSED: Final = 300
_THREADS: Final = 128
"""Far more than posts go on at once: of one that is given up while its receiver's name is looked up, the
thread stays until a name server has been waited for. asyncio has six on two processors.
"""


def widen(loop: asyncio.AbstractEventLoop) -> None:
    """Give the loop threads enough for every name that is looked up, and for whoever else wants one."""
    loop.set_default_executor(ThreadPoolExecutor(_THREADS, "waiting"))


class Courier:
    """Carries to the endpoints that are configured; used on one event loop."""

    def __init__(
        self,
        webhooks: Sequence[Webhook],
        clock: Clock,
        log: Log,
        *,
        transport: "httpx.AsyncBaseTransport | None" = None,
        tracer: Tracer | None = None,
    ) -> None:
        # Looked up at the start too: a secret that cannot be had is an error before anything is promised.
        self._keys = SigningKeys(webhooks, log)
        self._clock = clock
        self._transport = transport
        self._tracer = tracer
        self._poster: Poster | None = None

    async def close(self) -> None:
        """Give back connections to receivers."""
        if self._poster is not None:
            await self._poster.close()

    async def carry(self, webhook: Webhook, identifier: str, body: bytes, *, attempt: int) -> Response:
        """What the receiver said of these bytes."""
        context = _context(body, identifier, webhook.endpoint, attempt)
        if self._tracer is None:
            return await self._sent(webhook, identifier, body, attempt, context)
        span = self._tracer.begin("webhook", "client", self._clock.now(), parent_of(context))
        response = await self._sent(webhook, identifier, body, attempt, span.traceparent)
        told: dict[str, Value] = {
            "driftgate.endpoint": webhook.endpoint,
            "driftgate.event": identifier,
            "driftgate.attempt": attempt,
        }
        error = "" if response.status < _REFUSED and response.status else response.said
        span.end(self._clock.now(), {**told, "http.response.status_code": response.status}, error)
        return response

    async def _sent(
        self, webhook: Webhook, identifier: str, body: bytes, attempt: int, context: str
    ) -> Response:
        keys = await asyncio.to_thread(self._keys.of, webhook)
        timestamp = self._clock.now() // _NS
        headers = {
            "accept-encoding": "identity",
            "content-type": webhook.content_type,
            "user-agent": _AGENT,
            "traceparent": context,
            "webhook-id": identifier,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(keys, identifier, timestamp, body),
            "x-attempt": str(attempt),
        }
        poster = self._poster or await self._open()
        return await poster.post(webhook.url, body, headers)

    async def _open(self) -> "Poster":
        """The connections, made for the first attempt."""
        posting = await asyncio.to_thread(importlib.import_module, "monitor.posting")
        if self._poster is None:  # else another attempt was quicker
            self._poster = posting.Poster(self._transport)
        return self._poster


class _Traced(msgspec.Struct, frozen=True):
    """What is read of an event that is about to be sent."""

    traceparent: str = ""


def _context(body: bytes, identifier: str, endpoint: str, attempt: int) -> str:
    """The trace context of one attempt: the event's trace, a span of the attempt's own."""
    trace = trace_of(decoders.json_of(_Traced).decode(body).traceparent) or trace_id(identifier)
    return traceparent(trace, span_id(identifier, endpoint, attempt))
