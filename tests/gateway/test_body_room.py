"""The memory that large bodies may take together."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.body_room import BodyRoom
from gateway.errors import OverloadedError
from gateway.run_settings import RequestSettings
from gateway.settings import GatewaySettings
from prediction_log.record import Kind
from tests.facts import until
from tests.gateway.worlds import World, request, world

SETTINGS = RequestSettings(max_body_bytes=10_000, inline_body_bytes=1_000, large_bodies=2)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12_000), st.booleans())))
def test_the_room_is_never_exceeded_and_all_of_it_comes_back(
    steps: list[tuple[int, int, bool]],
) -> None:
    """Whoever grows and ends, in whatever order, what is held is the sum of the shares, within the limit."""
    room = BodyRoom(SETTINGS)
    shares = [room.share() for _ in range(4)]
    for place, size, ends in steps:
        if ends:
            shares[place].give_back()
            continue
        before = shares[place].size
        try:
            shares[place].reach(size)
        except OverloadedError:
            assert room.held - before + size > room.limit
            assert shares[place].size == before
        assert room.held == sum(share.size for share in shares) <= room.limit
    for share in shares:
        share.give_back()
    assert room.held == 0


def test_what_is_small_takes_no_room() -> None:
    """A body that is read on the loop is refused by no number of large ones."""
    room = BodyRoom(SETTINGS)
    for _ in range(2):
        room.share().reach(10_000)
    room.share().reach(1_000)
    assert room.held == room.limit
    with pytest.raises(OverloadedError, match="a body of 1001 bytes has no room now"):
        room.share().expect(1_001)


class Slow:
    """A body of two pieces, the second of which comes when it is let go."""

    def __init__(self, size: int) -> None:
        self.let_go = asyncio.Event()
        self.size = size

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """First all but a byte, then the rest."""
        content = msgspec.json.encode(request()).ljust(self.size)
        yield content[:-1]
        await self.let_go.wait()
        yield content[-1:]


async def send(here: World, body: Slow) -> httpx.Response:
    """Send it in chunks, so that nothing announces its length."""
    return await here.client.post("/v2/models/m/infer", content=aiter(body))


async def test_a_body_without_room_is_refused_while_others_are_here(tmp_path: Path) -> None:
    """503 and a time to come back, recorded; when the others have their answers there is room again."""
    async with world(tmp_path, GatewaySettings(requests=SETTINGS)) as here:
        room = here.port.room
        bodies = [Slow(9_000), Slow(9_000)]
        sent = [asyncio.create_task(send(here, body)) for body in bodies]
        await until(lambda: room.held == 17_998, "both bodies are here")
        announced = await here.infer(msgspec.json.encode(request()).ljust(5_000))
        unannounced = await send(here, Slow(5_000))
        for refused in (announced, unannounced):
            assert refused.status_code == 503
            assert refused.headers["retry-after"] == "1"
            assert "has no room now" in refused.json()["error"]
        assert (await here.infer(request())).status_code == 200
        for body in bodies:
            body.let_go.set()
        assert [answer.status_code for answer in await asyncio.gather(*sent)] == [200, 200]
        assert room.held == 0
        assert (await here.infer(msgspec.json.encode(request()).ljust(9_000))).status_code == 200
        (found,) = here.frames(Kind.REJECT)
        assert found.strings("code").tolist() == [b"overloaded", b"overloaded"]


async def test_a_client_that_leaves_gives_its_room_back(tmp_path: Path) -> None:
    """Nothing stays taken for a body that never ended."""
    async with world(tmp_path, GatewaySettings(requests=SETTINGS)) as here:
        told: list[dict[str, object]] = [
            {"type": "http.request", "body": bytes(5_000), "more_body": True},
            {"type": "http.disconnect"},
        ]

        async def receive() -> dict[str, object]:
            return told.pop(0)

        async def send_nothing(message: object) -> None:
            raise AssertionError(message)

        scope = {"type": "http", "method": "POST", "path": "/v2/models/m/infer", "headers": []}
        await here.port(scope, receive, send_nothing)
        assert told == []
        assert here.port.room.held == 0
