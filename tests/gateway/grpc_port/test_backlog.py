"""What a client does not read of its answers: bounded, in its turn, and never held against who reads."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.body_room import PARTS, AnswerRoom
from gateway.errors import OverloadedError
from gateway.grpc_port.backlog import CALL_BYTES, Backlog, Backlogs, Reply
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
SETTINGS = RequestSettings(inline_body_bytes=SMALL, unread_answers=PARTS * MOST)
PATIENCE = 10.0


def backlog_of(room: AnswerRoom | None = None, most: int = 100) -> Backlog:
    """That of a connection, of whose worker so many calls may wait."""
    return Backlog(Backlogs(AnswerRoom(SETTINGS) if room is None else room, most))


class Turn:
    """A call, and whether it has run."""

    def __init__(self, backlog: Backlog, size: int) -> None:
        self.reply = Reply(backlog)
        self.task = asyncio.create_task(self._run(size))

    async def _run(self, size: int) -> None:
        if self.reply.backlog.waits:
            await self.reply.backlog.turn()
        self.reply.made(size)

    @property
    def ran(self) -> bool:
        """Whether it has its answer."""
        return self.task.done()


async def turns_of(backlog: Backlog, count: int, size: int = 0) -> list[Turn]:
    """So many calls, each of which has an answer of `size` bytes as soon as it is run."""
    turns = [Turn(backlog, size) for _ in range(count)]
    await settled()
    return turns


async def settled() -> None:
    """Until all have run that may."""
    for _ in range(30):
        await asyncio.sleep(0)


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from("mpo"), st.integers(0, 90_000))))
def test_what_is_held_is_what_was_made_and_not_passed_on(steps: list[tuple[int, str, int]]) -> None:
    """Whatever calls do in whatever order, the room has what is left of them, and nothing when they end."""
    room = AnswerRoom(SETTINGS)
    backlog = backlog_of(room)
    replies, made = [Reply(backlog) for _ in range(4)], [False] * 4
    ended = [False] * 4
    for place, step, size in steps:
        reply = replies[place]
        if step == "m":
            reply.made(size)
            made[place] = not ended[place]
        elif step == "p":
            reply.passed(size)
        elif step == "o":
            reply.over()
            made[place], ended[place] = False, True
        assert backlog.unread == sum(one.left for one in replies)
        assert backlog.size == backlog.unread + CALL_BYTES * sum(made)
        assert room.held == (backlog.size if backlog.size > SMALL else 0)
    for reply in replies:
        reply.over()
    assert backlog.size == backlog.unread == room.held == 0


async def test_calls_run_in_their_order_as_answers_are_read() -> None:
    """None beyond the first that finds no room; each answer that is read lets the next one run."""
    turns = await turns_of(backlog_of(), 12)
    assert [turn.ran for turn in turns] == [True] * 4 + [False] * 8
    for over in range(8):
        turns[over].reply.over()
        await settled()
        assert [turn.ran for turn in turns] == [True] * (5 + over) + [False] * (7 - over)


async def test_who_has_nothing_to_read_is_always_answered() -> None:
    """However small the room is, or taken by others: one call at a time."""
    room = AnswerRoom(RequestSettings(inline_body_bytes=0, unread_answers=0))
    turns = await turns_of(backlog_of(room), 3)
    for ran in range(1, 4):
        assert [turn.ran for turn in turns] == [True] * ran + [False] * (3 - ran)
        turns[ran - 1].reply.over()
        await settled()


async def test_who_has_read_all_has_all_calls_run_that_take_no_room() -> None:
    """Calls whose answers are not there yet keep no others from being run beside them."""
    backlog = backlog_of()
    backlog.grow(MOST)
    waiting = [asyncio.create_task(backlog.turn()) for _ in range(8)]
    await settled()
    assert not any(one.done() for one in waiting)
    backlog.grow(-1)
    await settled()
    assert all(one.done() for one in waiting)


async def test_a_call_that_is_taken_back_stands_in_nobody_s_way() -> None:
    """It waits no more, whether or not its turn has come, and the next one runs instead."""
    backlog = backlog_of()
    turns = await turns_of(backlog, 8)
    turns[4].task.cancel()
    turns[5].task.cancel()
    turns[0].reply.over()
    turns[6].task.cancel()
    await settled()
    assert turns[7].ran


async def test_so_many_calls_of_a_worker_wait() -> None:
    """One more is refused; of those that may, each connection has its share."""
    backlogs = Backlogs(AnswerRoom(SETTINGS), 4)
    one, other = Backlog(backlogs), Backlog(backlogs)
    for backlog, most in ((one, 4), (other, 2), (one, 0)):
        backlog.grow(MOST)
        waiting = [asyncio.create_task(backlog.turn()) for _ in range(most)]
        await settled()
        assert not any(turn.done() for turn in waiting)
        with pytest.raises(OverloadedError, match=r"\d calls of this connection wait"):
            await backlog.turn()
    for backlog in (one, other):
        backlog.grow(-2 * MOST)
    await settled()
    assert backlogs.share == 4


async def test_no_connection_takes_what_is_left() -> None:
    """It stops at what others find still free, however much one might have, but not before a small body."""
    room = AnswerRoom(SETTINGS)
    others = room.share(room.limit - 5 * CALL_BYTES)
    backlog = backlog_of(room)
    await turns_of(backlog, 8)
    assert backlog.size // CALL_BYTES == 3
    assert room.limit - room.held > CALL_BYTES
    others.hold(room.limit)
    assert [turn.ran for turn in await turns_of(backlog_of(room), 3)] == [True, True, False]


def test_who_reads_nothing_has_stalled() -> None:
    """Once answers have waited that long with not a byte of them read; new answers are no progress."""
    backlog = backlog_of()
    first, second = Reply(backlog), Reply(backlog)
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
    requests = RequestSettings(inline_body_bytes=1000)
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
