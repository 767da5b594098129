"""Spans on their way."""

import builtins
import http.server
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from groundwork.errors import SettingsError
from groundwork.tracing import Parent, TraceSettings, open_tracer, parent_of

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Collector(http.server.ThreadingHTTPServer):
    """An OTLP receiver that keeps what it got."""

    def __init__(self) -> None:
        self.got: list[tuple[str, bytes]] = []
        super().__init__(("127.0.0.1", 0), _Post)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Post(http.server.BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        """Keep it and answer 200."""
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.got.append((self.path, body))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class's name
        """Say nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    """One on loopback."""
    made = Collector()
    yield made
    made.shutdown()
    made.server_close()


def test_spans_arrive_at_a_collector(collector: Collector) -> None:
    """By OTLP over HTTP: name, parent, times, attributes and the service's name, when the tracer closes."""
    endpoint = f"http://127.0.0.1:{collector.server_address[1]}/v1/traces"
    tracer = open_tracer(TraceSettings(endpoint=endpoint), "gateway")
    assert tracer is not None
    span = tracer.begin("infer", "server", 1_000, parent_of(f"00-{TRACE}-{SPAN}-01"))
    span.part("run", 1_100, 1_200)
    span.end(2_000, {"driftgate.model": "m"}, error="status 500")
    tracer.close()
    ((path, body),) = collector.got
    (resource,) = ExportTraceServiceRequest.FromString(body).resource_spans
    run, whole = resource.scope_spans[0].spans
    assert path == "/v1/traces"
    assert (whole.name, whole.trace_id.hex(), whole.parent_span_id.hex()) == ("infer", TRACE, SPAN)
    assert (whole.start_time_unix_nano, whole.end_time_unix_nano) == (1_000, 2_000)
    assert (run.name, run.parent_span_id) == ("run", whole.span_id)
    assert span.traceparent == f"00-{TRACE}-{whole.span_id.hex()}-01"
    every = (*whole.attributes, *resource.resource.attributes)
    told = {found.key: found.value.string_value for found in every}
    assert (told["driftgate.model"], told["service.name"]) == ("m", "driftgate-gateway")
    assert whole.status.message == "status 500"


def test_nothing_is_loaded_where_nobody_asks() -> None:
    """An empty endpoint is no tracer."""
    assert open_tracer(TraceSettings(), "gateway") is None


def test_without_the_extra_the_setting_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what to install."""
    load = builtins.__import__

    def refuse(name: str, *arguments: Any, **named: Any) -> Any:
        if name.startswith("opentelemetry"):
            raise ImportError(name)
        return load(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(SettingsError, match=r"pip install 'driftgate\[otel\]'"):
        open_tracer(TraceSettings(endpoint="http://127.0.0.1:4318/v1/traces"), "gateway")


@pytest.mark.parametrize(
    "header",
    ["", "00", f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE.upper()}-{SPAN}-01"],
)
def test_what_is_no_context_is_none(header: str) -> None:
    """Zeros, capitals and anything of another length are not of the W3C's form."""
    assert parent_of(header) is None


def test_a_context_says_trace_span_and_whether_it_is_sampled() -> None:
    """The last bit of the flags is the decision."""
    assert parent_of(f"00-{TRACE}-{SPAN}-00") == Parent(int(TRACE, 16), int(SPAN, 16), sampled=False)
    assert parent_of(f"00-{TRACE}-{SPAN}-03") == Parent(int(TRACE, 16), int(SPAN, 16), sampled=True)
