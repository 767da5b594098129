"""The shadow of cheap versions: what went into the log is run again from there, hundreds of rows at a time.

Rules:

1. Callers pay nothing: no request is offered, looked at or kept for it. A frame of predictions that was
   written to the log is run again in a thread, in the longest runs that its rows may share, and the pairs are
   recorded by the hundred.
2. That is for versions whose rows the log keeps whole (everything recorded, nothing hashed or left out, all
   of fixed widths) and whose runs beside are cheap and may be joined. Everything else is offered request by
   request (`gateway.shadow`), and so is what fails here, which then stands for itself.
3. What waits is bounded in bytes; beyond that it is dropped and counted. So is what the log lost, and what
   would compete with callers.
4. A way holds on to both versions until what was answered under it has been flushed.
5. Everything but runs in the thread (rows, counters, budgets) happens on the event loop.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import msgspec

from gateway import metrics
from gateway.beside import Job, cheap_rows, competes
from gateway.frame_runs import Chosen, Found, chosen, run
from gateway.journal import Journal
from gateway.meters import Evidence
from gateway.routing import Lane
from gateway.run_settings import ShadowSettings
from gateway.shadow import Shadow
from gateway.ways import Way, comparable, ways_of
from groundwork.counters import Counters
from prediction_log import frame as frames
from prediction_log.record import Kind
from prediction_log.validation import read_head

LINGER: Final = 3
"""Flushes after which nothing comes any more that was answered by a table that was replaced."""


class _Leaving(msgspec.Struct):
    """A way that no lane has any more, and after how many flushes it is over."""

    way: Way
    flushes: int


class FrameShadow:
    """The shadow runs of one worker that follow its log."""

    def __init__(
        self, shadow: Shadow, journal: Journal, counters: Counters, settings: ShadowSettings
    ) -> None:
        self._shadow = shadow
        self._journal = journal
        self._counters = counters
        self._values = counters.values
        self._most = settings.max_bytes
        self._pool = ThreadPoolExecutor(1, "frame-shadow")
        self._ways: dict[int, tuple[Way, ...]] = {}  # by the stream of who answers
        self._leaving: list[_Leaving] = []
        self._queue: deque[tuple[bytes, tuple[Way, ...]]] = deque()
        self._bytes = 0
        self._work: asyncio.Task[None] | None = None

    def follow(self, lane: Lane, evidence: Evidence | None) -> tuple[Way, ...]:
        """The ways by which all of this lane's shadow runs are made here; () where they are not.

        Give them to `leave` when the lane is replaced.
        """
        ways = ways_of(lane, evidence)
        if not all(self._takes(way) for way in ways):
            return ()
        for way in ways:
            way.hold()
            stream = self._journal.stream(way.answered)
            self._ways[stream] = (*self._ways.get(stream, ()), way)
        return ways

    def leave(self, ways: Sequence[Way]) -> None:
        """Nothing is answered under these any more, but for what is under way."""
        self._leaving += [_Leaving(way, LINGER) for way in ways]

    def take(self, written: Sequence[bytes]) -> None:
        """These frames have been written to the log; called after every flush, whatever it wrote."""
        for body in written:
            head = read_head(memoryview(body))
            ways = self._ways.get(head.stream) if head.kind == Kind.PREDICTION else None
            if ways is not None:
                self._queue.append((body, ways))
                self._bytes += len(body)
                for way in ways:
                    way.hold()
                if head.skipped:
                    self._drop(ways[-1], "unrecorded", head.skipped)
        if self._queue and self._work is None:
            self._work = asyncio.get_running_loop().create_task(self._follow_all())
        self._age()

    async def idle(self) -> None:
        """Wait until everything that was taken is recorded."""
        if self._work is not None:
            await self._work
        await self._shadow.idle()

    async def close(self) -> None:
        """Finish what was taken and let the thread and the versions go."""
        await self.idle()
        self._pool.shutdown(wait=False)
        for way in {way for ways in self._ways.values() for way in ways}:
            way.let_go()
        self._ways, self._leaving = {}, []

    def _takes(self, way: Way) -> bool:
        schedule = way.beside.schedule
        return (
            self._journal.keeps_whole(way.answered)
            and comparable(way.answered)
            and comparable(way.beside)
            and schedule.batch_rows > 1
            and cheap_rows(schedule) > 0
        )

    def _age(self) -> None:
        """A flush has passed."""
        for leaving in self._leaving:
            leaving.flushes -= 1
        for leaving in [one for one in self._leaving if one.flushes <= 0]:
            self._leaving.remove(leaving)
            stream = self._journal.stream(leaving.way.answered)
            rest = tuple(way for way in self._ways[stream] if way is not leaving.way)
            self._ways = {**self._ways, stream: rest}
            if not rest:
                del self._ways[stream]
            leaving.way.let_go()

    async def _follow_all(self) -> None:
        """The life of the task that works off what was taken."""
        try:
            while self._queue:
                body, ways = self._queue.popleft()
                try:
                    for way in ways:
                        await self._follow(body, way)
                finally:
                    self._bytes -= len(body)
                    for way in ways:
                        way.let_go()
        finally:
            self._work = None

    async def _follow(self, body: bytes, way: Way) -> None:
        loop = asyncio.get_running_loop()
        left_out = frozenset(way.left_out)
        given = await loop.run_in_executor(self._pool, self._read, body, way, left_out)
        way.left_out.difference_update(left_out)
        if given is None:
            return
        if self._bytes > self._most or competes(way.beside, way.answered):
            reason = "bytes" if self._bytes > self._most else "busy"
            self._drop(way, reason, given.requests)
            return
        with self._shadow.executing([way.beside]):
            found, odd = await loop.run_in_executor(self._pool, run, way, given)
        for one in found:
            await self._record(way, one)
        await self._one_by_one(odd)

    def _read(self, body: bytes, way: Way, left_out: frozenset[bytes]) -> Chosen | None:
        """In the thread: the rows that are to be run again, and the stream of their pairs, once."""
        given = chosen(frames.decode(body, verify=False), way, left_out)
        if given is not None:
            self._journal.open_pairs(*way.pair)
        return given

    async def _record(self, way: Way, found: Found) -> None:
        """Record and count a run in one turn of the loop."""
        given, pair = found.given, way.pair
        sides = (given.outputs, found.outputs)
        stable, candidate = sides if pair[0] is way.answered else sides[::-1]
        self._journal.paired_rows(pair, way.arm, given.meta, stable, candidate)
        self._values[self._shadow.series(pair, "ok")] += found.requests
        if way.evidence is not None:
            self._values[way.evidence.requests] += found.requests
        await asyncio.sleep(0)

    async def _one_by_one(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            if self._shadow.full(job):
                await self._shadow.idle()
            self._shadow.offer(job)

    def _drop(self, way: Way, reason: str, requests: int) -> None:
        labels = {"model": way.beside.name, "version": way.beside.version, "reason": reason}
        self._values[self._counters.series(metrics.SHADOW_DROPPED, labels)] += requests
