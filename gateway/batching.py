"""Runs off the loop for one version: greedy, in order, and joined where that pays.

    submit ─▶ queue ─▶ (a run ends) ─▶ all that may run together ─▶ thread ─▶ each one's own rows
                ▲──────── takes a full run itself ────────┘

Rules:

1. What waited while the last run was going is the next run; nothing waits for a clock but in rule 2.
2. When a run ends and at least two requests were in flight, the next waits for those that were just answered
   to come back: at most one run, give or take the grain of the loop's timers, and only where that saves much
   (`schedule.window`), until it does no more (`schedule.enough`), and where it has paid lately.
3. A version has threads of its own: a slow one keeps nobody else's requests waiting.
4. What is refused is refused as it comes; what has expired, or whose client has gone, is never run. An
   answer that is ready after its deadline is none.
5. Where the loop and a run have a processor each, what is in flight runs in two halves where that is quicker
   (`gateway.portion`).
6. A thread that ends a run goes on with the next where enough waits for it: a loop that has much to do must
   not keep runs waiting. All else is decided on the loop. The queue is touched under its lock; estimates and
   meters are written on the loop only.
7. A run holds what it runs, whoever still waits for it: its thread and its meters need it to the end.

It knows no protocol and no model, only its graph and its schedule.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import msgspec

from gateway.admission import MARGIN, Admission
from gateway.errors import ExpiredError
from gateway.estimates import Hope, Pace
from gateway.joining import Feeds, Outcome, Run, settle
from gateway.portion import Portion
from gateway.queue_meters import QueueMeters
from gateway.queueing import NEVER, Queue, Waiting
from gateway.run_settings import QueueSettings
from gateway.schedule import Schedule

_GRAIN_SECONDS: Final = 0.001
"""uvloop's timers are whole milliseconds, and come up to one too soon."""
_SWEEP_SECONDS: Final = 0.01
"""At most so often is all that waits looked through for what has expired: a busy loop has other work."""


class Subject(msgspec.Struct, frozen=True):
    """What is run, and how.

    `open_inputs` are those whose size beyond the batch axis is left to the request; `threads` is how many
    runs may go on at once where requests are not joined; `aside` says that the loop and a run have a
    processor each. `hold` and `let_go` keep it all in memory while something runs; on the loop.
    """

    title: str
    run: Run
    schedule: Schedule
    open_inputs: tuple[str, ...]
    threads: int
    hold: Callable[[], None]
    let_go: Callable[[], None]
    aside: bool = False


class Ended(msgspec.Struct, frozen=True, gc=False):
    """What a thread tells the loop of a run: when it was asked for, began and ended (monotonic seconds).

    `late` came upon its turn too late; `following` is the next one, where the thread is running it already.
    """

    run: Sequence[Waiting]
    outcomes: list[Outcome] | BaseException
    asked: float
    began: float
    ended: float
    late: Sequence[Waiting]
    following: Sequence[Waiting]


class Batcher:
    """The runs of one version in one worker; used on its loop."""

    def __init__(
        self,
        subject: Subject,
        settings: QueueSettings,
        meters: QueueMeters,
        monotonic: Callable[[], float],
        worked: Callable[[], float] = time.thread_time,
    ) -> None:
        """`worked` are the seconds of a processor that the loop's thread has had."""
        self._subject = subject
        self._meters = meters
        self._monotonic = monotonic
        self._queue = Queue(settings.max_waiting, settings.max_bytes)
        self._lock = threading.Lock()
        self._sweeps = 0.0
        self._company = 0.0
        self._behind = False
        self._pace = Pace(subject.schedule.measured.times)
        self._portion = Portion(subject.schedule, self._pace, worked, aside=subject.aside)
        most = self._portion.most
        self._lanes = 1 if most > 1 else subject.threads
        self._admission = Admission(subject.title, self._queue, self._pace, self._lanes, most, monotonic)
        self._pool = ThreadPoolExecutor(self._lanes, "run")
        self._running = 0
        self._ends = 0.0
        self._starting = False
        self._hope = Hope()
        self._timer: asyncio.Handle | None = None

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return len(self._queue)

    @property
    def crowded(self) -> bool:
        """Whether more waits than the next run will take."""
        return self._queue.rows > self._portion.most

    def takes_alone(self, rows: int, most: float) -> bool:
        """Whether a request that came now would run alone, within `most` seconds, with nobody behind it.

        Who is read in the turn after a lone run had come meanwhile: then there are others, to be joined.
        """
        if self._running or self._queue or self._starting or self._behind or self._timer is not None:
            return False
        return self._monotonic() >= self._company and self._pace.seconds(rows) <= most

    def least(self, rows: int) -> float:
        """The seconds that a run of so many rows takes at its best."""
        return self._pace.least(rows)

    def ran_alone(self, rows: int, seconds: float) -> None:
        """A run was made, and answered, where `takes_alone` had said so."""
        self._pace.note(rows, seconds)
        self._behind = True
        self._pass_turns(2)

    def _pass_turns(self, turns: int) -> None:
        """Let the loop look into the sockets once with nobody taken for being alone."""
        if turns:
            asyncio.get_running_loop().call_soon(self._pass_turns, turns - 1)
        else:
            self._behind = False

    def close(self) -> None:
        """Begin no more runs, and let the threads go; nobody may wait."""
        if self._timer is not None:
            self._timer.cancel()
        self._pool.shutdown(wait=False)

    def submit(
        self, feeds: Feeds, rows: int, deadline: float | None, priority: int, body: int = 0
    ) -> Waiting:
        """Take a request, read from so many bytes; its `future` gets the outputs, or its own run's error.

        Cancel the future to take the request back: it is then not run, if its run has not begun.

        Raises what `Admission.check` raises; `deadline` is monotonic.
        """
        now = self._monotonic()
        future = asyncio.get_running_loop().create_future()
        limit = NEVER if deadline is None else deadline
        alike = self._likeness(feeds)
        entry = Waiting(feeds, rows, future, now, deadline=limit, priority=priority, alike=alike, body=body)
        entry.alone = not self._running and not self._queue
        self._admission.check(entry, now, self._left(now))
        with self._lock:
            pushed_out = self._queue.push(entry)
        for lost in pushed_out:
            lost.fail(self._admission.full(self._left(now)))
        self._meters.length(len(self._queue))
        self._consider()
        return entry

    def check_room(self, priority: int, deadline: float | None) -> None:
        """Refuse, as `submit` would, what could not be taken however small it is: before it is decoded."""
        self._admission.check_room(priority, deadline, self._left(self._monotonic()))

    def _left(self, now: float) -> float | None:
        """For how many seconds the run will last that is going on; None where there is none."""
        return max(0.0, self._ends - now) if self._running else None

    def _likeness(self, feeds: Feeds) -> Hashable:
        return tuple([feeds[name].shape[1:] for name in self._subject.open_inputs])

    def _consider(self) -> None:
        """Begin a run in the loop's next turn, where one may begin: what was read in this turn goes along."""
        if self._starting or self._running >= self._lanes or not self._queue:
            return
        if self._timer is not None and self._queue.rows < self._hope.rows:
            return
        self._starting = True
        asyncio.get_running_loop().call_soon(self._start)

    def _start(self) -> None:
        self._starting = False
        self._end_wait()
        if not self._queue:
            return
        now = self._monotonic()
        self._sweep(now)
        while self._running < self._lanes and self._queue:
            with self._lock:
                run, late = self._take(now)
            self._expire(late)
            if run:
                self._running += 1
                self._subject.hold()
                self._meters.begin()
                self._pool.submit(self._work, run, now, asyncio.get_running_loop())
        self._meters.length(len(self._queue))

    def _sweep(self, now: float) -> None:
        if now < self._sweeps:
            return
        self._sweeps = now + _SWEEP_SECONDS
        with self._lock:
            late = self._queue.sweep(now, self._lasts())
        self._expire(late)

    def _lasts(self) -> float:
        """Seconds from now until the next run will have been answered, with a margin."""
        return MARGIN * (self._pace.seconds(min(self._queue.rows, self._portion.rows)) + self._pace.delay)

    def _take(self, now: float) -> tuple[list[Waiting], list[Waiting]]:
        """The next run, and whose turn came too late; under the lock, on the loop or in a thread."""
        run, late = self._queue.take(self._portion.rows, now, self._lasts())
        self._ends = now + self._pace.seconds(sum(entry.rows for entry in run))
        return run, late

    def _expire(self, late: Sequence[Waiting]) -> None:
        for entry in late:
            entry.fail(ExpiredError(f"{self._subject.title} did not come to the request within its deadline"))

    def _work(self, run: Sequence[Waiting], asked: float, loop: asyncio.AbstractEventLoop) -> None:
        """In a thread: the run, and those after it that are full; each one's outcome goes to the loop."""
        while run:
            began = self._monotonic()
            outcomes: list[Outcome] | BaseException
            try:
                feeds = [entry.feeds for entry in run]
                outcomes = settle(self._subject.run, feeds, [entry.rows for entry in run])
            except BaseException as error:  # noqa: BLE001  a mistake of ours must end the waiting of these requests
                outcomes = error
            ended = self._monotonic()
            following: list[Waiting] = []
            late: list[Waiting] = []
            with self._lock:
                waiting = self._queue.rows
                if waiting >= max(1, self._portion.enough(waiting, sum([entry.rows for entry in run]))):
                    following, late = self._take(ended)
            told = Ended(run, outcomes, asked, began, ended, late, following)
            try:
                loop.call_soon_threadsafe(self._ended, told)
            except RuntimeError:  # the loop is closed: nobody waits any more
                return
            run, asked = following, ended

    def _ended(self, told: Ended) -> None:
        try:
            self._conclude(told)
        finally:
            if not told.following:
                self._subject.let_go()

    def _conclude(self, told: Ended) -> None:
        run, outcomes = told.run, told.outcomes
        rows, seconds = sum(entry.rows for entry in run), told.ended - told.began
        self._pace.note(rows, seconds)
        results = [outcomes] * len(run) if isinstance(outcomes, BaseException) else outcomes
        good = [
            not isinstance(result, BaseException) and not entry.future.done()
            for entry, result in zip(run, results, strict=True)
        ]
        self._meters.end(sum(good), rows, seconds)
        if self._subject.aside:
            flying = rows + sum([entry.rows for entry in told.following]) + self._queue.rows
            self._portion.note(len(run), len(run) + len(told.following) + len(self._queue), flying)
        self._expire(told.late)
        if len(run) > 1:
            self._company = self._monotonic() + self._pace.seconds(rows)  # they may all come back
        if told.following:
            self._meters.begin()
            self._meters.length(len(self._queue))
            self._sweep(told.ended)
        else:
            self._running -= 1
            self._plan(run, rows)
        for entry, result in zip(run, results, strict=True):
            entry.began, entry.ended = told.began, told.ended
            self._meters.waited(told.began - entry.asked)
            if isinstance(result, BaseException):
                entry.fail(result)
            elif entry.is_late(self._monotonic()):
                entry.fail(
                    ExpiredError(
                        f"{self._subject.title} answered after the request's deadline; give it longer"
                    )
                )
            else:
                entry.answer(result)
        self._pace.note_delay(self._monotonic() - told.asked - seconds)

    def _plan(self, run: Sequence[Waiting], rows: int) -> None:
        """Begin the next run, or wait for company."""
        queue, portion = self._queue, self._portion
        seconds = 0.0
        if not self._running and len(run) + len(queue) > 1 and queue.rows < portion.rows:
            seconds = portion.window(queue.rows, rows)
        if seconds and self._hope.begin(queue.rows, portion.enough(queue.rows, rows)):
            self._timer = asyncio.get_running_loop().call_later(seconds + _GRAIN_SECONDS, self._last_call, 2)
        elif not self._starting:
            self._start()  # now: a busy loop may take long to come to its next turn

    def _last_call(self, turns: int) -> None:
        """The wait is over, but for what lies in the sockets: a timer comes before they are read."""
        if turns:
            self._timer = asyncio.get_running_loop().call_soon(self._last_call, turns - 1)
        else:
            self._start()

    def _end_wait(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._hope.end(self._queue.rows)
