"""The fast edge alone: what goes around ASGI, what is remembered, and when it is off."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from uvicorn.protocols.http import httptools_impl
from uvicorn.protocols.http.flow_control import FlowControl

from gateway import fast
from gateway.port import Connection
from gateway.shortcut import MOST_HEADS
from tests.gateway.edges import edge, is_fast, post


async def test_a_plain_prediction_goes_around_asgi(tmp_path: Path) -> None:
    """The fast edge answers a plain request without a cycle, whether its head is new or known."""
    async with edge(tmp_path / "fast", "fast") as here:
        client = await here.connect()
        for _ in range(3):
            await client.send(post())
            assert (await client.answer()).status == 200
            assert is_fast(here.connection)


async def test_a_connection_may_change_its_head(tmp_path: Path) -> None:
    """Each request is answered by its own head, whichever head its connection had last."""
    async with edge(tmp_path / "fast", "fast") as here:
        client = await here.connect()
        for version in ("1", "9", "1", "1", "9", "9", "1"):
            await client.send(post(None, f"X-Driftgate-Version: {version}"))
            assert (await client.answer()).status == (200 if version == "1" else 404)


async def test_tensors_that_are_not_copied_are_the_request_s_own(tmp_path: Path) -> None:
    """The same head over and over, each time with other tensors: each answer is that to its own."""
    rows = 64
    tensor = {"name": "x", "datatype": "FP32", "shape": [rows, 30]}
    size = {"parameters": {"binary_data_size": rows * 30 * 4}}
    text = msgspec.json.encode({"inputs": [tensor | size], "outputs": [{"name": "probabilities"}]})
    async with edge(tmp_path / "fast", "fast") as here:
        client = await here.connect()
        for seed in range(6):
            values = np.random.default_rng(seed).normal(size=(rows, 30)).astype("<f4")
            asked = {"inputs": [tensor | {"data": values.ravel().tolist()}]}
            length = f"Inference-Header-Content-Length: {len(text)}"
            await client.send(post(text + values.tobytes(), length))
            found = msgspec.json.decode((await client.answer()).body)
            await client.send(post(asked | {"outputs": [{"name": "probabilities"}]}))
            assert found["outputs"] == msgspec.json.decode((await client.answer()).body)["outputs"]
            assert is_fast(here.connection)
        connection = here.connection
        assert isinstance(connection, fast.FastConnection)
        assert any(known.views for known in connection._shortcut.heads.values())


async def test_heads_that_are_remembered_are_bounded(tmp_path: Path) -> None:
    """However many different heads come, no more than a fixed number are kept."""
    async with edge(tmp_path / "fast", "fast") as here:
        client = await here.connect()
        for number in range(MOST_HEADS + 10):
            await client.send(post(None, f"X-Request-Id: {number}"))
            assert (await client.answer()).status == 200
        connection = here.connection
        assert isinstance(connection, fast.FastConnection)
        assert 0 < len(connection._shortcut.heads) <= MOST_HEADS


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (httptools_impl.HttpToolsProtocol, "on_response_complete"),
        (httptools_impl.RequestResponseCycle, "run_asgi"),
        (FlowControl, "pause_writing"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
async def test_another_uvicorn_switches_it_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: type, name: str
) -> None:
    """Where an inside of uvicorn is not as expected, all goes through ASGI and one line says what differs."""
    async with edge(tmp_path / "asgi", "asgi") as here:
        with monkeypatch.context() as patched:
            patched.delattr(owner, name)
            assert fast.connections(here.world.port, here.log) is Connection
        (line,) = here.world.lines.written
        assert "fast-path-off" in line
        assert f"{owner.__name__}.{name}" in line
