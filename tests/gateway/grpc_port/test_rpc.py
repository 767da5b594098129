"""One call, from its bytes and metadata to its status."""

import asyncio
from pathlib import Path

import grpc
import numpy as np
import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from gateway.call import Call
from gateway.core import Pending
from gateway.metrics import REFUSALS
from gateway.responses import Response
from gateway.run_settings import RequestSettings, RunSettings
from gateway.settings import GatewaySettings
from gateway.spans import core_of
from groundwork import key_file
from groundwork.keys import INFER, OPERATE, KeyBook, Scope, create
from groundwork.tracing import Tracer
from prediction_log.record import Kind
from tests.gateway.grpc_port.ports import CODES, SERVICE, Served, raw, served, typed
from tests.gateway.worlds import ROW, world
from tests.keys import NOW, bearer, one_key_per_scope
from tests.models import fragile_logistic, identity
from tests.routes import OPEN, strangers

IN_A_THREAD = GatewaySettings(runs=RunSettings(inline=0))
WANTED = {
    "ServerLive": OPEN,
    "ServerReady": OPEN,
    "ModelReady": "infer",
    "ServerMetadata": "infer",
    "ModelMetadata": "infer",
    "ModelConfig": "infer",
    "ModelInfer": "infer",
    "ModelStreamInfer": "infer",
    "ModelStatistics": "read",
    "RepositoryIndex": "read",
    "RepositoryModelLoad": "operate",
    "RepositoryModelUnload": "operate",
}
"""The scope of every method, said a second time: a new one must be thought about here."""
SMALL = GatewaySettings(requests=RequestSettings(max_body_bytes=100_000, inline_body_bytes=10_000))


@pytest.mark.parametrize("message", [raw(), typed()], ids=["raw", "typed"])
async def test_an_answer_is_recorded(there: Served, message: object) -> None:
    """A prediction by gRPC is in the log like any other, under the id that its client was told."""
    answer = await there.client.infer(message, {"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"})
    (frame,) = there.world.frames(Kind.PREDICTION)
    assert frame.array("id").tobytes().hex() == answer.metadata["x-prediction-id"]
    assert frame.array("trace_id").tobytes() == b"\xab" * 16
    assert np.allclose(frame.array("x"), [ROW])


async def test_a_refusal_is_recorded(there: Served) -> None:
    """What was to be predicted and is refused is a reject of the log, and has an id too."""
    for message in (raw(model_name="n"), raw(raw_input_contents=[b""]), b"\xff"):
        answer = await there.client.infer(message)
        assert len(answer.metadata["x-prediction-id"]) == 32
    (frame,) = there.world.frames(Kind.REJECT)
    assert frame.rows == 3
    assert there.world.counted(REFUSALS, code="malformed") == 1


async def test_a_version_is_pinned_by_field_or_metadata(there: Served) -> None:
    """Either names the version that answers; one that is not there is NOT_FOUND."""
    for answer in (
        await there.client.infer(raw(model_version="1")),
        await there.client.infer(raw(), {"x-driftgate-version": "1"}),
    ):
        assert answer.metadata["x-driftgate-arm"] == "pinned"
    for version in ("9", "abc", "-1"):
        assert (await there.client.infer(raw(model_version=version))).code is CODES.NOT_FOUND


async def test_a_model_that_fails_is_internal_in_one_line(there: Served) -> None:
    """A graph that raises is INTERNAL, without a traceback, and names who failed."""
    await there.world.add("f", fragile_logistic())
    answer = await there.client.infer(raw([[np.nan] * 30], model_name="f"))
    assert answer.code is CODES.INTERNAL
    assert "\n" not in answer.sentence
    assert answer.metadata["x-model-version"] == "1"


async def test_a_mistake_of_ours_is_told_to_the_operator(there: Served) -> None:
    """An exception nobody foresaw is INTERNAL in one line; its traceback is in the log."""
    session = there.world.core.lanes.table["m"].stable.session
    good, session.run = session.run, None  # type: ignore[assignment, method-assign]
    answer = await there.client.infer()
    session.run = good  # type: ignore[method-assign]
    assert (answer.code, answer.sentence) == (CODES.INTERNAL, "internal error; see the log")
    assert "Traceback" in "".join(there.world.lines.written)
    assert (await there.client.infer()).code is CODES.OK


async def test_large_messages_are_read_away_from_the_loop(tmp_path: Path) -> None:
    """A message above the inline size is answered all the same, and so is one that is malformed."""
    async with served(tmp_path, SMALL) as there:
        rows = [ROW] * 200
        for message in (raw(rows), typed(rows)):
            answer = await there.client.infer(message)
            assert list(answer.message.outputs[0].shape) == [200]
        assert (await there.client.infer(b"\xff" * 20_000)).code is CODES.INVALID_ARGUMENT


async def test_a_large_answer_to_a_small_message_is_given(tmp_path: Path) -> None:
    """What is read in this process may be too large to be written here; its client does not see it."""
    async with served(tmp_path, SMALL) as there:
        await there.world.add("e", identity([("x", "BYTES", [None])]))
        texts = {"name": "x", "datatype": "BYTES", "shape": [2000]}
        blob = bytes(4 * 2000)
        asked = {"model_name": "e", "id": "7", "inputs": [texts], "raw_input_contents": [blob]}
        answer = await there.client.infer(asked)
        assert answer.code is CODES.OK, answer.sentence
        assert answer.message.id == "7"
        assert list(answer.message.raw_output_contents) == [blob]


async def test_a_message_above_the_limit_is_refused(tmp_path: Path) -> None:
    """Longer than a body may be, as it came or inflated, is RESOURCE_EXHAUSTED; a compressed one is read."""
    async with served(tmp_path, SMALL) as there:
        zip_it = grpc.Compression.Gzip
        assert (await there.client.infer(raw([ROW] * 100), compression=zip_it)).code is CODES.OK
        for compression in (None, zip_it):
            answer = await there.client.infer(raw([ROW] * 1000), compression=compression)
            assert answer.code is CODES.RESOURCE_EXHAUSTED


async def test_the_limit_is_one_of_tensors(tmp_path: Path) -> None:
    """A tensor as long as a body may be is taken, whatever its message needs around it."""
    row = np.array(ROW, "<f4").nbytes
    requests = RequestSettings(max_body_bytes=500 * row, inline_body_bytes=10_000)
    async with served(tmp_path, GatewaySettings(requests=requests)) as there:
        answer = await there.client.infer(raw([ROW] * 500, id="7" * 1000))
        assert answer.code is CODES.OK, answer.sentence


def one_key(*scopes: Scope, rate: float | None = None, most: int | None = None) -> tuple[KeyBook, str]:
    """A book with one key, and its text."""
    key, text = create("one", scopes, NOW, rate=rate, concurrency=most)
    return KeyBook((key,)), text


async def test_a_burst_on_a_fresh_channel_is_answered(there: Served) -> None:
    """More calls at once than gRPC lets a connection have, or lets wait, by itself: none is cancelled."""
    answers = await asyncio.gather(*(there.client.infer() for _ in range(2000)))
    assert {answer.code for answer in answers} == {CODES.OK}


async def test_keys_are_asked_for(tmp_path: Path) -> None:
    """No key and a wrong one are UNAUTHENTICATED, another scope PERMISSION_DENIED; health wants none."""
    book, text = one_key(INFER)
    async with served(tmp_path, None, book) as there:
        client = there.client
        for metadata, code in (
            ({}, CODES.UNAUTHENTICATED),
            ({"authorization": "Bearer dg_00000000_a"}, CODES.UNAUTHENTICATED),
            (bearer(text), CODES.OK),
            ({"x-api-key": text}, CODES.OK),
        ):
            assert (await client.infer(raw(), metadata)).code is code
            assert (await client.ask("ModelMetadata", {"name": "m"}, metadata)).code is code
        assert (await client.ask("ServerReady")).code is CODES.OK
        refused = await client.ask("RepositoryModelUnload", {"model_name": "m"}, bearer(text))
        assert refused.code is CODES.PERMISSION_DENIED
        assert OPERATE in refused.sentence
        assert (await client.ask("ModelStatistics", {}, bearer(text))).code is CODES.PERMISSION_DENIED
        assert "www-authenticate" in (await client.infer()).metadata
        assert there.world.frames(Kind.REJECT) == []
        assert "wrong-scope" in there.denied


async def test_every_method_asks_for_its_key(tmp_path: Path) -> None:
    """Strangers are UNAUTHENTICATED and other scopes PERMISSION_DENIED at every method but the open ones."""
    texts = one_key_per_scope(tmp_path / "keys.yaml")
    async with served(tmp_path, None, key_file.load(tmp_path / "keys.yaml")) as there:
        assert set(WANTED) == set(SERVICE.methods)
        for name, scope in WANTED.items():
            for metadata in strangers(texts):
                code = (await there.client.ask(name, {}, metadata)).code
                assert (code is CODES.UNAUTHENTICATED) == (scope != OPEN), (name, metadata)
            for shown, text in texts.items():
                code = (await there.client.ask(name, {}, bearer(text))).code
                assert (code is CODES.PERMISSION_DENIED) == (scope not in (OPEN, shown)), (name, shown)
                assert code is not CODES.UNAUTHENTICATED


async def test_a_keys_bounds_hold(tmp_path: Path) -> None:
    """A key's rate bounds it, its share of calls under way is given back, and both say when to come again."""
    book, text = one_key(INFER, rate=4.0, most=1)
    async with served(tmp_path, IN_A_THREAD, book) as there:
        answers = [await there.client.infer(raw(), bearer(text)) for _ in range(6)]
        assert [answer.code for answer in answers] == [CODES.OK] * 4 + [CODES.RESOURCE_EXHAUSTED] * 2
        assert answers[-1].metadata["retry-after"] == "1"


async def test_a_stream_gives_its_key_s_share_back(tmp_path: Path) -> None:
    """A stream that was refused is under way no more, so a key with one call at once has its next."""
    book, text = one_key(INFER, most=1)
    metadata = tuple(bearer(text).items())
    async with served(tmp_path, None, book) as there:
        stream = there.client.channel.stream_stream(f"/{SERVICE.service}/ModelStreamInfer")(metadata=metadata)
        await stream.write(b"")
        assert await stream.code() is CODES.UNIMPLEMENTED
        assert (await there.client.infer(raw(), bearer(text))).code is CODES.OK


async def test_of_keys_and_versions_that_differ_none_counts(tmp_path: Path) -> None:
    """Metadata of one name are one value, as headers are: nobody before us can have taken another of two."""
    book, text = one_key(INFER)
    async with served(tmp_path, None, book) as there:
        stub = there.client.channel.unary_unary(f"/{SERVICE.service}/ModelInfer")
        body = SERVICE.messages["ModelInferRequest"](**raw()).SerializeToString()
        shown = ("x-api-key", text)
        for metadata, code in (
            ((("x-api-key", "dg_00000000_a"), shown), CODES.UNAUTHENTICATED),
            ((shown, ("x-driftgate-version", "2"), ("x-driftgate-version", "1")), CODES.NOT_FOUND),
            ((shown,), CODES.OK),
        ):
            assert await stub(body, metadata=metadata).code() is code


async def test_a_client_that_leaves_takes_its_call_back(tmp_path: Path) -> None:
    """Cancelled calls leave nothing behind: others are answered, and the version is let go of."""
    async with served(tmp_path, IN_A_THREAD) as there:
        stub = there.client.channel.unary_unary(f"/{SERVICE.service}/ModelInfer")
        request = SERVICE.messages["ModelInferRequest"]
        calls = [stub(request(**raw()).SerializeToString()) for _ in range(20)]
        await asyncio.sleep(0)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        assert (await there.client.infer()).code is CODES.OK
        await there.world.core.lanes.table["m"].stable.idle()


async def test_a_deadline_reaches_the_core(there: Served) -> None:
    """How long a client waits is known to the core; without a deadline nothing is."""
    calls: list[Call] = []
    core, begin = there.world.core, there.world.core.begin

    def seen(call: Call, started: float = 0.0) -> Response | Pending:
        calls.append(call)
        return begin(call, started)

    core.begin = seen  # type: ignore[method-assign]
    assert (await there.client.infer(raw(), timeout=50.0)).code is CODES.OK
    assert (await there.client.infer()).code is CODES.OK
    assert 0 < (calls[0].timeout or 0) < 52  # gRPC rounds up on its way
    assert calls[1].timeout is None


@pytest.mark.parametrize("says", ["a request", "its end", "nothing"])
async def test_streams_are_not_offered_and_say_so(there: Served, says: str) -> None:
    """A stream ends with UNIMPLEMENTED: after its first request, and soon where none comes."""
    stream = there.client.channel.stream_stream(f"/{SERVICE.service}/ModelStreamInfer")()
    if says == "a request":
        await stream.write(b"")
    elif says == "its end":
        await stream.done_writing()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stream.read()
    assert caught.value.code() is CODES.UNIMPLEMENTED


async def test_a_sampled_call_is_a_span_with_its_stages(tmp_path: Path) -> None:
    """Metadata continue the client's trace, as headers do; a call that its client did not sample is none."""
    kept = InMemorySpanExporter()
    make = core_of(Tracer(SimpleSpanProcessor(kept), "gateway", 0.0), durable=False)
    async with world(tmp_path) as here:
        plain, counters, settings = here.core, here.slot.counters, GatewaySettings()
        here.core = make(plain.lanes, here.journal, counters, settings, here.clock, on_demand=here.fleet.load)
        await plain.close()
        there = Served(here, None, None)
        await there.port.open()
        for flag in ("00", "01"):
            await there.client.infer(raw(), {"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-{flag}"})
        await there.close()
    spans = {span.name: span for span in kept.get_finished_spans()}
    assert {*spans} == {"infer", "decode", "run", "encode"}
    assert spans["infer"].context is not None
    assert f"{spans['infer'].context.trace_id:032x}" == "ab" * 16


@pytest.mark.parametrize("path", ["/inference.GRPCInferenceService/LogSettings", "/a/B"])
async def test_what_is_not_there_is_unimplemented(there: Served, path: str) -> None:
    """An unknown method or service is UNIMPLEMENTED."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await there.client.channel.unary_unary(path)(b"")
    assert caught.value.code() is CODES.UNIMPLEMENTED
