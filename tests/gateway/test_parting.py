"""Clients that leave before they are answered, through ASGI and around it."""

import asyncio
from pathlib import Path

import pytest

from gateway.parting import GoneError, unless_gone
from gateway.responses import Response
from gateway.schedule import Schedule
from tests.gateway.edges import EDGES, edge, post

ANSWER = Response(200, (), b"")


async def test_an_answer_that_comes_first_is_given() -> None:
    """A client that stays has its answer, even where nothing more can be received from it."""

    async def answer() -> Response:
        await asyncio.sleep(0)
        return ANSWER

    async def silent() -> dict[str, str]:
        await asyncio.Event().wait()
        return {}

    async def broken() -> dict[str, str]:
        raise RuntimeError("nothing to receive")

    assert await unless_gone(answer(), silent) is ANSWER
    assert await unless_gone(answer(), broken) is ANSWER


async def test_who_leaves_first_takes_the_request_back() -> None:
    """The waiting for the answer is cancelled when the client goes."""
    cancelled = asyncio.Event()

    async def never() -> Response:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return ANSWER

    async def gone() -> dict[str, str]:
        await asyncio.sleep(0)
        return {"type": "http.disconnect"}

    with pytest.raises(GoneError):
        await unless_gone(never(), gone)
    async with asyncio.timeout(30):
        await cancelled.wait()


@pytest.mark.parametrize("connect", EDGES)
async def test_a_lost_connection_takes_its_request_back(tmp_path: Path, connect: str) -> None:
    """On every edge, a request whose connection is lost while it waits is counted and not recorded."""
    async with edge(tmp_path / "world", connect) as one:
        here = one.world
        model = here.core.lanes.table["m"].stable
        model.inline_rows, model.schedule = -1, Schedule("batched", -1, 8, "")
        warm = await one.ask(post(), count=1)
        assert warm[0].status == 200
        assert model.batcher is not None
        model.batcher._running = model.batcher._lanes  # its thread is busy
        client = await one.connect()
        client.writer.write(post())
        async with asyncio.timeout(30):
            while not model.batcher.waiting:  # noqa: ASYNC110  an attribute, not an event
                await asyncio.sleep(0)
            client.writer.transport.abort()
            while not here.counted("driftgate_refusals_total", code="client-gone"):  # noqa: ASYNC110  the same
                await asyncio.sleep(0)
        assert here.counted("driftgate_requests_total", outcome="ok") == 1
        assert not [line for line in here.lines.written if "fault" in line]
