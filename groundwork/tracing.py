"""Spans for OpenTelemetry, where somebody asked for them: made here, sent by a thread of the library.

Rules: without `traces.endpoint` nothing of OpenTelemetry is loaded and `open_tracer` gives None; whoever has
None does nothing. A `traceparent` says itself whether it is sampled; what comes without one is drawn by the
ratio. Ending a span puts it into a bounded queue (2048); what finds no room, or no collector, is dropped.

Refuses to know: what a span is about.
"""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec

from groundwork.errors import SettingsError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor

Kind = Literal["server", "client"]
Value = str | int | float | bool

_CONTEXT: Final = re.compile(r"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")
_SEND_SECONDS: Final = 5.0
_FLUSH_MILLISECONDS: Final = 2000


class TraceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Spans of requests and webhooks, by the extra `otel`."""

    endpoint: Annotated[
        str,
        msgspec.Meta(
            pattern=r"^(https?://\S+)?$",
            description="where spans are sent by OTLP over HTTP, such as http://127.0.0.1:4318/v1/traces; "
            "empty: there are none. Headers come from OTEL_EXPORTER_OTLP_HEADERS",
        ),
    ] = ""
    ratio: Annotated[
        float,
        msgspec.Meta(
            ge=0,
            le=1,
            description="share of the requests without a `traceparent` that become spans; with one, its "
            "sampled flag decides",
        ),
    ] = 0.01


class Parent(msgspec.Struct, frozen=True):
    """A `traceparent` that somebody sent."""

    trace: int
    span: int
    sampled: bool


def parent_of(header: str) -> Parent | None:
    """What a `traceparent` header says; None for one that is not of the W3C's form."""
    found = _CONTEXT.fullmatch(header)
    if found is None:
        return None
    return Parent(int(found[1], 16), int(found[2], 16), bool(int(found[3], 16) & 1))


class OpenSpan:
    """One span that has begun; times are unix ns."""

    def __init__(self, tracer: Any, span: Any) -> None:
        self._tracer = tracer
        self._span = span

    @property
    def traceparent(self) -> str:
        """The header by which another program continues here."""
        context = self._span.get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-01"

    def part(self, name: str, start: int, end: int) -> None:
        """A span inside this one."""
        from opentelemetry.trace import set_span_in_context  # noqa: PLC0415  an extra

        inside = self._tracer.start_span(name, set_span_in_context(self._span), start_time=start)
        inside.end(end)

    def end(self, at: int, attributes: Mapping[str, Value], error: str = "") -> None:
        """It is over; `error` says why it failed."""
        from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415  an extra

        self._span.set_attributes(attributes)
        if error:
            self._span.set_status(Status(StatusCode.ERROR, error))
        self._span.end(at)


class Tracer:
    """Makes spans; from any thread."""

    def __init__(self, processor: "SpanProcessor", program: str, ratio: float = 1.0) -> None:
        """Give ended spans to `processor`, as those of this program; `ratio` is for whoever draws."""
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415  an extra
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415  an extra
        from opentelemetry.sdk.trace.sampling import ALWAYS_ON  # noqa: PLC0415  an extra

        self.ratio = ratio
        resource = Resource.create({"service.name": f"driftgate-{program}"})
        self._provider = TracerProvider(sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("driftgate")

    def begin(self, name: str, kind: Kind, start: int, parent: Parent | None = None) -> OpenSpan:
        """A span that began at `start` (unix ns), inside `parent` where there is one."""
        from opentelemetry import trace  # noqa: PLC0415  an extra

        context = None
        if parent is not None:
            flags = trace.TraceFlags(trace.TraceFlags.SAMPLED)
            told = trace.SpanContext(parent.trace, parent.span, is_remote=True, trace_flags=flags)
            context = trace.set_span_in_context(trace.NonRecordingSpan(told))
        kinds = {"server": trace.SpanKind.SERVER, "client": trace.SpanKind.CLIENT}
        return OpenSpan(
            self._tracer, self._tracer.start_span(name, context, kind=kinds[kind], start_time=start)
        )

    def close(self) -> None:
        """Send what is left, for at most some seconds; blocks."""
        self._provider.force_flush(_FLUSH_MILLISECONDS)
        self._provider.shutdown()


def open_tracer(settings: TraceSettings, program: str) -> Tracer | None:
    """The tracer of a program, None where nobody asked for one; SettingsError without the extra."""
    if not settings.endpoint:
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415  an extra
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415  an extra
    except ImportError as error:
        raise SettingsError(
            "traces.endpoint is set and wants OpenTelemetry; install it: pip install 'driftgate[otel]'"
        ) from error
    exporter = OTLPSpanExporter(endpoint=settings.endpoint, timeout=_SEND_SECONDS)
    return Tracer(BatchSpanProcessor(exporter), program, settings.ratio)
