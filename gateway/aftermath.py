"""What follows a worker's end: its rows into the log, its last state judged, its version barred if need be.

All of it happens in a thread, one death at a time, while the next worker is starting already: nobody waits
for a dead worker's rows. The rules are `gateway.sweep`, `gateway.guards` and `gateway.quarantine`.
"""

import asyncio
from collections.abc import Callable

from gateway.causes import Cause, described
from gateway.guards import CrashGuard, loading
from gateway.quarantine import Barred, Quarantine
from gateway.sweep import Sweeper
from groundwork.clock import Clock
from groundwork.errors import DriftgateError
from groundwork.logs import Log
from groundwork.slot_readings import SlotReading

_SECOND = 1e9


class Aftermath:
    """Takes over what workers leave; owned by the supervisor's loop.

    `tend` is called after each sweep, in its thread: for what wants to be done when room may have come free.
    """

    def __init__(
        self,
        sweeper: Sweeper,
        guard: CrashGuard,
        clock: Clock,
        log: Log,
        *,
        tend: Callable[[], object] = lambda: None,
    ) -> None:
        self._sweeper = sweeper
        self._guard = guard
        self._quarantine = Quarantine()
        self._clock = clock
        self._log = log
        self._tend = tend
        self.barring: Callable[[], object] = lambda: None
        """Called on the loop when a version was barred, for workers that live to be told."""
        self._sweeping = asyncio.Lock()
        self._dead: dict[int, SlotReading] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def take_over(self) -> None:
        """Sweep what an earlier life left; a StoreError where that cannot be read at all."""
        async with self._sweeping:
            await asyncio.to_thread(self._sweep)
        self._dead.clear()  # those died in an earlier life; nobody knows how

    def follow(self, place: int, code: int, cause: Cause) -> None:
        """A worker of this place has just ended so; returns at once."""
        task = asyncio.create_task(self._guarded(place, code, cause))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def sweep(self) -> None:
        """Sweep beside running workers, which go on whatever is wrong with the slots."""
        await self._guarded(None, 0, "stopped")

    async def settled(self) -> None:
        """Wait until every death was dealt with."""
        await asyncio.gather(*self._tasks)

    def barred(self) -> tuple[Barred, ...]:
        """The versions that no worker loads now."""
        return self._quarantine.barred(self._clock.now())

    def told(self, places: int) -> tuple[Barred, ...]:
        """What workers are told of them, so that of so many places one tries first when the time is over."""
        return self._quarantine.told(self._clock.now(), places)

    async def _guarded(self, place: int | None, code: int, cause: Cause) -> None:
        try:
            async with self._sweeping:
                if await asyncio.to_thread(self._sweep_and_judge, place, code, cause):
                    self.barring()
        except (DriftgateError, OSError) as error:
            self._log.error("slots-not-swept", fault=error)

    def _sweep(self) -> None:
        # Of workers that die together the first one's sweep finds every slot; exit codes come one by one.
        self._dead.update({reading.place: reading for reading in self._sweeper.sweep()})
        self._tend()

    def _sweep_and_judge(self, place: int | None, code: int, cause: Cause) -> bool:
        """Whether a version was barred by it."""
        self._sweep()
        found = None if place is None else self._dead.pop(place, None)
        if found is None:
            return False
        now = self._clock.now()
        suspects = self._guard.judge(found, code, cause)
        how = "hung" if cause == "hung" else described(code)
        if not suspects:
            return False
        fresh = self._quarantine.died(suspects, how, now, loading=bool(loading(found)))
        for barred in fresh:
            seconds = round((barred.until - now) / _SECOND)
            self._log.error(
                "version-barred",
                model=barred.model,
                version=barred.version,
                seconds=seconds,
                reason=barred.reason,
            )
        return bool(fresh)
