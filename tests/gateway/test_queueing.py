"""What waits for a version."""

import asyncio
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gateway.queueing import NEVER, Queue, Waiting


def entry(rows: int = 1, priority: int = 5, deadline: float = NEVER, alike: object = None) -> Waiting:
    """One that waits since 0; 4 bytes a row."""
    loop = asyncio.new_event_loop()
    try:
        feeds = {"x": np.zeros((rows, 1), np.float32)}
        future: asyncio.Future[list[object]] = loop.create_future()
        return Waiting(feeds, rows, future, 0.0, deadline=deadline, priority=priority, alike=alike)  # type: ignore[arg-type]
    finally:
        loop.close()


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 9)), max_size=30), st.integers(1, 8))
def test_everything_is_taken_once_and_the_urgent_first(asked: list[tuple[int, int]], most: int) -> None:
    """Runs have at most so many rows (or one entry), and together everything, by priority, then arrival."""
    queue = Queue(100, 1 << 20)
    entries = [entry(rows, priority) for rows, priority in asked]
    for one in entries:
        queue.push(one)
    runs = []
    while queue:
        runs.append(queue.take(most, 0.0, 0.0)[0])
    assert all(sum(one.rows for one in run) <= most or len(run) == 1 for run in runs)
    taken = [one for run in runs for one in run]
    assert sorted(map(id, taken)) == sorted(map(id, entries))
    assert (queue.rows, queue.size, len(queue)) == (0, 0, 0)
    firsts = [run[0].priority for run in runs]
    assert firsts == sorted(firsts)


def test_what_is_not_alike_does_not_run_together() -> None:
    """A run is of one kind; the others keep their order."""
    queue = Queue(10, 1 << 20)
    entries = [entry(alike=kind) for kind in "abab"]
    for one in entries:
        queue.push(one)
    assert [[one.alike for one in queue.take(8, 0.0, 0.0)[0]] for _ in range(2)] == [["a", "a"], ["b", "b"]]


def test_the_bounds_hold() -> None:
    """Beyond so many entries or bytes there is no room; one entry has room however large it is."""
    queue = Queue(2, 8)
    assert queue.has_room(1000)
    queue.push(entry())
    assert queue.has_room(4)
    assert not queue.has_room(5)
    queue.push(entry())
    assert not queue.has_room(0)


def test_the_urgent_takes_the_place_of_the_youngest_of_the_least_urgent() -> None:
    """A full queue lets a more urgent entry in, at the cost of one that is less urgent and came last."""
    queue = Queue(3, 1 << 20)
    first, least, last = entry(priority=2), entry(priority=9), entry(priority=9)
    for one in (first, least, last):
        queue.push(one)
    assert not queue.has_room(0, 9)
    assert queue.has_room(0, 5)
    assert queue.push(entry(priority=5)) == [last]
    assert len(queue) == 3


def test_the_late_and_the_gone_are_not_run() -> None:
    """A sweep removes both and tells of the late; one that came first of all has until its deadline."""
    queue = Queue(10, 1 << 20)
    gone, late, alone, good = entry(), entry(deadline=5.0), entry(deadline=5.0), entry(deadline=9.0)
    alone.alone = True
    for one in (gone, late, alone, good):
        queue.push(one)
    gone.future.cancel()
    assert queue.sweep(4.5, 1.0) == [late]
    assert queue.take(10, 4.5, 1.0) == ([alone, good], [])


def test_the_late_and_the_gone_are_passed_over() -> None:
    """Without a sweep too, who is taken has time left and somebody who waits; the late are told of."""
    queue = Queue(10, 1 << 20)
    gone, late, good, rest = entry(), entry(deadline=5.0), entry(deadline=9.0), entry(deadline=5.0)
    for one in (gone, late, good, rest):
        queue.push(one)
    gone.future.cancel()
    assert queue.take(1, 4.5, 1.0) == ([good], [late])
    assert len(queue) == 1
    assert queue.take(1, 4.5, 1.0) == ([], [rest])
    assert (queue.rows, queue.size, len(queue)) == (0, 0, 0)


def test_what_is_ahead_is_known() -> None:
    """Entries and rows that are as urgent, or more."""
    queue = Queue(10, 1 << 20)
    for priority, rows in ((1, 2), (5, 3), (9, 4)):
        queue.push(entry(rows, priority))
    assert [queue.ahead(priority) for priority in (1, 5, 9)] == [(1, 2), (2, 5), (3, 9)]


async def test_who_waits_goes_on_at_once() -> None:
    """An answer does not wait for the loop to turn; who comes later goes on as ever."""
    future: asyncio.Future[list[object]] = asyncio.get_running_loop().create_future()
    one = Waiting({}, 1, future, 0.0)  # type: ignore[arg-type]
    said: list[object] = []

    async def wait() -> None:
        said.append(await future)

    task = asyncio.create_task(wait())
    future.add_done_callback(said.append)
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_soon(one.answer, [])
    asyncio.get_running_loop().call_soon(lambda: said.append("next"))
    await task
    assert said == [future, [], "next"]
    assert await future == []


def test_an_answer_is_late_before_its_client_has_gone() -> None:
    """Where others wait too, the last twentieth of the time is for the way back."""
    crowded, alone, patient = entry(deadline=1.0), entry(deadline=1.0), entry()
    alone.alone = True
    for now, late in ((0.9, (False, False)), (0.96, (True, False)), (1.01, (True, True))):
        assert (crowded.is_late(now), alone.is_late(now)) == late
        assert not patient.is_late(now)


def test_no_run_is_begun_whose_answer_would_be_late() -> None:
    """What ends within the last twentieth of a request's time is too late then, so it is not begun."""
    queue = Queue(10, 1 << 20)
    queue.push(entry(deadline=100.0))
    assert [len(part) for part in queue.take(8, 90.0, 6.0)] == [0, 1]
    queue.push(entry(deadline=100.0))
    taken, late = queue.take(8, 90.0, 5.0)
    assert (len(taken), late) == (1, [])
    assert not taken[0].is_late(90.0 + 5.0)


def test_texts_count_by_their_length() -> None:
    """A request holds the strings it has, and the body it was read from, and not only pointers to them."""
    loop = asyncio.new_event_loop()
    future: asyncio.Future[list[Any]] = loop.create_future()
    feeds: dict[str, Any] = {"s": np.array([["a" * 1000]], object)}
    assert 1000 < Waiting(feeds, 1, future, 0.0).size < 1200
    assert Waiting(feeds, 1, future, 0.0, body=5000).size == 5000
    many: dict[str, Any] = {"s": np.array(["ab"] * 100_000, object)}
    assert 6_000_000 < Waiting(many, 1, future, 0.0).size < 9_000_000
    loop.close()
