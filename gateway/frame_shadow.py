"""The shadow of cheap versions: what went into the log is run again from there, hundreds of rows at a time.

Rules:

1. Callers pay nothing: no request is offered, looked at or kept for it. A frame of predictions that was
   written to the log is run again in a thread, in the longest runs that its rows may share, and the pairs are
   recorded by the hundred.
2. That is for versions whose rows the log keeps whole (everything recorded, nothing hashed or left out, all
   of fixed widths) and whose runs beside are cheap and may be joined, where two frames may wait. Everything
   else is offered request by request (`gateway.shadow`); so is what fails here, each then for itself.
3. Each request is compared once: a revision whose ways are followed is followed by the same ways, however
   often its lane is made anew.
4. What waits is bounded in bytes; beyond that it is dropped and counted. So is what the log lost, and what
   would compete with callers. Pairs wait for room in their stream, but for no log that cannot be written.
5. A way keeps both versions until no lane has it, no request of such a lane is under way, and all that they
   answered has been handed on.
6. Everything but runs in the thread (rows, counters, budgets) happens on the event loop.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from gateway.beside import Job, cheap_rows, competes
from gateway.frame_runs import ROWS, Chosen, Found, Wanted, chosen, jobs, run, wanted
from gateway.journal import Journal
from gateway.meters import Evidence
from gateway.pairing import count_dropped, pair_series
from gateway.routing import Lane
from gateway.settings import GatewaySettings
from gateway.shadow import Shadow
from gateway.ways import Way, comparable, ways_of
from groundwork.counters import Counters
from prediction_log import frame as frames
from prediction_log.record import Kind
from prediction_log.validation import read_head

LONGEST_S: Final = 10.0
"""For how long a log that cannot be written may keep versions in memory that nothing answers by any more."""
_FLUSHES: Final = 2
"""After so many, a full stream has room: the first may have begun before it was full."""


class FrameShadow:
    """The shadow runs of one worker that follow its log."""

    def __init__(
        self,
        shadow: Shadow,
        journal: Journal,
        counters: Counters,
        settings: GatewaySettings,
        monotonic: Callable[[], float],
    ) -> None:
        self._shadow = shadow
        self._journal = journal
        self._counters = counters
        self._values = counters.values
        self._most = settings.shadow.max_bytes
        self._exact = settings.runs.batching == "exact"
        self._monotonic = monotonic
        self._pool = ThreadPoolExecutor(1, "frame-shadow")
        self._ways: dict[int, tuple[Way, ...]] = {}  # by the stream of who answers
        self._reached: dict[int, int] = {}  # where the last frame of such a stream ended
        self._leaving: dict[Way, tuple[int, float]] = {}  # where its rows end, and since when that is known
        self._queue: deque[tuple[bytes, tuple[Way, ...]]] = deque()
        self._bytes = 0
        self._work: asyncio.Task[None] | None = None
        self._flushed = asyncio.Event()
        self._closing = False

    def follow(self, lane: Lane, evidence: Evidence | None) -> tuple[Way, ...]:
        """The ways by which all of this lane's shadow runs are made here, held for it; () where they are not.

        Let them go when the lane is replaced.
        """
        ways = tuple([self._known(way) for way in ways_of(lane, evidence)])
        if not all(self._follows(way) or self._takes(way) for way in ways):
            return ()
        for way in ways:
            if not self._follows(way):
                self._begin(way)
            way.hold()
            self._leaving.pop(way, None)
        return ways

    def take(self, written: Sequence[bytes]) -> None:
        """These frames have been written to the log; called after every flush, whatever it wrote."""
        for body in written:
            head = read_head(memoryview(body))
            ways = self._ways.get(head.stream) if head.kind == Kind.PREDICTION else None
            if ways is not None:
                self._reached[head.stream] = head.end
                if head.skipped:
                    count_dropped(self._counters, ways[-1].beside, "unrecorded", head.skipped)
                self._accept(body, ways)
        self._flushed.set()
        if self._queue and self._work is None:
            self._work = asyncio.get_running_loop().create_task(self._follow_all())
        self._age()

    async def idle(self) -> None:
        """Wait until everything that was taken is recorded."""
        while self._work is not None:
            await asyncio.wait([self._work])
        await self._shadow.idle()

    async def close(self) -> None:
        """Finish what was taken and let the thread and the versions go."""
        self._closing = True
        self._flushed.set()
        await self.idle()
        self._pool.shutdown(wait=False)
        for way in [way for ways in self._ways.values() for way in ways]:
            self._end(way)

    def _known(self, way: Way) -> Way:
        """The same way, where it is followed already."""
        for other in self._ways.get(self._journal.stream(way.answered), ()):
            if (other.beside, other.arm, other.revision) == (way.beside, way.arm, way.revision):
                return other
        return way

    def _follows(self, way: Way) -> bool:
        return way in self._ways.get(self._journal.stream(way.answered), ())

    def _takes(self, way: Way) -> bool:
        schedule = way.beside.schedule
        return (
            2 * self._journal.frame_bytes <= self._most
            and self._journal.keeps_whole(way.answered)
            and comparable(way.answered)
            and comparable(way.beside)
            and schedule.batch_rows > 1
            and cheap_rows(schedule) > 0
        )

    def _begin(self, way: Way) -> None:
        _hold(way)
        stream = self._journal.stream(way.answered)
        self._ways[stream] = (*self._ways.get(stream, ()), way)
        self._journal.follow(way.answered, followed=True)
        self._reached.setdefault(stream, self._journal.standing(way.answered))

    def _end(self, way: Way) -> None:
        stream = self._journal.stream(way.answered)
        rest = tuple([other for other in self._ways[stream] if other is not way])
        self._ways[stream] = rest
        if not rest:
            del self._ways[stream], self._reached[stream]
            self._journal.follow(way.answered, followed=False)
        self._leaving.pop(way, None)
        _let_go(way)

    def _accept(self, body: bytes, ways: tuple[Way, ...]) -> None:
        if self._bytes + len(body) > self._most:
            self._refuse(body, ways)
            return
        self._queue.append((body, ways))
        self._bytes += len(body)
        for way in ways:
            _hold(way)

    def _refuse(self, body: bytes, ways: tuple[Way, ...]) -> None:
        """Count what there is no room for; on the loop, for to wait it would need the room."""
        frame = frames.decode(body, verify=False)
        for way in ways:
            looked = wanted(frame, way, way.left_out)
            way.met(looked.met)
            count_dropped(self._counters, way.beside, "bytes", looked.requests + looked.odd)

    def _age(self) -> None:
        """A flush has passed: end the ways by which nothing more can come."""
        unused = [way for ways in self._ways.values() for way in ways if not way.users]
        for way in unused:
            if self._is_over(way):
                self._end(way)

    def _is_over(self, way: Way) -> bool:
        journal, now = self._journal, self._monotonic()
        end, since = self._leaving.setdefault(way, (journal.standing(way.answered), now))
        owed = end - self._reached[journal.stream(way.answered)]
        if owed <= 0 or journal.flushed(way.answered):
            return True
        if now - since < LONGEST_S:
            return False
        count_dropped(self._counters, way.beside, "unrecorded", owed)
        return True

    async def _follow_all(self) -> None:
        """The life of the task that works off what was taken."""
        try:
            while self._queue:
                body, ways = self._queue.popleft()
                for way in ways:
                    await self._try(body, way)
                    _let_go(way)
                self._bytes -= len(body)
        finally:
            self._work = None

    async def _try(self, body: bytes, way: Way) -> None:
        """A mistake of ours costs the pairs of one frame, of which nobody knows how many, and is told."""
        try:
            await self._follow(body, way)
        except Exception as error:  # noqa: BLE001  see above
            count_dropped(self._counters, way.beside, "fault", read_head(memoryview(body)).rows)
            said = {"message": "a frame's shadow runs failed as nobody foresaw", "exception": error}
            asyncio.get_running_loop().call_exception_handler(said)

    async def _follow(self, body: bytes, way: Way) -> None:
        loop, left_out = asyncio.get_running_loop(), frozenset(way.left_out)
        looked, given = await loop.run_in_executor(self._pool, self._read, body, way, left_out)
        way.met(looked.met)
        if looked.odd:
            count_dropped(self._counters, way.beside, "unrecorded", looked.odd)
        if given is None:
            return
        if competes(way.beside, way.answered):
            count_dropped(self._counters, way.beside, "busy", looked.requests)
            return
        if not cheap_rows(way.beside.schedule):  # any more
            await self._one_by_one(list(jobs(way, given)))
            return
        most = self._longest(way)
        with self._shadow.executing([way.beside]):
            found, odd = await loop.run_in_executor(self._pool, run, way, given, most)
        for one in found:
            await self._record(way, one)
        await self._one_by_one(odd)

    def _longest(self, way: Way) -> int:
        most = min(ROWS, self._journal.pairs_at_once(way.pair))
        return min(most, way.beside.schedule.batch_rows) if self._exact else most

    def _read(self, body: bytes, way: Way, left_out: frozenset[bytes]) -> tuple[Wanted, Chosen | None]:
        """In the thread: the rows that are to be run again, and the stream of their pairs, once."""
        frame = frames.decode(body, verify=False)
        looked = wanted(frame, way, left_out)
        if not looked.requests:
            return looked, None
        self._journal.open_pairs(*way.pair)
        return looked, chosen(frame, looked.rows)

    async def _record(self, way: Way, found: Found) -> None:
        """Record and count a run in one turn of the loop."""
        given, pair = found.given, way.pair
        await self._room(way)
        sides = (given.outputs, found.outputs)
        stable, candidate = sides if pair[0] is way.answered else sides[::-1]
        self._journal.paired_rows(pair, way.arm, given.meta, stable, candidate)
        self._values[pair_series(self._counters, pair, "ok")] += found.requests
        if way.evidence is not None:
            self._values[way.evidence.requests] += found.requests
        await asyncio.sleep(0)

    async def _room(self, way: Way) -> None:
        """Let flushes make room for pairs; where they cannot, the row file counts what it loses."""
        for _ in range(_FLUSHES):
            if self._closing or self._journal.has_room(way.pair):
                return
            self._flushed.clear()
            await self._flushed.wait()

    async def _one_by_one(self, odd: Sequence[Job]) -> None:
        for job in odd:
            await self._shadow.room(job)
            self._shadow.offer(job)


def _hold(way: Way) -> None:
    """Keep both versions in memory."""
    for model in way.pair:
        model.hold()


def _let_go(way: Way) -> None:
    for model in way.pair:
        model.let_go()
