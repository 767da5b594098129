"""The port's stop, byte by byte: what a client of HTTP/2 is told, and what it may still finish."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.settings import GatewaySettings
from groundwork.ports import LimitSettings
from tests.facts import until
from tests.gateway.grpc_port.ports import CODES, HEALTH, SERVICE, Served, raw, served
from tests.gateway.grpc_port.wires import DATA, END_STREAM, GOAWAY, HEADERS, RST_STREAM, Frame, Wire, fields


@pytest.fixture
async def wire(there: Served) -> AsyncIterator[Wire]:
    """A connection to the port."""
    made = Wire(*await asyncio.open_connection(*there.address.rsplit(":", 1)))
    yield made
    made.close()


async def test_a_stop_tells_the_client_and_finishes_what_has_begun(there: Served, wire: Wire) -> None:
    """GOAWAY comes while a call is half sent; its rest is read, answered and recorded, then all is closed."""
    body = SERVICE.messages["ModelInferRequest"](**raw()).SerializeToString()
    sent = b"\0" + len(body).to_bytes(4) + body
    wire.begin(f"/{SERVICE.service}/ModelInfer", 1)
    wire.message(sent[:20], 1, last=False)
    await wire.heard()
    closing = asyncio.create_task(there.port.close(linger=0.1, limit=30.0))
    found: list[Frame] = []
    async with asyncio.timeout(30):
        async for frame in wire.frames():
            found.append(frame)
            if frame.kind == GOAWAY and frame.payload[4:8] == bytes(4) and len(goodbyes(found)) == 1:
                wire.message(sent[20:], 1, last=True)
        await closing
    assert goodbyes(found)
    assert not [frame for frame in found if frame.kind == RST_STREAM]
    (data,) = (frame.payload for frame in found if frame.kind == DATA)
    answer = SERVICE.messages["ModelInferResponse"].FromString(data[5:])
    assert (answer.model_name, len(answer.outputs)) == ("m", 2)
    assert found[-1].flags & END_STREAM or found[-1].kind == GOAWAY


def goodbyes(found: list[Frame]) -> list[Frame]:
    """Every GOAWAY of these."""
    return [frame for frame in found if frame.kind == GOAWAY]


async def test_nobody_is_let_in_after_a_stop(there: Served) -> None:
    """A closed port refuses connections, and a call that comes then was run by nobody."""
    assert (await there.client.infer()).code is CODES.OK
    await there.port.close(linger=1.0, limit=1.0)
    assert (await there.client.infer()).code is CODES.UNAVAILABLE


async def test_metadata_of_any_bytes_fill_no_log(
    there: Served, wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    """What is no UTF-8 in a call's metadata, where a key may stand, is told to nobody."""
    wire.begin(f"/{SERVICE.service}/ServerLive", 1, b"\0\x09x-api-key\x04key\xff")
    wire.message(bytes(5), 1, last=True)
    found = await wire.until_over(1)
    assert [frame for frame in found if frame.kind == DATA]
    assert not caplog.records
    assert not there.world.lines.written


async def test_who_leaves_its_answers_fills_no_log(
    there: Served, wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    """A client that goes before it has read what it was told, without a key too, is told of to nobody."""
    wire.read_nothing()
    calls = set(range(1, 100, 2))
    for stream in calls:
        wire.begin(f"/{HEALTH.service}/Check", stream)
        wire.message(bytes(5), stream, last=True)
    async for frame in wire.frames():
        calls.discard(frame.stream if frame.kind == HEADERS else 0)
        if not calls:
            break
    wire.close()
    await until(lambda: there.port.connections == 0, "it has gone")
    assert (await there.client.infer()).code is CODES.OK
    assert not caplog.records


@pytest.mark.parametrize("beyond", [0, 1])
async def test_a_client_has_all_of_the_bytes_that_headers_may_have(tmp_path: Path, beyond: int) -> None:
    """Metadata of limits.header_bytes are taken, and of one byte more not: what we add takes none of it."""
    path, limit = f"/{SERVICE.service}/ServerLive", 4096
    own = {**fields(path), b"x": b""}
    value = b"v" * (limit + beyond - sum(len(name) + len(text) + 32 for name, text in own.items()))
    long = len(value) - 127
    head = b"\0\1x" + bytes((127, long % 128 + 128, long // 128))
    async with served(tmp_path, GatewaySettings(limits=LimitSettings(header_bytes=limit))) as there:
        wire = Wire(*await asyncio.open_connection(*there.address.rsplit(":", 1)))
        wire.begin(path, 1, head + value)
        wire.message(bytes(5), 1, last=True)
        found = await wire.until_over(1)
        assert len([frame for frame in found if frame.kind == DATA]) == 1 - beyond
        wire.close()
