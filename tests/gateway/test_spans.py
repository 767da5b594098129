"""Spans of requests."""

from typing import Any

import msgspec
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from gateway.call import Call
from gateway.core import Core
from gateway.durable import DurableCore
from gateway.protocols.open_inference import CODEC
from gateway.responses import Response
from gateway.settings import GatewaySettings
from gateway.spans import Spanned, core_of
from groundwork.tracing import Tracer
from tests.gateway.worlds import World, request

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SENT = f"00-{TRACE}-00f067aa0ba902b7"


class Bench:
    """A world's table behind a core with spans, which are kept."""

    def __init__(self, here: World, *, ratio: float = 0.0, durable: bool = False) -> None:
        self.kept = InMemorySpanExporter()
        make = core_of(Tracer(SimpleSpanProcessor(self.kept), "gateway", ratio), durable=durable)
        counters, settings = here.slot.counters, GatewaySettings()
        self.core = make(
            here.core.lanes, here.journal, counters, settings, here.clock, on_demand=here.fleet.load
        )

    async def infer(self, document: Any, *, model: str = "m", context: str = "") -> Response:
        """Answer one request."""
        headers = {b"traceparent": context.encode()} if context else {}
        answer = self.core.begin(Call(CODEC, model, None, headers, msgspec.json.encode(document)))
        return answer if isinstance(answer, Response) else await answer

    def spans(self) -> dict[str, ReadableSpan]:
        """The spans that have ended, by name."""
        return {span.name: span for span in self.kept.get_finished_spans()}

    async def close(self) -> None:
        """Let the threads go."""
        await self.core.close()


@pytest.mark.parametrize("durable", [False, True])
async def test_a_request_is_a_span_with_its_stages_inside(here: World, durable: bool) -> None:  # noqa: FBT001
    """It continues the client's trace, says who answered, and ends with the answer."""
    bench = Bench(here, durable=durable)
    answer = await bench.infer(request(), context=f"{SENT}-01")
    spans = bench.spans()
    assert {*spans} == {"infer", "decode", "run", "encode"}
    whole = spans["infer"]
    assert whole.context is not None
    assert whole.parent is not None
    assert f"{whole.context.trace_id:032x}" == TRACE
    assert f"{whole.parent.span_id:016x}" == SENT[36:]
    assert whole.kind.name == "SERVER"
    inside = [span.parent for name, span in spans.items() if name != "infer"]
    assert {parent.span_id for parent in inside if parent is not None} == {whole.context.span_id}
    identity = dict(answer.headers)[b"x-prediction-id"].decode()
    assert dict(whole.attributes or {}) == {
        "driftgate.model": "m",
        "driftgate.version": "1",
        "driftgate.arm": "stable",
        "driftgate.rows": 1,
        "driftgate.prediction_id": identity,
        "http.response.status_code": 200,
    }
    await bench.close()


@pytest.mark.parametrize(
    ("context", "ratio", "wanted"),
    [(f"{SENT}-01", 0.0, 1), (f"{SENT}-00", 1.0, 0), ("", 0.0, 0), ("", 1.0, 1), ("nonsense", 1.0, 1)],
)
async def test_the_client_decides_and_else_the_ratio(
    here: World, context: str, ratio: float, wanted: int
) -> None:
    """A context's own flag stands above the ratio; what is no context counts as none."""
    bench = Bench(here, ratio=ratio)
    await bench.infer(request(), context=context)
    assert [span.name for span in bench.kept.get_finished_spans()].count("infer") == wanted
    await bench.close()


async def test_a_refusal_is_a_span_too_and_nothing_is_kept(here: World) -> None:
    """It has a status and no stages; what the core remembers of a request goes with its answer."""
    bench = Bench(here, ratio=1.0)
    answer = await bench.infer(request(), model="nobody")
    (span,) = bench.kept.get_finished_spans()
    assert (span.attributes or {})["http.response.status_code"] == answer.status == 404
    assert isinstance(bench.core, Spanned)
    assert bench.core._seen == {}
    await bench.close()


async def test_a_model_that_sleeps_is_woken_within_one_span(here: World) -> None:
    """A request that wakes its model is one span, its load included."""
    bench = Bench(here, ratio=1.0)
    here.sleep(bench.core)
    answer = await bench.infer(request())
    assert (answer.status, bench.spans().keys() >= {"infer", "run"}) == (200, True)
    assert [span.name for span in bench.kept.get_finished_spans()].count("infer") == 1
    await bench.close()


def test_nobody_pays_who_did_not_ask() -> None:
    """Without a tracer the cores are the plain ones."""
    assert core_of(None, durable=False) is Core
    assert core_of(None, durable=True) is DurableCore
