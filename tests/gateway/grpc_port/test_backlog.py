"""What a client does not read of its answers: bounded, in its turn, and never held against who reads."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.body_room import AnswerRoom
from gateway.grpc_port.backlog import CALL_BYTES, Backlog, Reply
from gateway.run_settings import RequestSettings
from gateway.settings import GatewaySettings
from groundwork.ports import LimitSettings
from tests.facts import until
from tests.gateway.grpc_port.ports import HEALTH, SERVICE, raw, served
from tests.gateway.grpc_port.test_incoming import wire
from tests.gateway.grpc_port.wires import GOAWAY, HEADERS
from tests.gateway.worlds import ROW

SMALL = 40_000
MOST = 4 * CALL_BYTES
SETTINGS = RequestSettings(max_body_bytes=MOST, inline_body_bytes=SMALL, large_bodies=2)
PATIENCE = 10.0


async def begun(backlog: Backlog, count: int) -> list[Reply]:
    """So many calls, whose turn has come or comes later."""
    replies = [Reply(backlog) for _ in range(count)]
    for reply in replies:
        asyncio.create_task(reply.turn())  # noqa: RUF006  each is over when its call is
    await asyncio.sleep(0)
    return replies


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from("bmpo"), st.integers(0, 90_000))))
def test_what_is_held_is_what_was_made_and_not_passed_on(steps: list[tuple[int, str, int]]) -> None:
    """Whatever calls do in whatever order, the room has what is left of them, and nothing when they end."""
    room = AnswerRoom(SETTINGS)
    backlog = Backlog(room)
    replies = [Reply(backlog) for _ in range(4)]
    for place, step, size in steps:
        reply = replies[place]
        if step == "b" and not reply.begun:
            reply.begin()
        elif step == "m":
            reply.made(size)
        elif step == "p":
            reply.passed(size)
        elif step == "o":
            reply.over()
        assert backlog.unread == sum(one.left for one in replies)
        assert backlog.size == backlog.unread + CALL_BYTES * sum(one.begun for one in replies)
        assert room.held == (backlog.size if backlog.size > SMALL else 0)
    for reply in replies:
        reply.over()
    assert backlog.size == backlog.unread == room.held == 0


async def test_calls_take_turns_as_answers_are_read() -> None:
    """As many begin as there is room for; the others follow one another as answers pass and calls end."""
    backlog = Backlog(AnswerRoom(SETTINGS))
    replies = await begun(backlog, 8)
    assert [reply.begun for reply in replies] == [True] * 4 + [False] * 4
    replies[0].made(CALL_BYTES)
    replies[1].over()
    assert not replies[4].begun
    replies[0].passed(CALL_BYTES - 1)
    assert [reply.begun for reply in replies[4:]] == [True, False, False, False]
    replies[5].over()
    for reply in replies[:4]:
        reply.over()
    assert all(reply.begun for reply in replies[6:])


async def test_a_call_that_ended_takes_no_turn() -> None:
    """It stops waiting at once, and stands in nobody's way."""
    backlog = Backlog(AnswerRoom(SETTINGS))
    replies = await begun(backlog, 5)
    waiting = asyncio.create_task(replies[4].turn())
    replies[4].over()
    await waiting
    await replies[4].turn()
    assert backlog.size == 4 * CALL_BYTES
    assert not backlog.waiting


async def test_where_the_worker_s_room_is_taken_each_connection_still_goes_on() -> None:
    """Nobody is kept from its first calls by what others do not read, and from no more than is needed."""
    room = AnswerRoom(SETTINGS)
    others = room.share(room.limit)
    backlog = Backlog(room)
    replies = await begun(backlog, 3)
    assert [reply.begun for reply in replies] == [True, True, False]
    others.hold(0)
    replies[0].over()
    assert replies[2].begun


def test_who_reads_nothing_has_stalled() -> None:
    """Once answers have waited that long with not a byte of them read; new answers are no progress."""
    backlog = Backlog(AnswerRoom(SETTINGS))
    first, second = Reply(backlog), Reply(backlog)
    for reply in (first, second):
        reply.begin()
    assert not backlog.stalled(1000.0, PATIENCE)
    first.made(100)
    assert not backlog.stalled(1001.0, PATIENCE)
    second.made(100)
    assert not backlog.stalled(1010.0, PATIENCE)
    first.passed(1)
    assert not backlog.stalled(1011.0, PATIENCE)
    assert not backlog.stalled(1021.0, PATIENCE)
    assert backlog.stalled(1022.0, PATIENCE)
    first.over()
    second.over()
    assert not backlog.stalled(2000.0, PATIENCE)


async def test_who_reads_nothing_is_answered_no_further(tmp_path: Path) -> None:
    """Calls beyond what a connection may leave unread are not run; when it reads, each has its answer."""
    body = SERVICE.messages["ModelInferRequest"](**raw()).SerializeToString()
    calls = range(1, 2 * 20, 2)
    async with served(tmp_path, GatewaySettings(requests=SETTINGS)) as there:
        one = await wire(there)
        one.read_nothing()
        for stream in calls:
            one.begin(f"/{SERVICE.service}/ModelInfer", stream)
            one.message(b"\0" + len(body).to_bytes(4) + body, stream, last=True)
        await until(lambda: there.world.counted("driftgate_requests_total") > 0, "one was answered")
        await one.heard()
        assert (await there.client.infer()).code.name == "OK"
        assert there.world.counted("driftgate_requests_total") <= 5
        one.read_on()
        answered = set()
        async for frame in one.frames():
            if frame.kind == HEADERS and frame.flags & 1:
                answered.add(frame.stream)
                if len(answered) == len(calls):
                    break
        assert there.world.counted("driftgate_requests_total", outcome="ok") == len(calls) + 1
        one.close()


async def test_who_reads_no_large_answer_has_room_until_it_goes(tmp_path: Path) -> None:
    """An answer takes room for as long as it is not read, and none when its client has gone."""
    body = SERVICE.messages["ModelInferRequest"](**raw([ROW] * 500)).SerializeToString()
    requests = RequestSettings(inline_body_bytes=1000, max_body_bytes=MOST)
    async with served(tmp_path, GatewaySettings(requests=requests)) as there:
        room = there.world.core.answers
        one = await wire(there)
        one.read_nothing()
        one.begin(f"/{SERVICE.service}/ModelInfer", 1)
        said = b"\0" + len(body).to_bytes(4) + body
        for at in range(0, len(said), 16_000):
            one.message(said[at : at + 16_000], 1, last=at + 16_000 >= len(said))
        await until(lambda: room.held > CALL_BYTES, "it is answered")
        assert room.held < CALL_BYTES + 9_000
        one.close()
        await until(lambda: room.held == 0, "the client has gone")


@pytest.mark.parametrize("name", ["Check", "List", "Watch"])
async def test_what_health_says_is_counted_too(tmp_path: Path, name: str) -> None:
    """Who asks for nothing but health and reads nothing of it has stalled, too, when its time is over."""
    limits = LimitSettings(idle=0.01, body_time=0.01)
    async with served(tmp_path, GatewaySettings(limits=limits)) as there:
        one = await wire(there)
        one.read_nothing()
        one.begin(f"/{HEALTH.service}/{name}", 1)
        one.message(bytes(5), 1, last=True)
        found = [frame async for frame in one.frames()]
        assert found[-1].kind == GOAWAY
        assert there.refused == ["unread-answer"]
        one.close()
