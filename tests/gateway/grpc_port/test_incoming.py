"""Messages on their way: together bounded with the bodies of HTTP, after the key, in time."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from gateway.body_room import AnswerRoom, BodyRoom
from gateway.errors import OverloadedError
from gateway.grpc_port.backlog import Backlog, Backlogs
from gateway.grpc_port.incoming import MARK, SMALL_MESSAGE, Incomings
from gateway.grpc_port.schema import Schema
from gateway.run_settings import RequestSettings
from gateway.settings import GatewaySettings
from groundwork.keys import INFER, KeyBook, create
from groundwork.ports import LimitSettings
from prediction_log.record import Kind
from tests.facts import until
from tests.gateway.grpc_port.ports import CODES, HEALTH, SERVICE, Served, raw, served
from tests.gateway.grpc_port.wires import DATA, RST_STREAM, Wire
from tests.gateway.worlds import ROW
from tests.keys import NOW

SETTINGS = GatewaySettings(
    requests=RequestSettings(max_body_bytes=100_000, inline_body_bytes=10_000, large_bodies=2)
)
INFERENCE = f"/{SERVICE.service}/ModelInfer"
LARGE = raw([ROW] * 200)
"""24 kB."""
UNKNOWN = b"\x7a" + bytes((0xA0, 0x9C, 0x01)) + bytes(20_000)
"""A field of 20 kB that no message has."""


async def wire(there: Served) -> Wire:
    """A connection to a port."""
    return Wire(*await asyncio.open_connection(*there.address.rsplit(":", 1)))


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
async def test_large_messages_share_the_room_of_large_bodies(
    tmp_path: Path, compression: grpc.Compression
) -> None:
    """UNAVAILABLE and a time to come back, recorded, where HTTP has taken it; what is small is answered."""
    async with served(tmp_path, SETTINGS) as there:
        others = there.room.share()
        others.reach(190_000)
        refused = await there.client.infer(LARGE, compression=compression)
        assert refused.code is CODES.UNAVAILABLE
        assert "has no room now" in refused.sentence
        assert refused.metadata["retry-after"] == "1"
        assert (await there.client.infer()).code is CODES.OK
        others.give_back()
        assert (await there.client.infer(LARGE, compression=compression)).code is CODES.OK
        await until(lambda: there.room.held == 0, "the calls are over")
        (frame,) = there.world.frames(Kind.REJECT)
        assert frame.strings("code").tolist() == [b"overloaded"]


async def test_a_message_has_the_room_of_what_came_of_it(tmp_path: Path) -> None:
    """A message takes room while it comes, is refused when that is full, and leaves it with its client."""
    async with served(tmp_path, SETTINGS) as there:
        first, second = await wire(there), await wire(there)
        for one in (first, second):
            one.begin(INFERENCE, 1)
            for _ in range(3):
                one.message(bytes((0, 0, 1, 0, 0)) + bytes(15_995), 1, last=False)
            await one.heard()
        assert there.room.held == 96_000
        others = there.room.share()
        others.reach(90_000)
        first.message(bytes(16_000), 1, last=False)
        await first.until_over(1)
        await until(lambda: there.room.held == 138_000, "the first one is over")
        second.close()
        await until(lambda: there.room.held == 90_000, "the second one has gone")
        first.close()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (INFERENCE, SERVICE.messages["ModelInferRequest"](**LARGE).SerializeToString()),
        (f"/{SERVICE.service}/ServerLive", UNKNOWN),
        (f"/{HEALTH.service}/Check", UNKNOWN),
    ],
)
async def test_who_reads_no_answer_keeps_no_room(tmp_path: Path, path: str, body: bytes) -> None:
    """A message leaves the room when it is answered; what its client sends behind it takes room again."""
    async with served(tmp_path, SETTINGS) as there:
        one = await wire(there)
        one.read_nothing()
        one.begin(path, 1)
        said = b"\0" + len(body).to_bytes(4) + body
        for at in range(0, len(said), 16_000):
            one.message(said[at : at + 16_000], 1, last=False)
        await one.heard()
        await until(lambda: there.room.held == 0, "it is answered")
        one.message(bytes(16_000), 1, last=False)
        await one.heard()
        assert there.room.held == 16_000
        one.close()
        await until(lambda: there.room.held == 0, "the client has gone")


async def test_a_stranger_is_refused_before_its_message(tmp_path: Path) -> None:
    """Who shows no key is told so although nothing of the message has come, and what comes takes no room."""
    book = KeyBook((create("one", [INFER], NOW)[0],))
    async with served(tmp_path, SETTINGS, book) as there:
        stranger = await wire(there)
        stranger.begin(INFERENCE, 1)
        found = await stranger.until_over(1)
        assert not [frame for frame in found if frame.kind == DATA]
        for _ in range(3):
            stranger.message(bytes(16_000), 1, last=False)
        await stranger.heard()
        assert there.room.held == 0
        stranger.close()


@pytest.mark.parametrize(("path", "schema"), [("ServerLive", SERVICE), ("Check", HEALTH), ("List", HEALTH)])
async def test_a_method_without_tensors_reads_no_large_message(
    tmp_path: Path, path: str, schema: Schema
) -> None:
    """Whoever may ask without a key fills no memory by it."""
    async with served(tmp_path) as there:
        answer = await there.client.ask(path, bytes(SMALL_MESSAGE + 1), of=schema)
        assert answer.code is CODES.RESOURCE_EXHAUSTED
        assert (await there.client.ask(path, of=schema)).code is CODES.OK


async def messages(*said: bytes) -> AsyncIterator[bytes]:
    """These, and then nothing."""
    for one in said:
        yield one


async def test_a_call_without_a_message_is_told_so(there: Served) -> None:
    """A client that ends its side before it has asked is INVALID_ARGUMENT, and does not wait for ever."""
    for path in (INFERENCE, f"/{SERVICE.service}/ServerLive", f"/{HEALTH.service}/Check"):
        call = there.client.channel.stream_unary(path)(messages())
        assert await call.code() is CODES.INVALID_ARGUMENT
        assert await call.details() == "the call has no message"


async def test_a_message_that_is_too_slow_is_given_up(tmp_path: Path) -> None:
    """DEADLINE_EXCEEDED after the time that a body has."""
    async with served(tmp_path, GatewaySettings(limits=LimitSettings(body_time=0.1))) as there:
        slow = there.client.channel.stream_unary(INFERENCE)()
        assert await slow.code() is CODES.DEADLINE_EXCEEDED
        assert "longer than 0.1 seconds" in await slow.details()


async def test_a_last_frame_that_is_too_slow_is_given_up_too(tmp_path: Path) -> None:
    """A message is not whole before its last byte, whatever the head of its last frame says."""
    async with served(tmp_path, GatewaySettings(limits=LimitSettings(body_time=0.1))) as there:
        one = await wire(there)
        one.begin(INFERENCE, 1)
        one.half(bytes((0, 0, 0, 0, 15)) + bytes(5), 1)
        found = await one.until_over(1)
        assert b"longer than 0.1 seconds" in found[-1].payload
        one.close()


class Slow:
    """A call whose message comes when it is let go."""

    def __init__(self) -> None:
        self.let_go = asyncio.Event()

    async def read(self) -> bytes:
        """As gRPC's context has it."""
        await self.let_go.wait()
        return b"message"


def waiters(most: int) -> tuple[Incomings, Backlog, Slow]:
    """So many calls at most may wait; a connection, and a call's message."""
    answers = AnswerRoom(SETTINGS.requests)
    return (
        Incomings(BodyRoom(SETTINGS.requests), answers, 30.0, most=most),
        Backlog(Backlogs(answers)),
        Slow(),
    )


async def test_so_many_calls_may_wait_for_their_messages() -> None:
    """One more is refused, unless its message is whole; when one has come, another may wait."""
    incomings, backlog, slow = waiters(1)
    for mark in (b"1-1", b"1-3", b"1-5"):
        incomings.begin(mark, backlog).finished = mark == b"1-5"
    first = asyncio.create_task(incomings.read(slow, {MARK: b"1-1"}))
    await asyncio.sleep(0)
    with pytest.raises(OverloadedError, match="1 calls have not sent"):
        await incomings.read(slow, {MARK: b"1-3"})
    slow.let_go.set()
    assert await incomings.read(slow, {MARK: b"1-5"}) == b"message"
    assert await first == b"message"
    assert await incomings.read(slow, {MARK: b"1-3"}) == b"message"


async def test_calls_that_need_no_key_keep_no_tensors_out() -> None:
    """Of the places of those that wait for their messages, calls without tensors have half."""
    incomings, backlog, slow = waiters(2)
    for mark in (b"1-1", b"1-3", b"1-5"):
        incomings.begin(mark, backlog)
    first = asyncio.create_task(incomings.read(slow, {MARK: b"1-1"}))
    await asyncio.sleep(0)
    with pytest.raises(OverloadedError, match="1 calls have not sent"):
        await incomings.read(slow, {MARK: b"1-3"})
    tensors = asyncio.create_task(incomings.read(slow, {MARK: b"1-5"}, most=None))
    await asyncio.sleep(0)
    slow.let_go.set()
    assert (await first, await tensors) == (b"message", b"message")


async def test_a_mark_of_a_client_s_own_counts_for_nothing(tmp_path: Path) -> None:
    """Nobody takes another call's message, or hides its own, by metadata of that name."""
    async with served(tmp_path, SETTINGS) as there:
        others = there.room.share()
        others.reach(190_000)
        for forged in ("1-1", "x", ""):
            assert (await there.client.infer(LARGE, {MARK.decode(): forged})).code is CODES.UNAVAILABLE


@pytest.mark.parametrize("known", [b"", b"1-1", b"0" * 16])
async def test_nothing_is_read_of_a_call_whose_headers_hide_its_mark(tmp_path: Path, known: bytes) -> None:
    """A last header that swallows the mark, one of a client's own before it or not, has the call refused."""
    mark = 16
    own = b"\0" + bytes((len(MARK),)) + MARK + bytes((len(known),)) + known if known else b""
    async with served(tmp_path, SETTINGS) as there:
        one = await wire(there)
        for stream, path in ((1, INFERENCE), (3, f"/{SERVICE.service}/ServerLive")):
            one.begin(path, stream, own + b"\0\1x" + bytes((3 + len(MARK) + mark,)))
            found = await one.until_over(stream)
            assert b"shorter than it says" in found[-1].payload
        one.close()


async def test_a_call_that_was_cancelled_leaves_no_room_taken(tmp_path: Path) -> None:
    """A client that takes its half-sent message back gives the room back, on a connection that goes on."""
    async with served(tmp_path, SETTINGS) as there:
        one = await wire(there)
        one.begin(INFERENCE, 1)
        one.message(bytes((0, 0, 1, 0, 0)) + bytes(15_995), 1, last=False)
        await one.heard()
        assert there.room.held == 16_000
        one.reset(1)
        await one.heard()
        assert there.room.held == 0
        body = SERVICE.messages["ModelInferRequest"](**raw()).SerializeToString()
        one.begin(INFERENCE, 3)
        one.message(b"\0" + len(body).to_bytes(4) + body, 3, last=True)
        found = await one.until_over(3)
        assert not [frame for frame in found if frame.stream == 3 and frame.kind == RST_STREAM]
        one.close()
