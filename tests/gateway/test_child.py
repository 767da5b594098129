"""One worker process as its supervisor sees it; the workers here are one-line programs."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from gateway.child import Child, environment, resident
from gateway.order import Ask, Order, Word
from gateway.settings import GatewaySettings
from tests.facts import until

READS = "import sys, json; told = json.loads(sys.stdin.readline())\n"
ASKS = (
    READS
    + """
import os
os.write(0, b'{"number": 4, "verb": "workers"}\\n')
word = json.loads(sys.stdin.readline())
sys.exit(word["number"] + word["answer"])
"""
)
BABBLES = READS + "import os; os.write(0, b'what?\\n'); sys.stdin.readline()"
HEARS = READS + "sys.exit({'part': 9, 'leave': 8}[json.loads(sys.stdin.readline())['kind']])"

Start = Callable[[str], Awaitable[Child]]


async def answer(ask: Ask) -> Word:
    """Three, to whatever is asked."""
    return Word("answer", ask.number, 3)


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start a program as a worker; it is gone afterwards."""
    made: list[Child] = []

    async def started(program: str) -> Child:
        told = Order(place=2, workers=3, places_fd=1, http_fd=1, operator_fd=1, settings=GatewaySettings())
        made.append(await Child.start((sys.executable, "-c", program), told, answer, 0.0))
        return made[-1]

    yield started
    for child in made:
        child.signal(signal.SIGKILL)
        await child.ended


async def test_a_worker_is_answered_and_its_exit_code_is_kept(start: Start) -> None:
    """It reads its order, what it asks is answered over the same line, and `ended` has its code."""
    child = await start(ASKS)
    assert child.place == 2
    async with asyncio.timeout(60):
        assert await child.ended == 4 + 3


@pytest.mark.parametrize(("tell", "code"), [(Child.part, 9), (Child.leave, 8)])
async def test_a_worker_that_is_told_to_go_hears_it(
    start: Start, tell: Callable[[Child], None], code: int
) -> None:
    """The word comes over its line."""
    child = await start(HEARS)
    tell(child)
    async with asyncio.timeout(60):
        assert await child.ended == code


async def test_a_worker_that_babbles_is_not_listened_to_any_more(start: Start) -> None:
    """What nobody understands ends the talk and not the worker; it can still be told to go."""
    child = await start(BABBLES)
    talking = child._talking
    assert talking is not None
    await until(talking.done, "nobody listens any more")
    assert talking.exception() is None
    assert not child.ended.done()
    child.part()
    async with asyncio.timeout(60):
        assert await child.ended == 0


async def test_one_that_has_ended_is_told_nothing(start: Start) -> None:
    """Words and signals that come too late are no error."""
    child = await start("raise SystemExit(5)")
    async with asyncio.timeout(60):
        assert await child.ended == 5
    child.part()
    child.bar(())
    child.signal(signal.SIGTERM)


def test_a_worker_has_one_thread_of_libraries_that_count_processors() -> None:
    """Unless somebody says otherwise, and all else is as it was."""
    found = environment({"HOME": "/root", "OMP_NUM_THREADS": "4"})
    assert found == {
        "HOME": "/root",
        "OMP_NUM_THREADS": "4",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }


def test_memory_of_nobody_is_none() -> None:
    """The resident bytes of a process that is there, and 0 of one that is not."""
    assert resident(os.getpid()) > 1 << 20
    assert resident(1 << 30) == 0
