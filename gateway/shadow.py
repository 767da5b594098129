"""Run the other version beside an answer that was given, and record both as a pair.

Rules:

1. Nobody waits for it, and callers come first: jobs have a turn of the loop in which no further request
   came, or one after a few in which some did, and then a few jobs at a time.
2. Where requests come fast, jobs gather first: a few of them together cost hardly more than one. What comes
   alone is taken up at once.
3. What is cheaper to run than to hand to a thread runs on the loop; all else in one thread, which has only
   what others leave of the processor. What came in while the last batch was running is the next batch; of it,
   rows for one version are joined as those of callers would be.
4. What waits is bounded in requests and in bytes; beyond that it is dropped and counted. So is what would
   compete with callers: where requests wait for a run of the version beside, or more of them for the one that
   answered than its next run will take.
5. Everything but runs in the thread (rows, counters, budgets) happens on the event loop.
6. What goes wrong as nobody foresaw costs the pairs of those jobs, counted and told, and nothing else.
"""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from gateway import memory
from gateway.beside import AT_ONCE, Job, Outcome, competes, run
from gateway.journal import Journal
from gateway.model import LoadedModel
from gateway.pairing import Pairing, count_dropped
from gateway.run_settings import ShadowSettings
from groundwork.counters import Counters

GATHER_S: Final = 0.005
"""For how long jobs may wait for others, so that a turn is worth it."""
DEAR_S: Final = 0.02
"""The same of jobs that are dear, which are worth more when they run together."""
_SHARE: Final = 8
"""The part of all that wait that is taken at once, where it is more than AT_ONCE."""
GIVEN_WAY: Final = 4
"""Turns in which requests came before jobs have one."""


class Shadow:
    """The shadow runs of one worker."""

    def __init__(self, journal: Journal, counters: Counters, settings: ShadowSettings) -> None:
        self._journal = journal
        self._pairing = Pairing(journal, counters)
        self._counters = counters
        self._values = counters.values
        self._settings = settings
        self._pool = ThreadPoolExecutor(1, "shadow", initializer=memory.yield_to_others)
        self._cheap: list[Job] = []
        self._dear: list[Job] = []
        self._offered = self._seen = self._passed = 0
        self._held = 0
        self._bytes = 0
        self._coming = False
        self._rested = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._batch: asyncio.Task[None] | None = None
        self._done = asyncio.Event()

    def offer(self, job: Job) -> None:
        """Take the job up soon, or drop it and count that where the budget is used up."""
        self._offered += 1
        if competes(job.beside, job.answered):
            count_dropped(self._counters, job.beside, "busy")
            return
        if self.full(job):
            reason = "waiting" if self._held >= self._settings.max_waiting else "bytes"
            count_dropped(self._counters, job.beside, reason)
            return
        self._held += 1
        self._bytes += job.size
        job.answered.hold()
        job.beside.hold()
        course = self._pairing.course(job)
        if course is not None and job.rows <= course.cheap:
            self._cheap.append(job)
            if not self._coming:
                self._gather()
        else:
            self._dear.append(job)
            if self._batch is None:
                self._batch = asyncio.get_running_loop().create_task(self._work())

    def full(self, job: Job) -> bool:
        """Whether this job would be dropped for want of room."""
        settings = self._settings
        return self._held >= settings.max_waiting or self._bytes + job.size > settings.max_bytes

    async def room(self, job: Job) -> None:
        """Wait until there is room for this job, or nothing waits that could make some."""
        while self._held and self.full(job):
            await self._progress()

    async def idle(self) -> None:
        """Wait until everything that was taken up is recorded."""
        while self._held:
            await self._progress()
        if self._batch is not None:
            await self._batch

    async def _progress(self) -> None:
        """Wait until something that was taken up is over."""
        if self._cheap and not self._coming:
            self._come()
        self._done.clear()
        await self._done.wait()

    async def close(self) -> None:
        """Finish what was taken up and let the thread go."""
        await self.idle()
        self._end_wait()
        self._pool.shutdown(wait=False)

    def _gather(self) -> None:
        """Have a turn when enough jobs wait, or have waited long enough; at once after a rest."""
        loop = asyncio.get_running_loop()
        if len(self._cheap) >= AT_ONCE or loop.time() >= self._rested:
            self._come()
        elif self._timer is None:
            self._timer = loop.call_later(GATHER_S, self._waited)

    def _waited(self) -> None:
        self._timer = None
        if self._cheap and not self._coming:
            self._come()

    def _end_wait(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _come(self) -> None:
        self._coming = True
        asyncio.get_running_loop().call_soon(self._begin)

    def _begin(self) -> None:
        """Let the loop look into the sockets: what is called soon comes before they are read."""
        self._seen, self._passed = self._offered, 0
        asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        """Run a few jobs where nobody came since the last turn, or that was so too often."""
        loop = asyncio.get_running_loop()
        if self._offered != self._seen and self._passed < GIVEN_WAY:
            self._seen = self._offered
            self._passed += 1
            loop.call_soon(self._turn)
            return
        count = self._few()
        few = self._unhindered(self._cheap[:count])
        del self._cheap[:count]
        try:
            if few:
                with self.executing([job.beside for job in few]):
                    outcomes = run(few)
                jobs, few = few, []
                self._settle(jobs, outcomes)
        except Exception as error:  # noqa: BLE001  see rule 6
            self._lose(few, error)
        finally:
            self._rested = loop.time() + GATHER_S
            self._coming = False
            if self._cheap:
                self._gather()

    async def _work(self) -> None:
        """The life of the task that has jobs run in the thread."""
        try:
            while self._dear:
                await self._company()
                await self._give_way()
                batch, self._dear = self._unhindered(self._dear), []
                await self._try(batch)
        finally:
            self._batch = None

    async def _try(self, batch: list[Job]) -> None:
        try:
            await self._open(batch)
            await self._run_away(batch)
        except Exception as error:  # noqa: BLE001  see rule 6
            self._lose(batch, error)

    def _lose(self, jobs: Sequence[Job], error: Exception) -> None:
        for job in jobs:
            self._let_go(job)
        self._count_lost(jobs, error)

    def _count_lost(self, jobs: Sequence[Job], error: Exception) -> None:
        for job in jobs:
            count_dropped(self._counters, job.beside, "fault")
        said = {"message": "shadow runs failed as nobody foresaw", "exception": error}
        asyncio.get_running_loop().call_exception_handler(said)

    async def _company(self) -> None:
        """Let jobs gather that are to be one run: its memory traffic is that of one, however many rows."""
        most = max([job.beside.schedule.batch_rows for job in self._dear])
        if sum([job.rows for job in self._dear]) < most:
            await asyncio.sleep(DEAR_S)

    async def _give_way(self) -> None:
        """Let turns of the loop pass until one in which nobody came, but not too many."""
        for _ in range(GIVEN_WAY):
            before = self._offered
            await asyncio.sleep(0)
            if self._offered == before:
                return

    async def _open(self, batch: Sequence[Job]) -> None:
        """In the thread: the streams of pairs that are new. A version that is held keeps those it has."""
        self._pairing.bound(self._cheap)
        loop = asyncio.get_running_loop()
        for job in batch:
            if self._pairing.course(job) is None:
                await loop.run_in_executor(self._pool, self._journal.open_pairs, *job.pair)
                self._pairing.begin(job)

    async def _run_away(self, batch: list[Job]) -> None:
        """Run them in the thread; who is recorded is taken out of the batch."""
        if not batch:
            return
        with self.executing([job.beside for job in batch]):
            outcomes = await asyncio.get_running_loop().run_in_executor(self._pool, run, tuple(batch))
        while batch:
            await self._give_way()
            few = self._few()
            jobs, found = batch[:few], outcomes[:few]
            del batch[:few], outcomes[:few]
            self._settle(jobs, found)

    def _few(self) -> int:
        """How many jobs one turn of the loop may take."""
        return max(AT_ONCE, self._held // _SHARE)

    @contextlib.contextmanager
    def executing(self, versions: Sequence[LoadedModel]) -> Iterator[None]:
        """Let the slot show what runs: by that a version is known that brings the process down."""
        running = {version.meters.executing for version in versions}
        for index in running:
            self._values[index] += 1
        try:
            yield
        finally:
            for index in running:
                self._values[index] -= 1

    def _unhindered(self, jobs: Sequence[Job]) -> list[Job]:
        """These jobs but for those that would compete with callers; these are dropped."""
        batch = []
        for job in jobs:
            if competes(job.beside, job.answered):
                self._let_go(job)
                count_dropped(self._counters, job.beside, "busy")
            else:
                batch.append(job)
        return batch

    def _let_go(self, job: Job) -> None:
        self._held -= 1
        self._bytes -= job.size
        job.answered.let_go()
        job.beside.let_go()
        self._done.set()

    def _settle(self, jobs: Sequence[Job], outcomes: Sequence[Outcome]) -> None:
        """Record and count; what was made to wait for this may go on."""
        for job in jobs:  # first, whatever may go wrong with one of them
            self._let_go(job)
        try:
            self._pairing.record(jobs, outcomes)
        except Exception as error:  # noqa: BLE001  see rule 6
            self._count_lost(jobs, error)
