"""Run the other version beside an answer that was given, and record both as a pair.

Rules:

1. Nobody waits for it, and callers come first: what is offered is taken up in a turn of the loop in which no
   further request came, or after a few in which some did, and then a few jobs at a time.
2. What is cheaper to run than to hand to a thread runs on the loop; all else in one thread, which has only
   what others leave of the processor. What came in while the last batch was running is the next batch; of it,
   rows for one version are joined as those of callers would be.
3. What waits is bounded in requests and in bytes; beyond that it is dropped and counted. So is what would
   compete with callers: where requests wait for a run of the version beside, or more of them for the one that
   answered than its next run will take.
4. The arrays offered are never written to by anybody, so they are kept, not copied.
5. Everything but runs in the thread (rows, counters, budgets) happens on the event loop.
"""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import msgspec

from gateway import memory, metrics
from gateway.inference import Array
from gateway.joining import settle
from gateway.journal import Journal, Noted
from gateway.meters import Evidence
from gateway.model import LoadedModel
from gateway.run_settings import ShadowSettings
from gateway.schedule import seconds_for
from groundwork.counters import Counters
from prediction_log.record import Arm

AT_ONCE: Final = 4
"""Jobs of one turn of the loop, each some 10 to 20 µs; more of them the more wait."""
_SHARE: Final = 8
"""The part of all that wait that is taken at once, where it is more than that."""
GIVEN_WAY: Final = 4
"""Turns in which requests came before jobs have one."""
_MOST_OPENED: Final = 64


class Job(msgspec.Struct, frozen=True, gc=False):
    """One request to run again: what answered it and with what, and who runs beside.

    `evidence` is where the shadow's run counts; None where a stable version runs beside its candidate.
    """

    answered: LoadedModel
    beside: LoadedModel
    noted: Noted
    feeds: dict[str, Array]
    outputs: Sequence[Array]
    rows: int
    size: int
    evidence: Evidence | None = None

    @property
    def pair(self) -> tuple[LoadedModel, LoadedModel]:
        """(stable, candidate), whoever of them answered."""
        if self.noted.arm is Arm.CANDIDATE:
            return self.beside, self.answered
        return self.answered, self.beside


Outcome = Sequence[Array] | None
"""What a shadow run gave; None when it failed."""


def size_of(feeds: dict[str, Array], outputs: Sequence[Array]) -> int:
    """Bytes held by the arrays of one request (strings count as their pointers)."""
    return sum(array.nbytes for array in feeds.values()) + sum(array.nbytes for array in outputs)


class Shadow:
    """The shadow runs of one worker."""

    def __init__(self, journal: Journal, counters: Counters, settings: ShadowSettings) -> None:
        self._journal = journal
        self._counters = counters
        self._values = counters.values
        self._settings = settings
        self._pool = ThreadPoolExecutor(1, "shadow", initializer=memory.yield_to_others)
        self._waiting: list[Job] = []
        self._opened: dict[tuple[LoadedModel, LoadedModel], int] = {}  # to where their pairs are counted
        self._offered = 0
        self._held = 0
        self._bytes = 0
        self._batch: asyncio.Task[None] | None = None

    def offer(self, job: Job) -> None:
        """Take the job up soon, or drop it and count that where the budget is used up."""
        self._offered += 1
        if _busy(job):
            self._drop(job, "busy")
            return
        if self._held >= self._settings.max_waiting:
            self._drop(job, "waiting")
            return
        if self._bytes + job.size > self._settings.max_bytes:
            self._drop(job, "bytes")
            return
        self._held += 1
        self._bytes += job.size
        job.answered.hold()
        job.beside.hold()
        self._waiting.append(job)
        if self._batch is None:
            self._batch = asyncio.get_running_loop().create_task(self._work())

    async def idle(self) -> None:
        """Wait until everything that was taken up is recorded."""
        while self._batch is not None:
            await self._batch

    async def close(self) -> None:
        """Finish what was taken up and let the thread go."""
        await self.idle()
        self._pool.shutdown(wait=False)

    async def _work(self) -> None:
        try:
            while self._waiting:
                await self._give_way()
                batch = self._unhindered()
                await self._open(batch)
                cheap, dear = _parted(batch)
                while cheap:
                    count = self._few()
                    few, cheap = cheap[:count], cheap[count:]
                    with self._executing(few):
                        outcomes = run(few)
                    self._settle(few, outcomes)
                    if cheap:
                        await self._give_way()
                if dear:
                    await self._run_away(dear)
        finally:
            self._batch = None

    async def _give_way(self) -> None:
        """Let turns of the loop pass until one in which nobody came, but not too many."""
        for _ in range(GIVEN_WAY):
            before = self._offered
            await asyncio.sleep(0)
            if self._offered == before:
                return

    async def _open(self, batch: Sequence[Job]) -> None:
        """In the thread: the streams of pairs that are new. A version that is held keeps those it has."""
        if len(self._opened) > _MOST_OPENED:
            self._opened.clear()
        for pair in {job.pair for job in batch} - self._opened.keys():
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._pool, self._journal.open_pairs, *pair)
            self._opened[pair] = self._pairs_series(pair, "ok")

    async def _run_away(self, batch: Sequence[Job]) -> None:
        with self._executing(batch):
            outcomes = await asyncio.get_running_loop().run_in_executor(self._pool, run, batch)
        while batch:
            await self._give_way()
            few = self._few()
            self._settle(batch[:few], outcomes[:few])
            batch, outcomes = batch[few:], outcomes[few:]

    def _few(self) -> int:
        """How many jobs one turn of the loop may take."""
        return max(AT_ONCE, self._held // _SHARE)

    @contextlib.contextmanager
    def _executing(self, batch: Sequence[Job]) -> Iterator[None]:
        """A version that brings the process down is known by what stood in the slot."""
        running = {job.beside.meters.executing for job in batch}
        for index in running:
            self._values[index] += 1
        try:
            yield
        finally:
            for index in running:
                self._values[index] -= 1

    def _settle(self, jobs: Sequence[Job], outcomes: Sequence[Outcome]) -> None:
        for job, outcome in zip(jobs, outcomes, strict=True):
            self._record(job, outcome)

    def _unhindered(self) -> list[Job]:
        """What waits now, but for jobs that would compete with callers; these are dropped."""
        waiting, self._waiting = self._waiting, []
        batch = []
        for job in waiting:
            if _busy(job):
                self._let_go(job)
                self._drop(job, "busy")
            else:
                batch.append(job)
        return batch

    def _let_go(self, job: Job) -> None:
        self._held -= 1
        self._bytes -= job.size
        job.answered.let_go()
        job.beside.let_go()

    def _record(self, job: Job, outcome: Outcome) -> None:
        self._let_go(job)
        pair = job.pair
        stable, candidate = (job.outputs, outcome) if pair[0] is job.answered else (outcome, job.outputs)
        self._journal.paired(pair, job.noted, stable, candidate, job.rows)
        series = self._opened[pair] if outcome is not None else self._pairs_series(pair, "failed")
        self._values[series] += 1
        if job.evidence is not None:
            self._values[job.evidence.requests] += 1
            if outcome is None:
                self._values[job.evidence.errors] += 1

    def _pairs_series(self, pair: tuple[LoadedModel, LoadedModel], outcome: str) -> int:
        stable, candidate = pair
        labels = {"model": stable.name, "stable": stable.version, "candidate": candidate.version}
        return self._counters.series(metrics.PAIRS, {**labels, "outcome": outcome})

    def _drop(self, job: Job, reason: str) -> None:
        labels = {"model": job.beside.name, "version": job.beside.version, "reason": reason}
        self._values[self._counters.series(metrics.SHADOW_DROPPED, labels)] += 1


def run(batch: Sequence[Job]) -> list[Outcome]:
    """Every job of the batch; in the thread, but for a few cheap ones."""
    outcomes: list[Outcome] = [None] * len(batch)
    for places in together(batch):
        jobs = [batch[place] for place in places]
        found = settle(jobs[0].beside.session.run, [job.feeds for job in jobs], [job.rows for job in jobs])
        for place, outcome in zip(places, found, strict=True):
            outcomes[place] = None if isinstance(outcome, Exception) else outcome
    return outcomes


def together(batch: Sequence[Job]) -> list[list[int]]:
    """Which jobs, by their places, are one run: of one version, alike, and up to its longest batch."""
    runs: list[list[int]] = []
    filling: dict[tuple[object, ...], tuple[list[int], int]] = {}
    for place, job in enumerate(batch):
        alike = job.beside, tuple([(name, array.shape[1:]) for name, array in job.feeds.items()])
        places, rows = filling.get(alike, ([], 0))
        if not places or rows + job.rows > job.beside.schedule.batch_rows:
            places, rows = [], 0
            runs.append(places)
        places.append(place)
        filling[alike] = places, rows + job.rows
    return runs


def _parted(batch: Sequence[Job]) -> tuple[list[Job], list[Job]]:
    """The jobs to be run on the loop, and those to be run in the thread."""
    cheap: list[Job] = []
    dear: list[Job] = []
    for job in batch:
        (cheap if _is_cheap(job) else dear).append(job)
    return cheap, dear


def _is_cheap(job: Job) -> bool:
    """Whether a few such runs are over before a thread would have begun."""
    schedule = job.beside.schedule
    expected = seconds_for(schedule.measured.times, job.rows * AT_ONCE)
    return schedule.mode == "inline" and expected <= schedule.measured.handoff


def _busy(job: Job) -> bool:
    """Whether callers wait for what this run would take."""
    beside, answered = job.beside.batcher, job.answered.batcher
    return bool((beside is not None and beside.waiting) or (answered is not None and answered.crowded))
