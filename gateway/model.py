"""A version that is loaded and can answer: its manifest, its graph, its tensors, and what it is busy with.

Rules: what is loaded never changes; only who holds on to it does, on the event loop of one worker. The
session alone may be run from threads.
"""

import asyncio
from typing import Final

from gateway.batching import Batcher
from gateway.errors import IncompatibleSignatureError
from gateway.interface import Interface
from gateway.meters import ModelMeters
from gateway.schedule import Schedule
from gateway.session import Session
from gateway.warmup import Cost
from registry_client.manifest import Manifest

UNSTUDIED: Final = Schedule()
_MILLISECOND: Final = 1_000_000


class LoadedModel(Interface):
    """One version in memory; made by the fleet, given to lanes, released by the fleet.

    `inline_rows`: the most rows whose run may stay on the event loop (-1: none); `schedule` is the choice
    that this follows. `size` are the bytes of its file, `since` says when it was loaded (unix ns). `batcher`
    runs the rest, and is made when there is something to run. `watched` is for how many runs on the loop
    their processor time is looked at, `proofs` how many of them were too long by it; `strays` says that some
    took much longer than foreseen: what does not fit into `inline_rows` then never runs on the loop.
    """

    def __init__(
        self,
        manifest: Manifest,
        session: Session,
        meters: ModelMeters,
        cost: Cost,
        inline_rows: int,
        schedule: Schedule = UNSTUDIED,
    ) -> None:
        super().__init__(manifest.name, manifest.version, session.signature, manifest.classes)
        self.manifest = manifest
        self.session = session
        self.meters = meters
        self.cost = cost
        self.inline_rows = inline_rows
        self.schedule = schedule
        self.batcher: Batcher | None = None
        self.watched = 0
        self.proofs = 0
        self.strays = False
        self.digest = manifest.digest
        self.label_output = manifest.label_output
        self.score_output = manifest.score_output
        self.size = manifest.size
        self.since = 0
        self._holders = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def used(self, now: int) -> int:
        """When a request last used it, or else when it was loaded (unix ns; 0 where nobody knows at `now`).

        A time to come is from before the clock was set back, and says nothing.
        """
        times = (self.since, self.meters.last_answer() * _MILLISECOND)
        return max((time for time in times if time <= now), default=0)

    def end_runs(self) -> None:
        """Let the threads of its runs go; nothing may run.

        The batcher holds this version, which holds it: a ring that `gc.freeze` would keep for ever.
        """
        if self.batcher is not None:
            self.batcher.close()
            self.batcher = None

    def hold(self) -> None:
        """A run begins that lasts beyond this turn of the loop."""
        self._holders += 1
        self._idle.clear()

    def let_go(self) -> None:
        """Such a run has ended."""
        self._holders -= 1
        if not self._holders:
            self._idle.set()

    async def idle(self) -> None:
        """Wait until no run holds on to this version."""
        await self._idle.wait()


def check_compatible(older: LoadedModel, newer: LoadedModel) -> None:
    """IncompatibleSignatureError when `newer` would not accept every request that `older` accepts."""
    reason = older.signature.incompatibility(newer.signature)
    if reason is not None:
        raise IncompatibleSignatureError(
            f"model {newer.name} version {newer.version} cannot stand in for {older.version}: {reason}"
        )
