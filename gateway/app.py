"""The only place where a worker's parts are put together, and the order in which they start and stop.

Start: routes and the versions they name first, then the ports; a worker never answers by an older route than
the one that stands when it opens. Stop: readiness first, then new connections, then what is in flight, then
the log. Everything in between is a handful of tasks that each look at one thing again and again.
"""

import asyncio
import contextlib
import gc
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from gateway import rollout_meters
from gateway.access import LOOK_SECONDS as ACCESS_SECONDS
from gateway.access import AccessControl
from gateway.barring import BarringRegistry
from gateway.catalogue import Catalogue
from gateway.console import Console
from gateway.discover import Discovery
from gateway.fleet import Fleet
from gateway.flusher import Flusher
from gateway.frame_shadow import FrameShadow
from gateway.front import Behind, Front
from gateway.journal import Journal
from gateway.lanes import Lanes
from gateway.line import Line
from gateway.lookout import Lookout
from gateway.metrics import Scrapes, disk
from gateway.model import LoadedModel
from gateway.order import Order
from gateway.places import Places, Stage
from gateway.presence import Presence
from gateway.reconcile import Reconciler
from gateway.repeating import again
from gateway.repository import Repository
from gateway.seat import Seat
from gateway.slot_room import open_slot
from gateway.spans import core_of
from gateway.steering import Steering
from gateway.wear import IDLE_LOOKS
from groundwork.clock import SystemClock
from groundwork.errors import DriftgateError
from groundwork.logs import Log
from groundwork.series import SeriesKey
from groundwork.slot_readings import SlotsReader
from groundwork.steady import steady
from groundwork.tracing import open_tracer
from prediction_log.ids import PredictionIds, load_key
from prediction_log.segment_sink import SegmentSink
from registry_client.backends import open_registry
from registry_client.remembered import Remembered
from rollouts.follower import Follower
from rollouts.store import SqliteStore

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
        self._settings = told.settings
        self._data = Path(told.settings.data)
        self._clock = SystemClock()
        self._line = line
        self._seat = Seat(Places(told.places_fd, told.workers), told.place, self._clock.monotonic)
        self.slot = open_slot(self._data, told.place, log)
        self._log = log.bind(incarnation=self.slot.incarnation)
        self._presence = Presence(self.slot.counters)
        self._access = AccessControl(
            told.settings, told.place, told.workers, self.slot.counters, self._clock, self._log
        )
        self._store = SqliteStore(self._data / "rollouts.db", self._clock)
        self._slots = SlotsReader(self._data / "slots")
        self._open_log()
        self._open_models(told)
        self._steering = Steering(
            self._store,
            self._data / "slots",
            self.slot.incarnation,
            self._fleet.in_a_row,
            self._clock,
            lease=told.settings.pace.lease,
            log=self._log,
        )
        self._front = self._open_front(told)

    def _open_log(self) -> None:
        """What is recorded, and how it comes into the log."""
        settings, data = self._settings, self._data
        reserve, durable = settings.log.reserve_bytes, settings.journal.durability == "sync"
        ids = PredictionIds(load_key(data))
        self._journal = Journal(self.slot, ids, self._clock, settings.journal, reserve_bytes=reserve)
        self._sink = SegmentSink(
            data / "log",
            segment_bytes=settings.log.segment_bytes,
            clock=self._clock,
            durable=durable,
            reserve_bytes=reserve,
        )
        self._flusher = Flusher(
            self._journal.files, self._sink, self.slot.counters, settings.pace.flush, self._log
        )
        self._journal.spooled = self._flusher.committed if durable else None
        self._journal.hurry = self._flusher.hurry

    def _open_models(self, told: Order) -> None:
        """What answers, and what keeps it to the routes."""
        settings, clock, counters = self._settings, self._clock, self.slot.counters
        cache = self._data / "cache"
        self._registry = Remembered(open_registry(settings.models, cache), cache)
        offered = BarringRegistry(self._registry, told.barred, clock, told.place)
        self._line.bar = offered.bar
        self._fleet = Fleet(offered, self._journal, counters, settings, clock)
        lanes = Lanes(counters)
        self._tracer = open_tracer(settings.traces, "gateway")
        kind = core_of(self._tracer, durable=settings.journal.durability == "sync")
        self._core = kind(lanes, self._journal, counters, settings, clock, on_demand=self._demand)
        self._frame_shadow = FrameShadow(
            self._core.shadow, self._journal, counters, settings, clock.monotonic
        )
        lanes.follower, self._flusher.after = self._frame_shadow, self._frame_shadow.take
        self._reconciler = Reconciler(lanes, self._fleet, settings.pace, clock, self._presence, self._log)
        self._fleet.room = self._reconciler.make_room
        self._discovery = Discovery(self._registry, self._store, self._log)
        self._lookout = Lookout(
            Follower(self._store), self._registry, self._discovery, self._reconciler, self._journal, self._log
        )

    def _open_front(self, told: Order) -> Front:
        """What operators do, and the ports."""
        clock, slots, faults = self._clock, self._slots, self._lookout.faults
        self._console = Console(self._store, slots, self._fleet, self._lookout.follow, clock)
        catalogue = Catalogue(
            self._registry, self._store, slots, faults, self._fleet.schedules, self._settings.runs
        )
        repository = Repository(
            catalogue,
            self._console,
            self._store,
            self._discovery,
            slots=slots,
            clock=clock,
            faults=faults,
        )
        shown = Scrapes(slots, self._facts)
        behind = Behind(self._core, self._console, catalogue, repository, shown, self._line)
        return Front(
            told, behind, self._access, self._seat, self._presence, slot=self.slot.folder, log=self._log
        )

    async def run(self) -> int:
        """Start, answer until the line says to end, stop in order; the exit code."""
        starting = asyncio.create_task(again(self._turn, BEAT_SECONDS, self._log))
        await self._start()
        starting.cancel()
        pace = self._settings.pace
        looks: list[tuple[Callable[[], Awaitable[None]], float | Callable[[], float]]] = [
            (self._flusher.run, 0.0),
            (self._tick, self._pace),
            (self._guard, lambda: self._rested(GUARD_SECONDS)),
            (self._access.look, ACCESS_SECONDS),
            (self._lookout.look, pace.registry),
            (self._lookout.tend, JOURNAL_SECONDS),
            (self._steering.fly, pace.pilot),
        ]
        tasks = [asyncio.create_task(again(work, seconds, self._log)) for work, seconds in looks]
        await self._line.end()
        clean = await self._stop(tasks)
        return 0 if clean else 1

    async def _start(self) -> None:
        await self._lookout.look()
        self._lookout.follow()
        await self._reconciler.settled()
        # From here on whoever edits a route waits for us; what was edited before is read now.
        self._presence.following(now=True)
        self._lookout.follow()
        await self._reconciler.settled()
        self._core.ready = True
        # What is here now stays; a full collection need not walk it in the middle of a request.
        gc.collect()
        gc.freeze()
        await self._front.open()
        self._presence.answering(now=True)
        self._seat.beat()
        self._seat.reach(Stage.READY)
        self._log.info("worker-ready", models=len(self._core.lanes.table))

    async def _stop(self, tasks: list[asyncio.Task[None]]) -> bool:
        await self._leave()
        self._seat.reach(Stage.DRAINING)
        stop = self._settings.stop
        linger = stop.linger if self._line.leaving.is_set() else self._settings.worker.linger
        cut = await self._front.close(linger=linger, limit=stop.limit)
        self._presence.answering(now=False)
        self._presence.following(now=False)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._reconciler.close()
        await self._finish_shadows()
        await self._core.close()
        self._journal.adopt(await asyncio.to_thread(self._journal.retry))
        self._journal.finish()
        flushed = await self._flusher.close()
        await self._close_stores()
        self._log.info("worker-stopped", cut_connections=cut, log_flushed=flushed)
        return flushed

    async def _finish_shadows(self) -> None:
        """What was answered last is run again too; twice, for a full buffer keeps the other from a flush."""
        await self._flusher.flush()
        await self._flusher.flush()
        await self._frame_shadow.close()

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

    async def _close_stores(self) -> None:
        await self._steering.close()
        self._console.close()
        if self._tracer is not None:
            await asyncio.to_thread(self._tracer.close)
        await self._fleet.close()
        self._sink.close()
        self._lookout.close()
        self._store.close()
        self._slots.close()
        self.slot.close()

    def _pace(self) -> float:
        """Seconds to the next look at the routes, which an edit of them may wait for."""
        return self._rested(self._settings.pace.follow)

    def _rested(self, seconds: float) -> float:
        """So many seconds while anybody asks, and more while nobody does."""
        return seconds * (IDLE_LOOKS if self._flusher.idle else 1)

    async def _turn(self) -> None:
        self._seat.beat()

    async def _tick(self) -> None:
        self._seat.beat()
        self._core.lag.beat(self._pace())
        self._lookout.follow()
        self._journal.bound(self._clock.monotonic())
        self._flusher.look()

    async def _guard(self) -> None:
        self._seat.serve(self._fleet.served())
        await self._steering.guard(self._reconciler.routes)

    async def _demand(self, model: str, version: str) -> LoadedModel:
        return await self._reconciler.demand(model, version)

    def _facts(self) -> dict[SeriesKey, int]:
        """Gauges that no worker counts, in a scrape's thread; a store out of order leaves its own out."""
        found = disk(self._data, self._settings.log.min_free_bytes)
        with contextlib.suppress(DriftgateError):
            found |= rollout_meters.looked_up(self._store, self._clock.now(), steady(self._clock))
        return found
