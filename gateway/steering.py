"""What a worker does about rollouts without being asked: forward as the pilot, back as a guard.

Both read and write the store, so both run in one thread that nothing else keeps busy, one after the other.
"""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gateway.guards import ErrorWatch
from gateway.pilot_task import Pilot
from groundwork.clock import Clock
from groundwork.logs import Log
from rollouts.route import Route
from rollouts.store import SqliteStore


class Steering:
    """One worker's pilot and its watch over failing candidates; used on its loop.

    `in_a_row` is ErrorWatch's, `lease` the pilot's time to live in seconds.
    """

    def __init__(
        self,
        store: SqliteStore,
        slots_folder: Path,
        incarnation: int,
        in_a_row: Callable[[str, str], int],
        clock: Clock,
        *,
        lease: float,
        log: Log,
    ) -> None:
        self._watch = ErrorWatch(store, clock, incarnation, in_a_row, log)
        self._pilot = Pilot(store, slots_folder, clock, f"slot-{incarnation}", lease, log)
        self._thread = ThreadPoolExecutor(1, "pilot")

    async def guard(self, routes: Mapping[str, Route]) -> None:
        """Abort what fails again and again in this worker; a few reads of memory where nothing does."""
        suspects = self._watch.suspects(routes)
        if suspects:
            await self._run(self._watch.look, suspects)

    async def fly(self) -> None:
        """Move rollouts on evidence, where this worker holds the lease."""
        await self._run(self._pilot.look)

    async def close(self) -> None:
        """Give the lease away, and let the thread go."""
        await self._run(self._pilot.close)
        self._thread.shutdown()

    async def _run(self, work: Callable[..., object], *arguments: object) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)
