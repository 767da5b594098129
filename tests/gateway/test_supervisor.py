"""Keeping workers alive; the workers here are one-line programs that load nothing."""

import asyncio
import io
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from gateway.crew import HOPELESS, StartError
from gateway.settings import StopSettings, WorkerSettings
from gateway.supervisor import warn_of_a_lost_key
from groundwork.clock import FakeClock
from groundwork.logs import Log
from prediction_log.ids import load_key
from rollouts import spec_file, verbs
from rollouts.history import Entry
from tests.facts import until
from tests.gateway.supervised import (
    ANSWERS,
    DIES,
    FALLS_IN_LOADS,
    HANGS,
    LOADS,
    RUNS_CANDIDATE,
    STUBBORN,
    Bench,
)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """Workers that answer."""
    made = Bench(tmp_path, ANSWERS)
    yield made
    made.close()


async def test_ready_when_every_worker_answers(bench: Bench) -> None:
    """Readiness is told once, with the addresses; a stop ends the workers and the code is 0."""
    running = bench.run()
    await until(bench.ready.is_set, "every worker answers")
    assert len(bench.pids()) == 2
    bench.supervisor.stop()
    bench.supervisor.stop()
    assert await running == 0
    assert bench.addresses == [bench.listeners.addresses(os.getpid())]


async def test_a_dead_worker_is_replaced(bench: Bench) -> None:
    """A worker that is killed is followed by another in its place, on the same sockets."""
    running = bench.run()
    await until(bench.ready.is_set, "every worker answers")
    before = set(bench.pids())
    os.kill(bench.pids()[0], signal.SIGKILL)
    await until(lambda: set(bench.pids()) != before, "another worker answers")
    bench.supervisor.stop()
    assert await running == 0
    assert "was ended by SIGKILL" in bench.lines.getvalue()
    assert bench.restarts("killed") == 1


async def test_versions_that_kill_in_their_load_are_left_out(tmp_path: Path) -> None:
    """However many versions bring a worker down while it loads them, the start goes on without them."""
    bench = Bench(tmp_path, FALLS_IN_LOADS)
    running = bench.run()
    await until(lambda: bench.ready.is_set() or running.done(), "every worker answers", seconds=60.0)
    barred = bench.supervisor.roster().barred
    assert [(one.model, one.version) for one in barred] == [("a", "1"), ("b", "1"), ("c", "1")]
    assert "it was being loaded when" in barred[0].reason
    bench.supervisor.stop()
    assert await running == 0
    bench.close()


async def test_workers_that_never_answer_end_the_start(tmp_path: Path) -> None:
    """When no worker ever answers, the start is given up with the reason, and not tried for ever."""
    bench = Bench(tmp_path, DIES)
    with pytest.raises(StartError, match="ended with exit code 3"):
        await bench.run()
    assert bench.lines.getvalue().count("worker-died") >= HOPELESS
    assert not bench.ready.is_set()
    bench.close()


async def test_stop_before_ready(tmp_path: Path) -> None:
    """A stop that comes before anybody answers is a stop, not a failure."""
    bench = Bench(tmp_path, "import sys; sys.stdin.read()")
    running = bench.run()
    await asyncio.sleep(0)
    bench.supervisor.stop()
    assert await running == 0
    bench.close()


async def test_a_stop_waits_for_no_load(tmp_path: Path) -> None:
    """Workers that do not answer yet are ended at once; the code is 0."""
    bench = Bench(tmp_path, LOADS)
    running = bench.run()
    await until(lambda: len(bench.pids()) == 2, "both are loading")
    bench.supervisor.stop()
    assert await running == 0
    assert "worker-killed" not in bench.lines.getvalue()
    bench.close()


async def test_a_worker_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    """After the time a stop may take, a worker that ignores it is killed, and the code says so."""
    stop = StopSettings(delay=0.0, linger=0.0, limit=0.0)
    bench = Bench(tmp_path, STUBBORN, stop=stop)
    bench.supervisor.children.patience = 0.1
    running = bench.run()
    await until(bench.ready.is_set, "every worker answers")
    bench.supervisor.stop()
    assert await running == 1
    assert "worker-killed" in bench.lines.getvalue()
    bench.close()


async def test_workers_that_die_together_are_each_judged(tmp_path: Path) -> None:
    """Every death is judged by its own exit code, whichever worker's end was noticed first."""
    bench = Bench(tmp_path, RUNS_CANDIDATE)
    begin = verbs.start(spec_file.convert({}), "2")
    bench.store.ensure_first("m", "1", "gateway")
    verbs.apply(bench.store, "m", begin, Entry(actor="operator:ada", verb="start"), 0)
    running = bench.run()
    await until(bench.ready.is_set, "every worker answers")
    for pid in bench.pids():
        os.kill(pid, signal.SIGSEGV)
    await until(lambda: bench.store.active("m") is None, "the candidate is aborted")
    assert [entry.verb for entry in bench.store.history(after=2)] == ["crash", "crash", "abort"]
    bench.supervisor.stop()
    assert await running == 0
    bench.close()


async def test_a_worn_out_worker_is_replaced(tmp_path: Path) -> None:
    """A worker that has served as much as its settings allow is followed by another; the others go on."""
    bench = Bench(tmp_path, ANSWERS, worker=WorkerSettings(max_requests=100))
    running = bench.run()
    await until(bench.ready.is_set, "every worker answers")
    before = bench.working()
    bench.places.serve(0, 100)
    await until(lambda: bench.restarts("recycled") == 1, "one is replaced")
    await until(lambda: len(bench.working()) == 2, "two answer")
    assert len(bench.working() & before) == 1
    assert "100 requests" in bench.lines.getvalue()
    bench.supervisor.stop()
    assert await running == 0
    bench.close()


async def test_a_worker_that_hangs_is_ended_and_replaced(tmp_path: Path) -> None:
    """A loop that stands still longer than allowed is ended by SIGKILL where SIGABRT is not enough."""
    bench = Bench(tmp_path, HANGS)
    running = bench.run()
    await until(bench.ready.is_set, "every worker answers")
    before = bench.working()
    for child in bench.supervisor.children._living:  # not before they answer: that takes as long as it takes
        child.settings = msgspec.structs.replace(child.settings, worker=WorkerSettings(hung=0.3))
    await until(lambda: bench.restarts("hung") >= 2, "both are ended")
    await until(lambda: bool(bench.working()) and not bench.working() & before, "others answer")
    assert "worker-hangs" in bench.lines.getvalue()
    bench.supervisor.stop()
    await running
    bench.close()


async def test_a_worker_that_hangs_before_it_answers_is_ended(tmp_path: Path) -> None:
    """Another is started in the place of one whose loop never began to turn."""
    bench = Bench(tmp_path, LOADS, worker=WorkerSettings(hung=0.3))
    running = bench.run()
    await until(lambda: bench.restarts("hung") >= 2, "both are ended")
    assert not bench.ready.is_set()
    bench.supervisor.stop()
    await running
    bench.close()


def test_a_lost_id_key_is_told(tmp_path: Path) -> None:
    """A folder with a log and without its key is said to lose something; a new or a whole one is not."""
    lines = io.StringIO()
    log = Log(lines, FakeClock())
    warn_of_a_lost_key(tmp_path, log)
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "000001.seg").touch()
    load_key(tmp_path)
    warn_of_a_lost_key(tmp_path, log)
    assert not lines.getvalue()
    (tmp_path / "id.key").unlink()
    warn_of_a_lost_key(tmp_path, log)
    (line,) = lines.getvalue().splitlines()
    assert "id-key-made-anew" in line
    assert str(tmp_path / "id.key") in line
    assert "restore the file" in line
