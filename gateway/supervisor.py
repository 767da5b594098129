"""The parent of the workers: it holds the sockets and the folder, keeps N workers alive, and knows no model.

1. One lock on the data folder: a second supervisor is refused.
2. Listening sockets are opened once and held until the end; workers inherit them and come and go.
3. A worker that dies is started again, at once the first time, then with growing waits. Its rows are brought
   into the log and its slot is folded away (`gateway.sweep`).
4. A worker learns of the supervisor's death by the end of its standard input.
5. SIGTERM or SIGINT stops everything in order: workers fail readiness, finish what is in flight, flush and
   exit; what one leaves behind is swept; exit code 0.

It never loads the runtime, so nothing a model does can take it down.
"""

import asyncio
import functools
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from gateway import order
from gateway.backoff import Backoff
from gateway.guards import CrashGuard
from gateway.listeners import Addresses, Listeners
from gateway.places import Places, Stage
from gateway.settings import GatewaySettings
from gateway.sweep import Sweeper
from gateway.upkeep import Upkeep
from groundwork.clock import SystemClock
from groundwork.data_folder import claim
from groundwork.errors import DriftgateError
from groundwork.files import FolderLock
from groundwork.logs import Log, capture, program_log
from groundwork.slots import SlotReading
from prediction_log.recovery import recover_slot
from prediction_log.segments import SegmentSink

WORKER: Final = (sys.executable, "-P", "-m", "gateway.worker")
# A worker that has never answered and died this often will not be helped by another start.
HOPELESS: Final = 3
POLL_SECONDS: Final = 0.01
SWEEP_SECONDS: Final = 10.0
# On top of what the settings allow a worker for its stop: the last flush and the interpreter's own end.
PATIENCE_SECONDS: Final = 10.0


class StartError(DriftgateError):
    """Workers that die before they ever answer."""

    code = "cannot-start"


def run(settings: GatewaySettings, ready: Callable[[Addresses], None]) -> int:
    """Run the gateway until SIGTERM or SIGINT; blocking, from the main thread; returns the exit code.

    `ready` is called once, when every worker answers. LockedError when the data folder is in use,
    ListenError when a port cannot be had, StartError when workers cannot start.
    """
    data = Path(settings.data)
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = FolderLock.acquire(data)
    try:
        claim(data)
        listeners = Listeners.open(settings)
        try:
            return asyncio.run(_supervise(settings, listeners, ready))
        finally:
            listeners.close()
    finally:
        lock.release()


async def _supervise(
    settings: GatewaySettings, listeners: Listeners, ready: Callable[[Addresses], None]
) -> int:
    data = Path(settings.data)
    clock = SystemClock()
    sink = SegmentSink(data / "log", segment_bytes=settings.log.segment_bytes, clock=clock)
    places = Places.create(settings.workers)
    log = program_log(settings.messages, clock)
    capture(log)
    sweeper = Sweeper(data / "slots", functools.partial(recover_slot, sink=sink), clock, log, sync=sink.sync)
    guard = CrashGuard.open(data, clock, log)
    upkeep = Upkeep(data / "log", settings.log, clock, log)
    keeping = asyncio.create_task(upkeep.run())
    supervisor = Supervisor(settings, listeners, places, sweeper, guard, log)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, supervisor.stop)
    try:
        return await supervisor.run(ready)
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        upkeep.close()
        sink.close()
        guard.close()
        places.close()


class Supervisor:
    """Keeps one worker alive in every place; owns the children and nothing that answers a request.

    `patience` is how long a worker may take to end beyond what the settings allow a stop.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        listeners: Listeners,
        places: Places,
        sweeper: Sweeper,
        guard: CrashGuard,
        log: Log,
        *,
        command: Sequence[str] = WORKER,
    ) -> None:
        self._settings = settings
        self._listeners = listeners
        self._places = places
        self._sweeper = sweeper
        self._guard = guard
        self._log = log
        self.patience = PATIENCE_SECONDS
        self._command = command
        self._children: dict[int, asyncio.subprocess.Process] = {}
        self._stopping = asyncio.Event()
        self._sweeping = asyncio.Lock()
        self._answered = False
        self._failures = 0
        self._fault: StartError | None = None
        self._dead: dict[int, SlotReading] = {}
        self._aftermaths: set[asyncio.Task[None]] = set()

    def stop(self) -> None:
        """Begin to stop; harmless when repeated."""
        if not self._stopping.is_set():
            self._log.info("stopping")
            self._stopping.set()

    async def run(self, ready: Callable[[Addresses], None]) -> int:
        """Keep the workers until `stop`; StartError when none of them ever answers.

        What dead workers of an earlier life left is taken over first; where that cannot be read at all, a
        StoreError says so and nothing is started.
        """
        await self._sweep()
        self._dead.clear()  # those died in an earlier life; nobody knows how
        keepers = [asyncio.create_task(self._keep(place)) for place in range(self._settings.workers)]
        sweeper = asyncio.create_task(self._sweep_now_and_then())
        try:
            if await self._all_ready():
                ready(self._listeners.addresses(os.getpid()))
                await self._stopping.wait()
        finally:
            self.stop()
            clean = await self._stop_workers(keepers)
            await asyncio.gather(sweeper, *self._aftermaths)
            await self._sweep_later()
        if self._fault is not None:
            raise self._fault
        return 0 if clean else 1

    async def _all_ready(self) -> bool:
        """Wait until every place answers; False when told to stop before."""
        while not self._stopping.is_set():
            if all(self._places.stage(place) is Stage.READY for place in range(self._settings.workers)):
                self._answered = True
                return True
            await self._pause(POLL_SECONDS)
        return False

    async def _keep(self, place: int) -> None:
        backoff = Backoff()
        while not self._stopping.is_set():
            try:
                code, pid, answered = await self._live(place)
            except OSError as error:
                code, pid, answered = error.errno or 1, 0, False
                self._log.error("worker-not-started", place=place, fault=error)
            if self._stopping.is_set():
                return
            wait = backoff.after(answered=answered)
            self._log.warning("worker-died", place=place, pid=pid, how=_death(code), restart_in_s=wait)
            self._give_up_if_hopeless(code)
            # The next worker does not wait for the dead one's rows.
            aftermath = asyncio.create_task(self._sweep_later(place, code))
            self._aftermaths.add(aftermath)
            aftermath.add_done_callback(self._aftermaths.discard)
            await self._pause(wait)

    async def _live(self, place: int) -> tuple[int, int, bool]:
        """One worker's life: its exit code, its process number, and whether it ever answered."""
        self._places.clear(place)
        self._places.reach(place, Stage.STARTING)
        fds = (self._places.fd, self._listeners.http.fileno(), self._listeners.operator.fileno())
        child = await asyncio.create_subprocess_exec(
            *self._command, stdin=asyncio.subprocess.PIPE, pass_fds=fds, process_group=0
        )
        self._children[place] = child
        if self._stopping.is_set():
            _signal(child, signal.SIGTERM)
        if child.stdin is not None:
            places_fd, http_fd, operator_fd = fds
            told = order.Order(
                place,
                self._settings.workers,
                places_fd,
                http_fd,
                operator_fd,
                self._settings,
                grpc=self._listeners.grpc,
            )
            child.stdin.write(order.encode(told))
        code = await child.wait()
        if child.stdin is not None:
            child.stdin.close()
        del self._children[place]
        answered = self._places.stage(place) is not Stage.STARTING
        self._places.clear(place)
        return code, child.pid, answered

    def _give_up_if_hopeless(self, code: int) -> None:
        self._failures += 1
        if not self._answered and self._failures >= HOPELESS * self._settings.workers:
            self._fault = StartError(
                f"workers die before they answer ({self._failures} so far, the last one {_death(code)}); "
                "the lines above say why"
            )
            self.stop()

    async def _stop_workers(self, keepers: Sequence[asyncio.Task[None]]) -> bool:
        """SIGTERM to every worker, SIGKILL to what is left after the bound; True when none was left."""
        for child in self._children.values():
            _signal(child, signal.SIGTERM)
        stop = self._settings.stop
        _, late = await asyncio.wait(keepers, timeout=stop.delay + stop.linger + stop.limit + self.patience)
        for place, child in list(self._children.items()):
            self._log.error("worker-killed", place=place, pid=child.pid, why="it did not stop in time")
            _signal(child, signal.SIGKILL)
        for task in keepers:
            await task
        return not late

    async def _sweep_now_and_then(self) -> None:
        while not self._stopping.is_set():
            await self._pause(SWEEP_SECONDS)
            await self._sweep_later()

    async def _sweep(self, place: int = -1, code: int = 0) -> None:
        """Sweep dead slots off the loop, one sweep at a time; judge the death of the worker of `place`."""
        async with self._sweeping:
            await asyncio.to_thread(self._sweep_and_judge, place, code)

    async def _sweep_later(self, place: int = -1, code: int = 0) -> None:
        """The same beside running workers, which go on whatever is wrong with the slots."""
        try:
            await self._sweep(place, code)
        except (DriftgateError, OSError) as error:
            self._log.error("slots-not-swept", fault=error)

    def _sweep_and_judge(self, place: int, code: int) -> None:
        # Of workers that die together the first one's sweep finds every slot; exit codes come one by one.
        self._dead.update({reading.place: reading for reading in self._sweeper.sweep()})
        found = self._dead.pop(place, None)
        if found is not None:
            self._guard.judge(found, code)

    async def _pause(self, seconds: float) -> None:
        """Wait, but not longer than until the stop."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return


def _signal(child: asyncio.subprocess.Process, number: signal.Signals) -> None:
    try:
        child.send_signal(number)
    except ProcessLookupError:
        return  # it has gone by itself


def _death(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
