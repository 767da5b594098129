"""Runs off the loop: what runs together, what waits, what is refused."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway import queue_meters
from gateway.errors import ExpiredError, LateError, QueueFullError, RunError
from tests.facts import until
from tests.gateway.batched import PATIENCE, Bench, answers


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """A batcher of up to 16 rows, whose runs take as long whatever their rows."""
    made = Bench(tmp_path)
    yield made
    made.batcher.close()


async def test_what_waited_for_a_run_is_the_next_one(bench: Bench) -> None:
    """Requests that come while a run is going are run together, and each has its own answer."""
    first = bench.ask(1.0)
    await bench.graph.running()
    rest = [bench.ask(float(n)) for n in range(2, 7)]
    bench.graph.let(2)
    assert await answers(first, *rest) == [2.0, 4.0, 6.0, 8.0, 10.0, 12.0]
    assert bench.graph.rows == [1, 5]
    assert bench.counted(queue_meters.RUNS) == 2
    assert bench.counted(queue_meters.JOINED) == 6
    assert bench.counted("executing") == bench.counted(queue_meters.LENGTH) == 0


async def test_what_comes_in_one_turn_runs_together(bench: Bench) -> None:
    """The first request does not run off alone while others of the same turn are read."""
    entries = [bench.ask(), bench.ask(), bench.ask()]
    bench.graph.let()
    await answers(*entries)
    assert bench.graph.rows == [3]


async def test_full_runs_wait_for_no_loop(tmp_path: Path) -> None:
    """Where a full run waits, the thread goes on with it though the loop does not come to its turn."""
    bench = Bench(tmp_path, rows=2)
    entries = [bench.ask(), bench.ask()]
    await bench.graph.running()
    late = bench.ask(deadline=bench.clock.monotonic() + 5.0)
    bench.clock.advance(6.0)
    entries += [bench.ask() for _ in range(5)]
    bench.graph.let(3)
    for _ in range(2):
        assert bench.graph.begun.acquire(timeout=PATIENCE)  # the loop stands still meanwhile
    bench.graph.let()
    await answers(*entries)
    with pytest.raises(ExpiredError):
        await late.future
    assert bench.graph.rows == [2, 2, 2, 1]
    assert bench.counted("executing") == bench.counted(queue_meters.LENGTH) == 0
    bench.batcher.close()


async def test_runs_that_gain_nothing_by_waiting_follow_one_another(tmp_path: Path) -> None:
    """Where rows cost the same from two on, the thread goes on with two, and the loop waits for no more."""
    bench = Bench(tmp_path, times=((1, 1.0), (2, 1.0), (4, 2.0), (16, 8.0)), aside=True)
    entries = [bench.ask(), bench.ask()]
    await bench.graph.running()
    entries += [bench.ask(), bench.ask()]
    bench.graph.let()
    assert bench.graph.begun.acquire(timeout=PATIENCE)  # the loop stands still meanwhile
    bench.graph.let()
    await answers(*entries)
    entries = [bench.ask() for _ in range(2)]
    await bench.graph.running()
    bench.graph.let()
    await answers(*entries)
    assert bench.graph.rows == [2, 2, 2]
    bench.batcher.close()


async def test_halves_take_turns_where_the_loop_has_as_much_to_do(tmp_path: Path) -> None:
    """Of four in flight two are run while the loop has the others, where it works as long as a run lasts."""
    bench = Bench(tmp_path, times=((1, 1.0), (2, 1.0), (4, 1.5), (16, 6.0)), aside=True)
    for _ in range(4):
        entries = [bench.ask() for _ in range(4)]
        await bench.graph.running()
        bench.worked.advance(4.0)
        bench.graph.let(2)
        await answers(*entries)
    assert bench.graph.rows[0] == 4
    assert bench.graph.rows[-2:] == [2, 2]
    bench.batcher.close()


async def test_a_run_has_no_more_rows_than_the_most(tmp_path: Path) -> None:
    """What waits beyond it is for the run after."""
    bench = Bench(tmp_path, rows=2)
    entries = [bench.ask() for _ in range(5)]
    bench.graph.let(3)
    await answers(*entries)
    assert bench.graph.rows == [2, 2, 1]
    bench.batcher.close()


async def test_one_bad_request_fails_alone(bench: Bench) -> None:
    """The others of its run are answered as if it had not been there."""
    bad, good = bench.ask(-1.0), [bench.ask(1.0), bench.ask(2.0), bench.ask(3.0)]
    bench.graph.let(10)
    assert await answers(*good) == [2.0, 4.0, 6.0]
    with pytest.raises(RunError):
        await bad.future


async def test_who_has_gone_is_not_run(bench: Bench) -> None:
    """A request taken back before its run began never runs, and the others do."""
    first = bench.ask()
    await bench.graph.running()
    gone, stays = bench.ask(), bench.ask()
    gone.future.cancel()
    bench.graph.let(2)
    await answers(first, stays)
    assert bench.graph.rows == [1, 1]


async def test_who_goes_during_a_run_harms_nobody(bench: Bench) -> None:
    """An answer that nobody waits for any more is dropped, its neighbours' are given."""
    gone, stays = bench.ask(), bench.ask()
    await bench.graph.running()
    gone.future.cancel()
    bench.graph.let()
    assert await answers(stays) == [2.0]
    assert bench.counted(queue_meters.JOINED) == 1


async def test_a_run_holds_its_version_though_everybody_has_gone(bench: Bench) -> None:
    """Until a run has ended nothing that it needs is let go, whoever still waits for it."""
    gone = bench.ask()
    await bench.graph.running()
    gone.future.cancel()
    assert bench.held == 1
    follows = bench.ask()
    bench.graph.let(2)
    await answers(follows)
    await until(lambda: not bench.held, "nothing is held")
    assert bench.counted("executing") == 0


async def test_a_callback_that_fails_keeps_nobody_waiting(bench: Bench) -> None:
    """What one edge does wrong is told, and its neighbours in the run have their answers."""
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, said: told.append(said))
    mistaken, stays = bench.ask(), bench.ask()

    def fails(_: object) -> None:
        raise RuntimeError("an edge's mistake")

    mistaken.future.add_done_callback(fails)
    bench.graph.let()
    assert await answers(stays) == [2.0]
    assert [str(said["exception"]) for said in told] == ["an edge's mistake"]


async def test_an_urgent_request_may_have_the_place_of_one_whose_client_has_gone(tmp_path: Path) -> None:
    """Who has gone already is pushed out as quietly as it went."""
    bench = Bench(tmp_path, rows=2, max_waiting=1)
    first = bench.ask()
    await bench.graph.running()
    bench.ask().future.cancel()
    urgent = bench.ask(3.0, priority=1)
    bench.graph.let(2)
    assert await answers(first, urgent) == [2.0, 6.0]
    bench.batcher.close()


async def test_beyond_the_bound_requests_are_refused(tmp_path: Path) -> None:
    """A full queue refuses with a time to come back, computed from what its runs take."""
    bench = Bench(tmp_path, times=((1, 2.5), (2, 5.0)), rows=2, max_waiting=4)
    first = bench.ask()
    await bench.graph.running()
    waiting = [bench.ask() for _ in range(4)]
    with pytest.raises(QueueFullError, match=r"max_waiting") as refused:
        bench.ask()
    assert refused.value.retry_after == 2 * 5 + 5
    with pytest.raises(QueueFullError):
        bench.batcher.check_room(5, None)
    bench.batcher.check_room(4, None)
    urgent = bench.ask(7.0, priority=1)
    with pytest.raises(QueueFullError):
        await waiting[-1].future
    bench.graph.let(10)
    assert await answers(first, urgent) == [2.0, 14.0]
    await answers(*waiting[:-1])
    bench.batcher.close()


async def test_what_cannot_be_in_time_is_refused_at_once(bench: Bench) -> None:
    """A run takes a second here: shorter deadlines never work, longer ones not behind a run in progress."""
    for deadline in (-1.0, 0.0, 0.5):
        with pytest.raises(ExpiredError, match="1e"):
            bench.ask(deadline=bench.clock.monotonic() + deadline)
    first = bench.ask(deadline=bench.clock.monotonic() + 1.5)
    await bench.graph.running()
    with pytest.raises(LateError) as late:
        bench.ask(deadline=bench.clock.monotonic() + 1.5)
    assert late.value.retry_after >= 1
    with pytest.raises(LateError):
        bench.batcher.check_room(5, bench.clock.monotonic() + 1.5)
    with pytest.raises(ExpiredError):
        bench.batcher.check_room(5, bench.clock.monotonic())
    second = bench.ask(deadline=bench.clock.monotonic() + 3.0)
    bench.graph.let(2)
    await answers(first, second)


async def test_what_was_measured_in_a_bad_moment_is_corrected(bench: Bench) -> None:
    """Clients who all want it sooner than a run seemed to last are answered once runs are quicker."""
    bench.graph.let(1000)
    refused = 0
    for _ in range(400):
        try:
            await bench.ask(deadline=bench.clock.monotonic() + 0.5).future
        except ExpiredError:
            refused += 1
    assert 15 < refused < 200
    bench.batcher.close()


async def test_what_cannot_run_together_is_waited_for_one_by_one(tmp_path: Path) -> None:
    """Requests of several shapes take a run each, and who would come behind them all is told at once."""
    bench = Bench(tmp_path, open_inputs=("x",))
    first = bench.ask()
    await bench.graph.running()
    waiting = [bench.ask(length=length) for length in (2, 3, 4)]
    with pytest.raises(LateError):
        bench.ask(deadline=bench.clock.monotonic() + 5.0, length=5)
    patient = bench.ask(deadline=bench.clock.monotonic() + 10.0, length=5)
    bench.graph.let(5)
    await answers(first, *waiting, patient)
    assert bench.graph.rows == [1] * 5
    bench.batcher.close()


async def test_what_expires_in_the_queue_is_never_run(bench: Bench) -> None:
    """When its turn comes too late, a request is refused; those with time left run."""
    first = bench.ask()
    await bench.graph.running()
    late, patient = bench.ask(deadline=bench.clock.monotonic() + 3.0), bench.ask()
    bench.clock.advance(5.0)
    bench.graph.let(2)
    await answers(first, patient)
    with pytest.raises(ExpiredError):
        await late.future
    assert bench.graph.rows == [1, 1]


async def test_a_run_waits_for_those_just_answered(bench: Bench) -> None:
    """With several in flight, who comes back within the time that joining saves runs along."""
    first = bench.ask()
    await bench.graph.running()
    second = bench.ask()
    bench.graph.let()
    await answers(first)
    again = bench.ask()
    bench.graph.let()
    await answers(second, again)
    assert bench.graph.rows == [1, 2]


async def test_one_client_never_waits(bench: Bench) -> None:
    """A client that is alone has its run begun at once, again and again."""
    for _ in range(3):
        entry = bench.ask()
        await bench.graph.running()
        bench.graph.let()
        await answers(entry)
    assert bench.graph.rows == [1, 1, 1]


async def test_a_slow_version_stalls_nobody_else(tmp_path: Path, bench: Bench) -> None:
    """Versions have threads of their own: while one runs for ever, another's requests are answered."""
    other = Bench(tmp_path, rows=1)
    slow = [other.ask() for _ in range(8)]
    await other.graph.running()
    entry = bench.ask()
    bench.graph.let()
    assert await answers(entry) == [2.0]
    other.graph.let(8)
    await answers(*slow)
    other.batcher.close()


async def test_what_is_not_joined_runs_side_by_side(tmp_path: Path) -> None:
    """A version whose requests are not joined has as many runs at once as it has threads."""
    bench = Bench(tmp_path, rows=1)
    entries = [bench.ask() for _ in range(3)]
    await bench.graph.running()
    await bench.graph.running()
    bench.graph.let(3)
    await answers(*entries)
    assert bench.graph.rows == [1, 1, 1]
    bench.batcher.close()


async def test_a_mistake_of_ours_ends_the_waiting(bench: Bench) -> None:
    """Whatever is raised in the thread reaches the requests of that run, and the next ones run."""
    entry = bench.batcher.submit({"y": np.zeros((1, 1), np.float32)}, 1, None, 5)
    bench.graph.let(2)
    with pytest.raises(KeyError):
        await entry.future
    assert await answers(bench.ask()) == [2.0]


async def test_who_is_alone_may_run_on_the_loop(bench: Bench) -> None:
    """Where nothing runs, waits, or came in behind the last run, and the run is short enough."""
    assert bench.batcher.takes_alone(1, 1.0)
    assert not bench.batcher.takes_alone(1, 0.9)
    bench.batcher.ran_alone(1, 1.0)
    assert not bench.batcher.takes_alone(1, 1.0)
    await asyncio.sleep(0)
    assert not bench.batcher.takes_alone(1, 1.0)
    await asyncio.sleep(0)
    assert bench.batcher.takes_alone(1, 1.0)
    entry = bench.ask()
    assert not bench.batcher.takes_alone(1, 1.0)
    await bench.graph.running()
    assert not bench.batcher.takes_alone(1, 1.0)
    bench.graph.let()
    await answers(entry)
    assert bench.batcher.takes_alone(1, 1.0)
    several = [bench.ask(), bench.ask()]
    bench.graph.let()
    await answers(*several)
    assert not bench.batcher.takes_alone(1, 1.0)
