"""A worker's end of the line to its supervisor."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator

import msgspec
import pytest

from gateway.line import BusyError, Line, SupervisorError
from gateway.order import Ask, Word, encode
from gateway.reload import RestartError
from groundwork.errors import DriftgateError, SettingsError

PATIENCE = 10.0


class Bench:
    """A line that is listened to, and the supervisor's end of it."""

    def __init__(self) -> None:
        self.supervisor, self._worker = socket.socketpair()
        self.supervisor.settimeout(PATIENCE)
        self.line = Line(self._worker.fileno())
        self.gone = threading.Event()
        self.line.listen(self.gone.set)
        self._asks = self.supervisor.makefile("rb")

    def say(self, word: Word) -> None:
        """Say something to the worker."""
        self.supervisor.sendall(encode(word))

    async def asked(self) -> Ask:
        """What the worker asks next."""
        return msgspec.json.decode(await asyncio.to_thread(self._asks.readline), type=Ask)

    async def is_gone(self) -> bool:
        """Whether the worker comes to notice that nobody is there."""
        return await asyncio.to_thread(self.gone.wait, PATIENCE)

    async def close(self) -> None:
        """End both sides, the supervisor's first: that ends the thread."""
        self._asks.close()
        self.supervisor.close()
        assert await self.is_gone()
        self._worker.close()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """A fresh line."""
    made = Bench()
    yield made
    await made.close()


async def test_a_word_to_part_ends_the_waiting(bench: Bench) -> None:
    """Who is told to part ends, without being told to leave."""
    bench.say(Word("part"))
    async with asyncio.timeout(PATIENCE):
        await bench.line.end()
    assert (bench.line.parting.is_set(), bench.line.leaving.is_set()) == (True, False)


async def test_a_word_to_leave_comes_before_a_word_to_part(bench: Bench) -> None:
    """Who is told both in one breath knows that the whole gateway stops, whatever became of its signal."""
    bench.supervisor.sendall(encode(Word("leave")) + encode(Word("part")))
    async with asyncio.timeout(PATIENCE):
        await bench.line.parting.wait()
    assert bench.line.leaving.is_set()


async def test_answers_find_those_who_asked(bench: Bench) -> None:
    """Each has its own answer, in whatever order they come; one that nobody waits for is passed over."""
    first, second = (asyncio.create_task(bench.line.ask("workers", who)) for who in ("ada", "bob"))
    asks = {ask.who: ask.number for ask in [await bench.asked(), await bench.asked()]}
    for number, answer in ((99, "?"), (asks["bob"], 2), (asks["ada"], 1)):
        bench.say(Word("answer", number, answer))
    assert [await first, await second] == [1, 2]


@pytest.mark.parametrize("kind", [BusyError, RestartError, SettingsError, SupervisorError, DriftgateError])
async def test_a_refusal_is_an_error_of_its_kind(bench: Bench, kind: type[DriftgateError]) -> None:
    """The supervisor's sentence comes as the error that its code names, a strange code as SupervisorError."""
    asking = asyncio.create_task(bench.line.ask("reload"))
    ask = await bench.asked()
    bench.say(Word("answer", ask.number, error="no", code=kind.code))
    with pytest.raises(SupervisorError if kind is DriftgateError else kind, match=r"^no$"):
        await asking


async def test_a_reload_that_outlasts_its_worker_waits(bench: Bench) -> None:
    """The supervisor is asked all the same, and whoever asked is told before the worker ends."""
    asking = asyncio.create_task(bench.line.ask("reload", "ada"))
    ask = await bench.asked()
    bench.say(Word("part"))
    assert await asking == {"changed": [], "waits": True}
    again = asyncio.create_task(bench.line.ask("reload", "bob"))
    assert (await again)["waits"]
    assert (await bench.asked()).who == "bob"
    bench.say(Word("answer", ask.number, {"changed": []}))
    workers = asyncio.create_task(bench.line.ask("workers"))
    bench.say(Word("answer", (await bench.asked()).number, 2))
    assert await workers == 2


@pytest.mark.parametrize("said", [b"", b"{\n", b'{"kind":"dance"}\n'])
async def test_a_supervisor_that_ends_or_babbles_is_gone(bench: Bench, said: bytes) -> None:
    """The end of the line, and what cannot be read, both mean that nobody is there any more."""
    bench.supervisor.sendall(said)
    if not said:
        bench.supervisor.shutdown(socket.SHUT_WR)
    assert await bench.is_gone()


def test_a_loop_that_has_ended_is_told_nothing() -> None:
    """Whoever notices the supervisor's end when the loop is closed goes on to end the process."""
    loop = asyncio.new_event_loop()

    async def made() -> Line:
        return Line(0)

    line = loop.run_until_complete(made())
    loop.close()
    line.abandon_soon()
    assert not line.leaving.is_set()


async def test_who_is_abandoned_waits_for_no_door(bench: Bench) -> None:
    """Said from a thread, it ends the waiting: the whole gateway stops, and nobody will say when to part."""
    await asyncio.to_thread(bench.line.abandon_soon)
    async with asyncio.timeout(PATIENCE):
        await bench.line.end()
    assert (bench.line.parting.is_set(), bench.line.leaving.is_set()) == (True, True)


async def test_a_signal_alone_parts_with_nobody(bench: Bench) -> None:
    """Who is told to leave serves on until it is told to part."""
    bench.line.leave()
    await bench.line.end()
    assert (bench.line.parting.is_set(), bench.line.leaving.is_set()) == (False, True)
