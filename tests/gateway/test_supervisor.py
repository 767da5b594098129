"""Keeping workers alive; the workers here are one-line programs that load nothing."""

import asyncio
import io
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.guards import CrashGuard
from gateway.listeners import Addresses, Listeners
from gateway.places import Places
from gateway.settings import GatewaySettings, PortSettings, StopSettings
from gateway.supervisor import HOPELESS, StartError, Supervisor
from gateway.sweep import Sweeper
from groundwork.clock import SystemClock
from groundwork.logs import Log
from rollouts import spec_file, verbs
from rollouts.history import Entry
from rollouts.store import SqliteStore
from tests.facts import until

FREE = PortSettings(port=0)
# A worker reads its order, says that it answers, and ends with the supervisor or on SIGTERM.
READS = """
import json, os, sys
from pathlib import Path
from gateway.metrics import EXECUTING
from gateway.places import Places, Stage
from groundwork.slots import Slot
told = json.loads(sys.stdin.readline())
data, place = Path(told["settings"]["data"]), told["place"]
"""
# It shows a run of version 2 of `m` under way.
EXECUTES = """
slot = Slot.create(data / "slots", place=place)
labels = {"model": "m", "version": "2"}
slot.counters.values[slot.counters.series(EXECUTING, labels, kind="gauge")] = 1
"""
SAYS = """
(data / f"worker-{place}-{os.getpid()}").touch()
Places(told["places_fd"], told["workers"]).reach(place, Stage.READY)
"""
WAITS = "sys.stdin.read()"
ANSWERS = READS + SAYS + WAITS
RUNS_CANDIDATE = READS + EXECUTES + SAYS + WAITS
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)" + ANSWERS
DIES = "import sys; sys.exit(3)"


class Bench:
    """A supervisor over a folder, with workers that run the given program."""

    def __init__(self, folder: Path, program: str, **settings: Any) -> None:
        self.folder = folder
        self.settings = GatewaySettings(data=str(folder), workers=2, http=FREE, operator=FREE, **settings)
        clock = SystemClock()
        self.lines = io.StringIO()
        log = Log(self.lines, clock)
        self.listeners = Listeners.open(self.settings)
        self.places = Places.create(2)
        self.store = SqliteStore(folder / "rollouts.db", clock)
        self._guard = CrashGuard.open(folder, clock, log)
        sweeper = Sweeper(folder / "slots", lambda _folder: 0, clock, log)
        self.supervisor = Supervisor(
            self.settings,
            self.listeners,
            self.places,
            sweeper,
            self._guard,
            log,
            command=(sys.executable, "-c", program),
        )
        self.ready = asyncio.Event()
        self.addresses: list[Addresses] = []

    def run(self) -> "asyncio.Task[int]":
        """Let it run."""

        def note(addresses: Addresses) -> None:
            self.addresses.append(addresses)
            self.ready.set()

        return asyncio.create_task(self.supervisor.run(note))

    def pids(self) -> list[int]:
        """The workers that ever answered."""
        return [int(path.name.rpartition("-")[2]) for path in self.folder.glob("worker-*")]

    def close(self) -> None:
        """Give everything back."""
        self._guard.close()
        self.store.close()
        self.places.close()
        self.listeners.close()


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


async def test_a_worker_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    """After the time a stop may take, a worker that ignores it is killed, and the code says so."""
    stop = StopSettings(delay=0.0, linger=0.0, limit=0.0)
    bench = Bench(tmp_path, STUBBORN, stop=stop)
    bench.supervisor.patience = 0.1
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
