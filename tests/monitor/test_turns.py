"""Who waits for the monitor's file is let in before whoever has just had it."""

import asyncio
import io
import threading
from pathlib import Path

import httpx
import pytest

from groundwork.database import transaction
from groundwork.logs import Log
from monitor import outbox
from monitor.delivery import Dispatcher
from monitor.turns import Turns
from tests.facts import until
from tests.monitor.test_delivery import HOOK, OTHER, Bench


async def test_a_turn_goes_to_whoever_waited_longest() -> None:
    """A thread that lets go and asks again at once comes behind everybody who waited meanwhile."""
    turns, order = Turns(), list[str]()

    def take(name: str) -> None:
        with turns:
            order.append(name)

    with turns:
        threads = [threading.Thread(target=take, args=(name,)) for name in ("first", "second")]
        for thread in threads:
            thread.start()
            await until(lambda: turns.waiting == sum(map(threading.Thread.is_alive, threads)), "it waits")
    take("pipeline")
    for thread in threads:
        thread.join()
    assert order == ["first", "second", "pipeline"]


def test_a_turn_that_fails_is_over() -> None:
    """What is raised inside goes on to the caller, and the next one has the turn."""
    turns = Turns()
    with pytest.raises(ValueError, match="spoilt"), turns:
        raise ValueError("spoilt")
    with turns:
        assert turns.waiting == 0


async def test_deliveries_wait_for_the_end_of_a_round_and_not_for_the_end_of_the_log(tmp_path: Path) -> None:
    """What is due asks for its turn while a round is under way, and goes out when that has ended."""
    bench = Bench(tmp_path)
    event, turns, log = bench.promise(1), Turns(), Log(io.StringIO(), bench.clock)
    answers = httpx.MockTransport(lambda _: httpx.Response(204, stream=httpx.ByteStream(b"")))
    dispatcher = Dispatcher(
        bench.sending, (HOOK, OTHER), bench.clock, lambda: 0.5, log, transport=answers, turns=turns
    )
    with turns, transaction(bench.db):
        sending = asyncio.create_task(dispatcher.step())
        await until(lambda: turns.waiting == 1, "the dispatcher waits for its turn")
        assert not sending.done()
    await sending
    assert bench.delivery(event).state == outbox.DELIVERED
    await dispatcher.close()
    await bench.close()
