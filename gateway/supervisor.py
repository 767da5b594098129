"""The parent of the workers: it holds the sockets and the folder, keeps its crew, and knows no model.

1. One lock on the data folder: a second supervisor is refused.
2. Listening sockets are opened once and held until the end; workers inherit them and come and go.
3. Workers are started again when they die and replaced when it is time (`gateway.crew`); what a dead one
   leaves is brought into the log and folded away (`gateway.aftermath`).
4. A worker learns of the supervisor's death by the end of its standard input, over which it also asks for
   what operators want of all workers together.
5. SIGTERM or SIGINT stops everything in order: readiness fails, all goes on for `stop.delay`, the door is
   closed behind the last who came in, workers finish what they have, flush and exit; exit code 0.
6. SIGHUP takes up changed settings, SIGUSR1 replaces every worker.

It never loads the runtime, so nothing a model does can take it down.
"""

import asyncio
import contextlib
import functools
import os
import random
import signal
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, Final

from gateway import named_models
from gateway.aftermath import Aftermath
from gateway.children import Children
from gateway.chores import Chores
from gateway.crew import Crew, StartError
from gateway.door import close_door
from gateway.guards import CrashGuard
from gateway.line import SupervisorError
from gateway.listeners import GRPC_PORT, Addresses, Listeners
from gateway.order import Ask, Verb, Word
from gateway.places import Places
from gateway.renewal import Reload, Renewal, told
from gateway.roster import Roster, roster_of
from gateway.settings import GatewaySettings
from gateway.sizing import sized
from gateway.sweep import Sweeper
from gateway.tally import CountedSink, Tally
from groundwork import open_files
from groundwork.boot import boot_id
from groundwork.clock import Clock, SystemClock
from groundwork.data_folder import claim, ours
from groundwork.errors import DriftgateError
from groundwork.files import FolderLock
from groundwork.logs import Log, capture, program_log
from groundwork.processors import processors
from groundwork.terminal import ignore_stops, open_terminal
from prediction_log.recovery import take_over
from prediction_log.segment_file import numbers, refuse_newer
from prediction_log.segment_sink import SegmentSink
from registry_client.backends import open_lasting
from registry_client.errors import RegistryError
from rollouts.store import SqliteStore

__all__ = ["StartError", "Supervisor", "run"]

WORKER: Final = (sys.executable, "-P", "-m", "gateway.worker")
SWEEP_SECONDS: Final = 10.0
LOOK_SECONDS: Final = 0.25


def run(settings: GatewaySettings, ready: Callable[[Addresses], None], reload: Reload | None = None) -> int:
    """Run the gateway until SIGTERM or SIGINT; blocking, from the main thread; returns the exit code.

    `ready` is called once, when every worker answers. LockedError when the data folder is in use, StoreError
    when it is kept from us, NewerStoreError when a newer driftgate wrote it or its log, RegistryError when
    there is nothing to serve, ListenError when a port cannot be had, StartError when workers cannot start.
    """
    open_files.raise_limit()
    settings = sized(settings, processors())
    data = Path(settings.data)
    with ours(data):
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = FolderLock.acquire(data)
    try:
        with ours(data):
            claim(data)
            refuse_newer(data / "log")
        known = known_models(settings, data)
        listeners = Listeners.open(settings)
        try:
            return asyncio.run(_supervise(settings, known, listeners, ready, reload))
        finally:
            ignore_stops()
            listeners.close()
    finally:
        lock.release()


def known_models(settings: GatewaySettings, data: Path) -> Collection[str]:
    """Models that were ever routed here, and those of the registry where a setting names others.

    RegistryError where that cannot be read and no model was ever routed here: a mistyped place, or a volume
    that is not mounted. Where there are routes the gateway starts all the same: what was served before is
    served from copies, and the registry may come back.
    """
    with contextlib.closing(SqliteStore(data / "rollouts.db", SystemClock())) as store:
        routed = store.routes()
    if routed and not named_models.strangers(settings, routed):
        return routed
    try:
        return {*routed, *open_lasting(settings.models, data / "cache").models()}
    except RegistryError:
        if not routed:
            raise
        return routed


async def _supervise(
    settings: GatewaySettings,
    known: Collection[str],
    listeners: Listeners,
    ready: Callable[[Addresses], None],
    reload: Reload | None,
) -> int:
    data = Path(settings.data)
    clock = SystemClock()
    log = program_log(settings.messages, clock)
    capture(log)
    warn_of_a_lost_key(data, log)
    named_models.warn(settings, known, log)
    sink = SegmentSink(data / "log", segment_bytes=settings.log.segment_bytes, clock=clock)
    places = Places.create(settings.workers + 1)
    if listeners.strayed:
        log.warning("grpc-port-taken", wanted=GRPC_PORT, at=listeners.place, remedy="set grpc.port, or 0")
    tally = Tally(data / "slots", settings.workers, log)
    chores = Chores(settings, tally.removed, clock, log)
    guard = CrashGuard.open(data, clock, log)
    sweeper = _sweeper_of(data / "slots", sink, tally, clock, log)
    aftermath = Aftermath(sweeper, guard, clock, log, tend=chores.tend)
    supervisor = Supervisor(settings, listeners, places, aftermath, tally, log, reload=reload)
    supervisor.renewal.reloaded = chores.use
    _obey(supervisor)
    chores.begin()
    try:
        return await supervisor.run(ready)
    finally:
        await chores.close()
        sink.close()
        guard.close()
        places.close()
        tally.close()


def _sweeper_of(slots: Path, sink: SegmentSink, tally: Tally, clock: Clock, log: Log) -> Sweeper:
    """What brings the rows of dead workers into the log, counted."""
    boot = boot_id()
    taking = functools.partial(take_over, sink=CountedSink(sink, tally), boot=boot, clock=clock)
    return Sweeper(slots, taking, clock, log, sync=sink.sync, boot=boot)


def warn_of_a_lost_key(data: Path, log: Log) -> None:
    """Say what it means that a worker will make a new id key beside a log that wants the old one."""
    key = data / "id.key"
    if not key.exists() and numbers(data / "log"):
        log.warning(
            "id-key-made-anew",
            file=key,
            means="labels and deletions by ids of before are not found, and hashed columns do not join what "
            "was logged",
            remedy="stop at once, restore the file from a backup, start again",
        )


def _obey(supervisor: "Supervisor") -> None:
    loop = asyncio.get_running_loop()
    had_terminal = open_terminal()

    def hung_up() -> None:
        if had_terminal and not open_terminal():
            supervisor.stop()
        else:
            supervisor.renewal.begin_reload("signal")

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, supervisor.stop)
    loop.add_signal_handler(signal.SIGHUP, hung_up)
    loop.add_signal_handler(signal.SIGUSR1, supervisor.renewal.begin_recycle, "signal")


class Supervisor:
    """Keeps the crew and does what operators want of it; owns nothing that answers a request."""

    def __init__(  # noqa: PLR0913  the parts of a supervisor, each its own
        self,
        settings: GatewaySettings,
        listeners: Listeners,
        places: Places,
        aftermath: Aftermath,
        tally: Tally,
        log: Log,
        *,
        reload: Reload | None = None,
        command: Sequence[str] = WORKER,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.children = Children(listeners, places, aftermath, log, self.answer, command=command, draw=draw)
        self.crew = Crew(settings, self.children, places, aftermath, tally, log)
        self.renewal = Renewal(self.crew, reload, log)
        self._listeners = listeners
        self._places = places
        self._aftermath = aftermath
        self._tally = tally
        self._log = log

    def stop(self) -> None:
        """Begin to stop; harmless when repeated."""
        if not self.crew.stopping.is_set():
            self._log.info("stopping")
            self.crew.stopping.set()

    async def run(self, ready: Callable[[Addresses], None]) -> int:
        """Keep the workers until `stop`; StartError when none of them ever answers.

        What dead workers of an earlier life left is taken over first; where that cannot be read at all, a
        StoreError says so and nothing is started.
        """
        await self._aftermath.take_over()
        crew = self.crew
        crew.begin()
        tasks = [asyncio.create_task(self._sweep()), asyncio.create_task(self._look())]
        try:
            if await crew.ready():
                ready(self._listeners.addresses(os.getpid()))
                await crew.stopping.wait()
        finally:
            self.stop()
            clean = await crew.stop(self._close_door)
            await asyncio.gather(*tasks)
            await self.renewal.settled()
            await self._aftermath.sweep()
        if crew.fault is not None:
            raise crew.fault
        return 0 if clean else 1

    async def answer(self, ask: Ask) -> Word:
        """What a worker is answered, on behalf of an operator; never raises."""
        who = ask.who or "an operator"
        try:
            return Word("answer", ask.number, await self._done(ask.verb, who))
        except DriftgateError as error:
            if ask.verb != "reload":  # of a reload the log has a line already
                self._log.warning("operator-refused", verb=ask.verb, who=ask.who, fault=error)
            return Word("answer", ask.number, error=str(error), code=error.code)
        except Exception as error:  # noqa: BLE001  whoever waits is told at once, whatever went wrong
            self._log.error("operator-not-answered", verb=ask.verb, who=ask.who, fault=told(error))
            said = (
                f"{ask.verb} failed in the supervisor ({type(error).__name__}: {error}); its log says where"
            )
            return Word("answer", ask.number, error=said, code=SupervisorError.code)

    async def _done(self, verb: Verb, who: str) -> Any:
        if verb == "workers":
            return self.roster()
        if verb == "recycle":
            return self.renewal.recycle(who)
        if verb == "config":
            return await self.renewal.in_force()
        return await self.renewal.answer(who)

    def roster(self) -> Roster:
        """Who works where now, and what is barred."""
        return roster_of(self.crew, self._places, self._tally, self._aftermath.barred())

    def _close_door(self) -> asyncio.Future[object]:
        return asyncio.ensure_future(close_door(self._listeners.all))

    async def _sweep(self) -> None:
        while not self.crew.stopping.is_set():
            await self.crew.pause(SWEEP_SECONDS)
            await self._aftermath.sweep()

    async def _look(self) -> None:
        while not self.crew.stopping.is_set():
            await self.crew.pause(LOOK_SECONDS)
            self.crew.look()
