"""Tests of monitor.priority."""

import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from monitor.priority import INSISTING, QUIET, STARVED_S, Waited, give_way, in_turns


def _standing() -> tuple[int, int]:
    """The niceness and the policy of the calling thread."""
    return os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(0)


@pytest.mark.skipif(sys.platform != "linux", reason="priorities of threads are Linux's")
def test_only_the_thread_that_calls_gives_way() -> None:
    """A thread that gives way is last and interrupts nobody; the others stand where they stood."""
    before = _standing()
    with ThreadPoolExecutor(1) as thread:
        thread.submit(give_way).result()
        assert thread.submit(_standing).result() == (max(QUIET, before[0]), os.SCHED_IDLE)
    assert _standing() == before


@pytest.mark.skipif(sys.platform != "linux", reason="priorities of threads are Linux's")
def test_the_first_round_and_those_behind_a_starved_one_insist() -> None:
    """The first round insists, whoever starts waits for it; a later one only behind many starved ones."""
    before = _standing()[0]
    seen: list[tuple[tuple[int, int], threading.Thread]] = []
    rounds = iter([0.0, STARVED_S - 1.0, 0.0, STARVED_S - 1.0, 0.5, 0.5])

    def work(enough: Callable[[float], bool]) -> bool:
        seen.append((_standing(), threading.current_thread()))
        return not any(enough(starved) for starved in rounds)

    in_turns(work, oversleep=lambda: 0.0)
    assert next(rounds, None) is None
    quiet, insisting = (max(QUIET, before), os.SCHED_IDLE), (max(INSISTING, before), os.SCHED_BATCH)
    assert [standing for standing, _ in seen] == [insisting, quiet, insisting]
    assert len({thread for _, thread in seen}) == len(seen)


@pytest.mark.parametrize(("late", "leaves"), [([0.1], 0), ([1.0, 0.1], 0), ([3.0, 1.0, 2.0], 1)])
def test_who_gives_way_begins_no_round_while_it_is_kept_waiting(late: list[float], leaves: int) -> None:
    """It naps until it wakes in time, and leaves to a thread that insists when that has lasted too long."""
    naps, turns = iter(late), list[bool]()

    def work(enough: Callable[[float], bool]) -> bool:
        turns.append(enough(0.0))
        return len(turns) == 2

    in_turns(work, oversleep=naps.__next__)
    assert turns == [True, bool(leaves)]
    assert next(naps, None) is None


def test_what_the_work_raises_ends_the_turns() -> None:
    """An error of the work is the caller's, and no thread follows."""

    def work(_enough: Callable[[float], bool]) -> bool:
        raise OSError("as it is")

    with pytest.raises(OSError, match="as it is"):
        in_turns(work)


@pytest.mark.parametrize(
    ("passed", "worked", "starved"), [(2.0, 0.03, 2.0), (2.0, 0.05, 0.0), (0.3, 0.0, 0.0)]
)
def test_a_round_is_starved_where_it_had_next_to_nothing(
    passed: float, worked: float, starved: float
) -> None:
    """Its time counts whole where it worked for a fiftieth of it, and not where it was short."""
    waited = Waited(iter([10.0, 10.0 + passed]).__next__, iter([1.0, 1.0 + worked]).__next__)
    assert waited.starved == starved
