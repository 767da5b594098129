"""The only place where a worker's parts are put together, and the order in which they start and stop.

Start: routes and the versions they name first, then the ports; a worker never answers by an older route than
the one that stands when it opens. Stop: readiness first, then new connections, then what is in flight, then
the log. Everything in between is a handful of tasks that each look at one thing again and again.
"""

import asyncio
import contextlib
import functools
import gc
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway import rollout_meters
from gateway.access import LOOK_SECONDS as ACCESS_SECONDS
from gateway.access import AccessControl, operator_scope
from gateway.barring import BarringRegistry
from gateway.catalogue import Catalogue, Faults
from gateway.console import Console
from gateway.discover import Discovery
from gateway.endpoints import build_asgi
from gateway.fast import connections
from gateway.fleet import Fleet
from gateway.flusher import Flusher
from gateway.guards import ErrorWatch
from gateway.journal import Journal
from gateway.line import Line
from gateway.metrics import Scrapes, disk
from gateway.model import LoadedModel
from gateway.operator import build_operator
from gateway.order import Order
from gateway.pages.page import Premises
from gateway.pilot_task import Pilot
from gateway.places import Places, Stage
from gateway.port import Connection, Port
from gateway.presence import Presence
from gateway.reconcile import Reconciler
from gateway.repeating import again
from gateway.repository import Repository
from gateway.slot_room import open_slot
from gateway.spans import core_of
from gateway.wear import IDLE_LOOKS
from groundwork.clock import SystemClock
from groundwork.counters import SeriesKey
from groundwork.errors import DriftgateError
from groundwork.gate import Guarded
from groundwork.logs import Log
from groundwork.steady import steady
from groundwork.tracing import open_tracer
from prediction_log.ids import PredictionIds, load_key
from prediction_log.segments import SegmentSink
from registry_client.backends import open_registry
from registry_client.remembered import Remembered
from rollouts.follower import Follower
from rollouts.store import SqliteStore

if TYPE_CHECKING:
    from gateway.grpc_port.port import GrpcPort

GUARD_SECONDS: Final = 0.1
# Beyond `stop.delay`, for the supervisor to take in whoever waits at the door.
DOOR_SECONDS: Final = 1.5
JOURNAL_SECONDS: Final = 1.0
# Between two signs of life of a worker that has not begun to answer.
BEAT_SECONDS: Final = 0.1


class App:
    """One worker's parts; built and run on its loop."""

    def __init__(self, told: Order, line: Line, log: Log) -> None:
        """Open everything of the data folder that a worker uses; nothing answers yet."""
        settings, clock = told.settings, SystemClock()
        data = Path(settings.data)
        self._settings = settings
        self._clock = clock
        self._line = line
        self._place = told.place
        self._places = Places(told.places_fd, told.workers)
        self.slot = open_slot(data, told.place, log)
        self._log = log.bind(incarnation=self.slot.incarnation)
        self._presence = Presence(self.slot.counters)
        self._access = AccessControl(settings, told.place, told.workers, self.slot.counters, clock, self._log)
        self._store = SqliteStore(data / "rollouts.db", clock)
        self._follower = Follower(self._store)
        self._registry = Remembered(open_registry(settings.models, data / "cache"), data / "cache")
        ids = PredictionIds(load_key(data))
        reserve, sync = settings.log.reserve_bytes, settings.journal.durability == "sync"
        self._journal = Journal(self.slot, ids, clock, settings.journal, reserve_bytes=reserve)
        self._remarked: set[str] = set()
        self._copied: Mapping[tuple[str, str], str] = {}
        offered = BarringRegistry(self._registry, told.barred, clock, told.place)
        line.bar = offered.bar
        self._fleet = Fleet(offered, self._journal, self.slot.counters, settings, clock)
        self._tracer = open_tracer(settings.traces, "gateway")
        kind = core_of(self._tracer, durable=sync)
        self._core = kind({}, self._journal, self.slot.counters, settings, clock, on_demand=self._demand)
        self._reconciler = Reconciler(
            self._core, self._fleet, settings.pace, clock, self._presence, self._log
        )
        self._fleet.room = self._reconciler.make_room
        self._discovery = Discovery(self._registry, self._store, self._log)
        self._sink = SegmentSink(
            data / "log",
            segment_bytes=settings.log.segment_bytes,
            clock=clock,
            durable=sync,
            reserve_bytes=reserve,
        )
        self._flusher = Flusher(
            self._journal.files, self._sink, self.slot.counters, settings.pace.flush, self._log
        )
        self._journal.spooled = self._flusher.committed if sync else None
        self._watch = ErrorWatch(self._store, clock, self.slot.incarnation, self._fleet.in_a_row, self._log)
        holder = f"slot-{self.slot.incarnation}"
        self._pilot = Pilot(self._store, data / "slots", clock, holder, settings.pace.lease, self._log)
        self._pilot_thread = ThreadPoolExecutor(1, "pilot")
        self._console = Console(self._store, data / "slots", self._fleet, self._follow, clock)
        self._open_ports(told, data)

    def _open_ports(self, told: Order, data: Path) -> None:
        shown = Scrapes(data / "slots", functools.partial(self._facts, data))
        catalogue = Catalogue(
            self._registry,
            self._store,
            data / "slots",
            self._faults,
            self._fleet.schedules,
            self._settings.runs,
        )
        doors = self._access
        app = build_asgi(
            self._core,
            shown,
            self._log,
            doors.gate("http"),
            slots_folder=data / "slots",
            repository=self._repository(catalogue, data),
        )
        self._http = Port(
            app,
            socket.socket(fileno=told.http_fd),
            self._log,
            crowded=self._crowded,
            changed=self._hold,
            limits=doors.limits,
            tls=doors.tls["http"],
            refused=doors.refused("http"),
            connect=connections(app, self._log) if self._settings.requests.fast else Connection,
        )
        operator = build_operator(self._console, catalogue, shown, self._line)
        self._grpc = None if told.grpc_fd is None else self._grpc_port(told.grpc_fd, app.premises)
        self._operator = Port(
            Guarded(operator, doors.gate("operator"), operator_scope),
            socket.socket(fileno=told.operator_fd),
            self._log,
            limits=doors.limits,
            tls=doors.tls["operator"],
            refused=doors.refused("operator"),
        )

    def _repository(self, catalogue: Catalogue, data: Path) -> Repository:
        return Repository(
            catalogue,
            self._console,
            self._store,
            self._discovery,
            slots_folder=data / "slots",
            clock=self._clock,
            faults=self._faults,
        )

    def _grpc_port(self, listener: int, premises: Premises) -> "GrpcPort":
        # A stranger's bytes must not fill the log; gRPC's core reads this when it is loaded.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        from gateway.grpc_port.port import GrpcPort  # noqa: PLC0415  an extra, and 16 MB of memory

        return GrpcPort(
            socket.socket(fileno=listener),
            self.slot.folder,
            premises,
            self._access.gate("grpc"),
            self._log,
            tls=self._access.tls["grpc"],
            refused=self._access.refused("grpc"),
            crowded=self._called_more,
            changed=functools.partial(self._places.call, self._place),
        )

    async def run(self) -> int:
        """Start, answer until the line says to end, stop in order; the exit code."""
        starting = asyncio.create_task(again(self._turn, BEAT_SECONDS, self._log))
        await self._start()
        starting.cancel()
        looks: list[tuple[Callable[[], Awaitable[None]], float | Callable[[], float]]] = [
            (self._flusher.run, 0.0),
            (self._tick, self._pace),
            (self._guard, lambda: self._rested(GUARD_SECONDS)),
            (self._access.look, ACCESS_SECONDS),
            (self._look, self._settings.pace.registry),
            (self._tend, JOURNAL_SECONDS),
            (self._fly, self._settings.pace.pilot),
        ]
        tasks = [asyncio.create_task(again(work, seconds, self._log)) for work, seconds in looks]
        await self._line.end()
        clean = await self._stop(tasks)
        return 0 if clean else 1

    async def _start(self) -> None:
        await self._look()
        self._follow()
        await self._reconciler.settled()
        # From here on whoever edits a route waits for us; what was edited before is read now.
        self._presence.following(now=True)
        self._follow()
        await self._reconciler.settled()
        self._core.ready = True
        # What is here now stays; a full collection need not walk it in the middle of a request.
        gc.collect()
        gc.freeze()
        self._http.open()
        if self._grpc is not None:
            await self._grpc.open()
        self._operator.open()
        self._presence.answering(now=True)
        self._places.beat(self._place, self._clock.monotonic())
        self._places.reach(self._place, Stage.READY)
        self._log.info("worker-ready", models=len(self._core.table))

    async def _stop(self, tasks: list[asyncio.Task[None]]) -> bool:
        await self._leave()
        self._places.reach(self._place, Stage.DRAINING)
        cut = await self._close_data_ports()
        await self._operator.close(linger=0.0, limit=1.0)
        self._presence.answering(now=False)
        self._presence.following(now=False)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._reconciler.close()
        await self._core.close()
        self._journal.adopt(await asyncio.to_thread(self._journal.retry))
        self._journal.finish()
        flushed = await self._flusher.close()
        await self._close_stores()
        self._log.info("worker-stopped", cut_connections=cut, log_flushed=flushed)
        return flushed

    async def _leave(self) -> None:
        """The whole gateway stops: fail readiness, and serve on until the supervisor has closed the door.

        A worker that is only replaced stays ready to the end; a signal that was for it alone is waited out.
        """
        if not self._line.leaving.is_set():
            return
        self._core.ready = False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.stop.delay + DOOR_SECONDS):
                await self._line.parting.wait()

    async def _close_data_ports(self) -> int:
        """Part with the clients of both at once; how many connections were cut."""
        stop = self._settings.stop
        linger = stop.linger if self._line.leaving.is_set() else self._settings.worker.linger
        closing = None
        if self._grpc is not None:
            closing = asyncio.create_task(self._grpc.close(linger=linger, limit=stop.limit))
        cut = await self._http.close(linger=linger, limit=stop.limit)
        if closing is not None:
            await closing
        return cut

    async def _close_stores(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._pilot_thread, self._pilot.close)
        self._pilot_thread.shutdown()
        self._console.close()
        if self._tracer is not None:
            await asyncio.to_thread(self._tracer.close)
        await self._fleet.close()
        self._sink.close()
        self._follower.close()
        self._store.close()
        self.slot.close()

    def _pace(self) -> float:
        """Seconds to the next look at the routes, which an edit of them may wait for."""
        return self._rested(self._settings.pace.follow)

    def _rested(self, seconds: float) -> float:
        """So many seconds while anybody asks, and more while nobody does."""
        return seconds * (IDLE_LOOKS if self._flusher.idle else 1)

    async def _turn(self) -> None:
        self._places.beat(self._place, self._clock.monotonic())

    async def _tick(self) -> None:
        await self._turn()
        self._core.lag.beat(self._pace())
        self._follow()
        self._flusher.look()

    def _follow(self) -> None:
        """Look at the routes; microseconds where nothing has changed."""
        routes = self._follower.poll()
        if routes is not None:
            self._reconciler.follow(routes)

    def _facts(self, data: Path) -> dict[SeriesKey, int]:
        """Gauges that no worker counts, in a scrape's thread; a store out of order leaves its own out."""
        found = disk(data, self._settings.log.min_free_bytes)
        with contextlib.suppress(DriftgateError):
            found |= rollout_meters.looked_up(self._store, self._clock.now(), steady(self._clock))
        return found

    async def _look(self) -> None:
        """Look for new models and for versions to try again or to let go."""
        await asyncio.to_thread(self._discovery.look, frozenset(self._reconciler.routes))
        await asyncio.to_thread(self._registry.look)
        for (model, version), fault in self._registry.faults.items() - self._copied.items():
            self._log.warning("version-from-copy", model=model, version=version, fault=fault)
        self._copied = self._registry.faults
        self._reconciler.look_around()

    async def _tend(self) -> None:
        """Say what is not recorded, once; give versions that serve unlogged their log when there is room."""
        remarks = set(self._journal.remarks())
        for remark in sorted(remarks - self._remarked):
            self._log.warning("not-recorded", what=remark)
        self._remarked = remarks
        self._journal.adopt(await asyncio.to_thread(self._journal.retry))

    async def _guard(self) -> None:
        self._places.serve(self._place, self._fleet.served())
        suspects = self._watch.suspects(self._reconciler.routes)
        if suspects:
            await asyncio.get_running_loop().run_in_executor(self._pilot_thread, self._watch.look, suspects)

    async def _fly(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._pilot_thread, self._pilot.look)

    async def _demand(self, model: str, version: str) -> LoadedModel:
        return await self._reconciler.demand(model, version)

    def _crowded(self) -> bool:
        least = self._places.least(self._place, self._clock.monotonic())
        return least is not None and self._http.connections > least

    def _called_more(self) -> bool:
        least = self._places.least_called(self._place, self._clock.monotonic())
        return least is not None and self._grpc is not None and self._grpc.connections > least

    def _hold(self, connections: int) -> None:
        self._places.hold(self._place, connections)
        self._presence.connections(connections)

    def _faults(self) -> Faults:
        faults = {key: fault.message for key, fault in self._reconciler.faults.items()}
        faults = {**self._registry.faults, **self._journal.faults(), **faults}
        return faults | {(model, ""): fault for model, fault in self._discovery.faults.items()}
