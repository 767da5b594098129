"""Keeping workers alive; the workers here are one-line programs that load nothing."""

import asyncio
import io
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.aftermath import Aftermath
from gateway.crew import HOPELESS, StartError
from gateway.guards import CrashGuard
from gateway.line import BusyError, SupervisorError
from gateway.listeners import Addresses, Listeners
from gateway.metrics import RESTARTS
from gateway.order import Ask
from gateway.places import Places
from gateway.reload import RestartError
from gateway.settings import GatewaySettings, GrpcSettings, PortSettings, StopSettings, WorkerSettings
from gateway.sizing import sized
from gateway.supervisor import Reload, Supervisor, warn_of_a_lost_key
from gateway.sweep import Sweeper
from gateway.tally import Tally
from groundwork.clock import FakeClock
from groundwork.logs import Log
from groundwork.slots import totals
from prediction_log.ids import load_key
from prediction_log.recovery import Taken
from rollouts import spec_file, verbs
from rollouts.history import Entry
from rollouts.store import SqliteStore
from tests.facts import until

FREE = PortSettings(port=0)
SILENT = GrpcSettings(enabled=False)
# A worker reads its order, says that it answers, and ends with the supervisor or on SIGTERM.
READS = """
import json, os, sys
from pathlib import Path
from gateway.metrics import EXECUTING, LOADING
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
# Whatever the supervisor says after the order, and its end, mean: go.
WAITS = "sys.stdin.readline()"
ANSWERS = READS + SAYS + WAITS
RUNS_CANDIDATE = READS + EXECUTES + SAYS + WAITS
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)" + READS + SAYS + "signal.pause()"
# It is minutes into loading a model, in a thread that nothing stops.
LOADS = (
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    + READS
    + "(data / f'worker-{place}-{os.getpid()}').touch(); signal.pause()"
)
# Its loop never turns, and it is not to be ended politely.
HANGS = "import signal; signal.signal(signal.SIGABRT, signal.SIG_IGN)" + READS + SAYS + "signal.pause()"
# It comes up with the settings it was started with first, and with no others.
PARTICULAR = READS + "if told['settings']['stop']['linger'] == 7.0: sys.exit(5)" + SAYS + WAITS
DIES = "import sys; sys.exit(3)"
# It loads three versions one after another, and each brings it down.
FALLS_IN_LOADS = (
    READS
    + """
barred = [one["model"] for one in told["barred"]]
left = [name for name in ("a", "b", "c") if name not in barred]
if left:
    import signal
    slot = Slot.create(data / "slots", place=place)
    labels = {"model": left[0], "version": "1"}
    slot.counters.values[slot.counters.series(LOADING, labels, kind="gauge")] = 1
    signal.raise_signal(signal.SIGSEGV)
"""
    + SAYS
    + WAITS
)


class Bench:
    """A supervisor over a folder, with workers that run the given program."""

    def __init__(self, folder: Path, program: str, **settings: Any) -> None:
        self.folder = folder
        given = GatewaySettings(
            data=str(folder), workers=2, http=FREE, operator=FREE, grpc=SILENT, **settings
        )
        self.settings = sized(given, 2.0)
        self.clock = FakeClock()
        self.lines = io.StringIO()
        self.log = Log(self.lines, self.clock)
        self.listeners = Listeners.open(self.settings)
        self.places = Places.create(3)
        self.store = SqliteStore(folder / "rollouts.db", self.clock)
        self._guard = CrashGuard.open(folder, self.clock, self.log)
        sweeper = Sweeper(folder / "slots", lambda _slot: Taken(), self.clock, self.log)
        self.tally = Tally(folder / "slots", 2, self.log)
        self.next = self.settings
        self.taken: list[bool] = []
        self.supervisor = Supervisor(
            self.settings,
            self.listeners,
            self.places,
            Aftermath(sweeper, self._guard, self.clock, self.log),
            self.tally,
            self.log,
            reload=Reload(lambda _current: self.next, self.taken.append),
            command=(sys.executable, "-c", program),
            draw=lambda: 0.0,
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

    def working(self) -> set[int]:
        """The workers that answer now."""
        views = self.supervisor.roster().workers
        return {view.pid for view in views if view.state == "ready"}

    def restarts(self, reason: str) -> int:
        """How often a worker was followed by another for this reason."""
        return sum(
            value
            for key, value in totals(self.folder / "slots").items()
            if key.name == RESTARTS and ("reason", reason) in key.labels
        )

    def close(self) -> None:
        """Give everything back."""
        self._guard.close()
        self.tally.close()
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
    assert bench.restarts("killed") == 1


async def test_versions_that_kill_in_their_load_are_left_out(tmp_path: Path) -> None:
    """However many versions bring a worker down while it loads them, the start goes on without them."""
    bench = Bench(tmp_path, FALLS_IN_LOADS)
    running = bench.run()
    await until(lambda: bench.ready.is_set() or running.done(), "every worker answers", seconds=60.0)
    barred = bench.supervisor.roster().barred
    assert [one.key for one in barred] == [("a", "1"), ("b", "1"), ("c", "1")]
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
    bench.supervisor.crew.patience = 0.1
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


async def test_workers_are_replaced_one_by_one(bench: Bench) -> None:
    """Each is followed by one that answers before it goes; never does one answer less, and the code is 0."""
    running = bench.run()
    await until(bench.ready.is_set, "every worker answers")
    before, least = bench.working(), 2
    assert await bench.supervisor.recycle("ada") == 2
    with pytest.raises(BusyError):
        await bench.supervisor.recycle("ada")

    def replaced() -> bool:
        nonlocal least
        least = min(least, len(bench.working()))
        roster = bench.supervisor.roster()
        return not roster.replacing and not bench.working() & before

    await until(replaced, "both are replaced")
    assert least == 2
    assert bench.restarts("recycled") == 2
    assert len(bench.pids()) == 4
    bench.supervisor.stop()
    assert await running == 0


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
    bench = Bench(tmp_path, HANGS, worker=WorkerSettings(hung=0.3))
    running = bench.run()
    await until(bench.ready.is_set, "every worker answers")
    before = bench.working()
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


async def test_changed_settings_are_taken_up_by_new_workers(bench: Bench) -> None:
    """A reload names what changed, is told to whoever gave the settings, and every worker is replaced."""
    running = bench.run()
    await until(bench.ready.is_set, "every worker answers")
    before = bench.working()
    bench.next = msgspec.structs.replace(bench.settings, stop=StopSettings(linger=3.0))
    assert await bench.supervisor.reload("ada") == ["stop.linger"]
    await until(lambda: not bench.supervisor.roster().replacing, "all are replaced")
    assert len(bench.working()) == 2
    assert not bench.working() & before
    assert await bench.supervisor.reload("ada") == []
    assert bench.taken == [True, True]
    bench.supervisor.stop()
    assert await running == 0


async def test_settings_that_want_a_restart_change_nothing(bench: Bench) -> None:
    """They are refused by name, to the operator too, and every worker stays."""
    running = bench.run()
    await until(bench.ready.is_set, "every worker answers")
    before = bench.working()
    bench.next = msgspec.structs.replace(bench.settings, data="elsewhere", stop=StopSettings(linger=3.0))
    with pytest.raises(RestartError, match=r"^settings data need a restart; nothing was changed$"):
        await bench.supervisor.reload("ada")
    word = await bench.supervisor.answer(Ask(3, "reload", "ada"))
    assert (word.number, word.code) == (3, "needs-restart")
    assert bench.working() == before
    assert bench.taken == [False, False]
    bench.supervisor.stop()
    assert await running == 0


async def test_settings_with_which_no_worker_comes_up_change_nothing(tmp_path: Path) -> None:
    """The first new worker tries them alone; when it ends, all is as before."""
    bench = Bench(tmp_path, PARTICULAR)
    running = bench.run()
    await until(bench.ready.is_set, "every worker answers")
    before = bench.working()
    bench.next = msgspec.structs.replace(bench.settings, stop=StopSettings(linger=7.0))
    with pytest.raises(SupervisorError, match=r"no worker comes up with the new settings \(stop\.linger\)"):
        await bench.supervisor.reload("ada")
    assert bench.working() == before
    assert not bench.supervisor.roster().replacing
    bench.next = msgspec.structs.replace(bench.settings, stop=StopSettings(linger=3.0))
    assert await bench.supervisor.reload("ada") == ["stop.linger"]
    bench.supervisor.stop()
    assert await running == 0
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
