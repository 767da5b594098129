"""The worker processes that live, whichever seat they sit in: started, told, waited for, ended.

1. A worker's place is its own until it has ended, and is cleared before the next one gets it.
2. One whose loop stands still, be it while it starts, is ended: SIGABRT, so that it says where it was, then
   SIGKILL.
3. Whoever is let go has its time to finish, and not more.

They know no seats: who is to be started, and who may go, is the crew's affair (`gateway.crew`).
"""

import asyncio
import signal
from collections.abc import Callable, Sequence
from typing import Final

from gateway.aftermath import Aftermath
from gateway.child import Child, Responder
from gateway.listeners import Listeners
from gateway.order import Order
from gateway.places import Places, Stage
from gateway.settings import GatewaySettings
from groundwork.logs import Log

# On top of what the settings allow a worker for its stop: the last flush and the interpreter's own end.
PATIENCE_SECONDS: Final = 10.0
# Between SIGABRT and SIGKILL.
ABORT_SECONDS: Final = 2.0
# Whose loop is expected to turn; one that ends has a bound of its own.
_LOOPING: Final = (Stage.STARTING, Stage.READY)
# It answers nobody, and may be minutes into loading a model.
_ANSWERLESS: Final = (Stage.ABSENT, Stage.STARTING)


class Children:
    """Those of one gateway; owned by the supervisor's loop.

    `answer` is what a worker's Ask gets. `patience` is how long a worker may take to end beyond what the
    settings allow. Once `stopping` is set whoever is still started is killed.
    """

    def __init__(
        self,
        listeners: Listeners,
        places: Places,
        aftermath: Aftermath,
        log: Log,
        answer: Responder,
        *,
        command: Sequence[str],
        draw: Callable[[], float],
    ) -> None:
        self.stopping = asyncio.Event()
        self.patience = PATIENCE_SECONDS
        self._listeners = listeners
        self._places = places
        self._aftermath = aftermath
        self._log = log
        self._answer = answer
        self._command = command
        self._draw = draw
        self._living: set[Child] = set()
        self._aborts: set[asyncio.Task[None]] = set()
        aftermath.barring = self._tell_barred

    async def start(self, place: int, settings: GatewaySettings) -> Child:
        """Start one in a place that is free; OSError when the system does not let us."""
        self._places.clear(place)
        self._places.reach(place, Stage.STARTING)
        told = Order(
            place=place,
            workers=self._places.count,
            places_fd=self._places.fd,
            http_fd=self._listeners.http.fileno(),
            operator_fd=self._listeners.operator.fileno(),
            settings=settings,
            grpc_fd=None if self._listeners.grpc is None else self._listeners.grpc.fileno(),
            barred=self._aftermath.told(self._places.count),
        )
        child = await Child.start(self._command, told, self._answer, self._draw())
        self._living.add(child)
        child.ended.add_done_callback(lambda _done: self._ended(child))
        if self.stopping.is_set():
            child.signal(signal.SIGKILL)
        return child

    def end_who_hangs(self, now: float) -> None:
        """End those whose loop has stood still for too long at `now` (the loop's time)."""
        for child in self._living:
            if self._places.stage(child.place) in _LOOPING:
                still = child.pulse.still(self._places.beat_of(child.place), now)
                if 0 < child.settings.worker.hung <= still:
                    self._abort(child, still)

    async def dismiss(self, child: Child) -> None:
        """Let one go that nobody needs any more; returns when it has ended."""
        child.part()
        stop = child.settings.stop
        bound = child.settings.worker.linger + stop.limit + self.patience
        await asyncio.wait({child.ended}, timeout=bound)
        if not child.ended.done():
            self._log.error("worker-killed", place=child.place, pid=child.pid, why="it did not stop in time")
            child.signal(signal.SIGKILL)
            await asyncio.wait({child.ended})
        self._aftermath.follow(child.place, child.ended.result(), "recycled")

    def signal_all(self, number: signal.Signals) -> None:
        """Send every one a signal."""
        for child in self._living:
            child.signal(number)

    async def part_all(self, seconds: float) -> bool:
        """Let all go, and kill who lives `seconds` and `patience` later; True when none had to be killed."""
        for child in self._living:
            if self._places.stage(child.place) in _ANSWERLESS:
                child.signal(signal.SIGKILL)
            else:
                child.leave()  # as its signal says, which may reach its loop after the next word
                child.part()
        late = not await self.until_gone(seconds + self.patience)
        for child in self._living:
            self._log.error("worker-killed", place=child.place, pid=child.pid, why="it did not stop in time")
        self.signal_all(signal.SIGKILL)
        return not late

    async def until_gone(self, seconds: float) -> bool:
        """Wait until none is left, but not longer; whether none is."""
        ends = {child.ended for child in self._living}
        if ends:
            await asyncio.wait(ends, timeout=seconds)
        return not self._living

    async def settled(self) -> None:
        """Wait until nobody is being aborted."""
        await asyncio.gather(*self._aborts)

    def _tell_barred(self) -> None:
        for child in self._living:
            child.bar(self._aftermath.told(self._places.count))

    def _ended(self, child: Child) -> None:
        self._living.discard(child)
        child.answered = self._places.stage(child.place) not in _ANSWERLESS
        self._places.clear(child.place)

    def _abort(self, child: Child, still: float) -> None:
        if child.ended_for:
            return
        child.ended_for = "hung"
        self._log.error("worker-hangs", place=child.place, pid=child.pid, seconds=round(still, 1))
        task = asyncio.create_task(_abort(child))
        self._aborts.add(task)
        task.add_done_callback(self._aborts.discard)


async def _abort(child: Child) -> None:
    child.signal(signal.SIGABRT)
    await asyncio.wait({child.ended}, timeout=ABORT_SECONDS)
    child.signal(signal.SIGKILL)
