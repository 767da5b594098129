"""A supervisor over a folder whose workers are one-line programs that load nothing."""

import asyncio
import io
import sys
from pathlib import Path
from typing import Any

from gateway.aftermath import Aftermath
from gateway.guards import CrashGuard
from gateway.listeners import Addresses, Listeners
from gateway.metrics import RESTARTS
from gateway.places import Places
from gateway.renewal import Reload
from gateway.settings import GatewaySettings, GrpcSettings, PortSettings
from gateway.sizing import sized
from gateway.supervisor import Supervisor
from gateway.sweep import Sweeper
from gateway.tally import Tally
from groundwork.clock import FakeClock
from groundwork.logs import Log
from groundwork.slot_readings import totals
from prediction_log.recovery import Taken
from rollouts.store import SqliteStore

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
        self.fault: Exception | None = None
        self.done_fault: OSError | None = None
        self.supervisor = Supervisor(
            self.settings,
            self.listeners,
            self.places,
            Aftermath(sweeper, self._guard, self.clock, self.log),
            self.tally,
            self.log,
            reload=Reload(self._read, self._done, lambda: {"workers": {"value": 2, "source": "default"}}),
            command=(sys.executable, "-c", program),
            draw=lambda: 0.0,
        )
        self.ready = asyncio.Event()
        self.addresses: list[Addresses] = []

    def _read(self, _current: GatewaySettings) -> GatewaySettings:
        if self.fault is not None:
            raise self.fault
        return self.next

    def _done(self, taken: bool) -> None:  # noqa: FBT001  as whoever gives settings is told
        self.taken.append(taken)
        if self.done_fault is not None:
            raise self.done_fault

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
        """The workers that answer now; one-line programs have no loop that turns."""
        views = self.supervisor.roster().workers
        return {view.pid for view in views if view.state in ("ready", "hung")}

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
