"""The workers of a gateway: one in every seat, started again when it dies, replaced one by one when due.

1. A seat whose worker dies gets another: at once if it was killed from outside, with growing waits if it
   keeps dying of itself (`gateway.backoff`).
2. A worker is replaced when it is worn out (`gateway.wear`), when an operator asks, and when settings change.
   The next one comes first, in a place of its own; when it answers, the old one takes no more connections,
   says `Connection: close` on what is in flight and ends. Never are two replaced at once, and where the next
   one does not come up, the old one stays.
3. A worker that never answers, time after time, is not started for ever: the fault is kept, and all stops.

It knows no operator, and nothing of what workers do; how one is started and ended, `gateway.children` knows.
"""

import asyncio
import signal
from collections.abc import Callable
from typing import Final

from gateway.aftermath import Aftermath
from gateway.backoff import Backoff
from gateway.causes import OWN_FAULT, cause_of, described
from gateway.child import Child
from gateway.children import Children
from gateway.guards import oom_kills
from gateway.places import Places, Stage
from gateway.settings import GatewaySettings
from gateway.tally import Tally
from groundwork.errors import DriftgateError
from groundwork.logs import Log

# A worker that has never answered and died this often will not be helped by another start.
HOPELESS: Final = 3
POLL_SECONDS: Final = 0.01
# Until a worn-out worker whose successor did not come up is tried again.
RETRY_SECONDS: Final = 60.0
# How often a seat is tried when every worker is to be replaced.
TRIES: Final = 3


class StartError(DriftgateError):
    """Workers that die before they ever answer."""

    code = "cannot-start"


class Seat:
    """Where a worker is to be; `place` is the row of the table that its worker writes."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.place = number
        self.child: Child | None = None
        self.backoff = Backoff()
        self.restart_at: float | None = None


class Crew:
    """The seats and their workers; owned by the supervisor's loop.

    `settings` are what the next worker is started with.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        children: Children,
        places: Places,
        aftermath: Aftermath,
        tally: Tally,
        log: Log,
    ) -> None:
        self.settings = settings
        self.seats = [Seat(number) for number in range(settings.workers)]
        self.stopping = children.stopping
        self.answered = False
        self.fault: StartError | None = None
        self.replacing = asyncio.Lock()
        self._children = children
        self._places = places
        self._aftermath = aftermath
        self._tally = tally
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._spare = settings.workers
        self._failures = 0
        self._left_out: set[tuple[str, str]] = set()
        self._ooms = oom_kills()
        self._keepers: list[asyncio.Task[None]] = []
        self._renewal: asyncio.Task[bool] | None = None
        self._renew_after = 0.0

    def begin(self) -> None:
        """Fill every seat, and keep it filled until `stopping`."""
        self._keepers = [asyncio.create_task(self._keep(seat)) for seat in self.seats]

    async def ready(self) -> bool:
        """Wait until every seat's worker answers; False when told to stop before."""
        while not self.stopping.is_set():
            if all(self.is_ready(seat) for seat in self.seats):
                self.answered = True
                return True
            await self.pause(POLL_SECONDS)
        return False

    def is_ready(self, seat: Seat) -> bool:
        """Whether the worker of a seat answers."""
        return seat.child is not None and self._places.stage(seat.place) is Stage.READY

    def look(self) -> None:
        """Once in a while: end who hangs, replace who is worn out."""
        now = self._loop.time()
        self._children.end_who_hangs(now)
        for seat in self.seats:
            child = seat.child
            if child is None or child.ended_for or not self.is_ready(seat):
                continue
            if child.ready_at is None:
                child.ready_at = now
            if now >= self._renew_after and not self.replacing.locked():
                worn = child.allotment.worn(child.use(self._places.served(seat.place), now))
                if worn:
                    self._renewal = asyncio.create_task(self._renew_worn(seat, worn))
                    self._renew_after = now + RETRY_SECONDS

    async def bring_up(self, settings: GatewaySettings) -> Child | None:
        """Start a worker beside the others and wait until it answers; None where it ends instead.

        Only one who holds `replacing` may.
        """
        try:
            child = await self._children.start(self._spare, settings)
        except OSError as error:
            self._log.error("worker-not-started", fault=error)
            return None
        while self._places.stage(child.place) is not Stage.READY:
            if self.stopping.is_set():
                return None
            if child.ended.done():
                code = child.ended.result()
                self._log.error("worker-not-replaced", pid=child.pid, how=described(code))
                self._aftermath.follow(child.place, code, cause_of(code))
                return None
            await asyncio.sleep(POLL_SECONDS)
        return child

    async def replace_all(self, why: str, fresh: Child | None = None, *, since: float | None = None) -> bool:
        """Replace every worker that began before `since` (the loop's time; None: before now), one by one.

        `fresh` comes first. Who holds `replacing` may. False where one seat's successor did not come up.
        """
        if since is None:
            since = self._loop.time() if fresh is None else fresh.began
        done = True
        for seat in self.seats:
            tries = 0
            while not self.stopping.is_set() and (seat.child is None or seat.child.began < since):
                if not self.is_ready(seat):
                    await self.pause(POLL_SECONDS)  # it is being started again, and will be newer or ready
                    continue
                successor, fresh = fresh, None
                tries += 1
                if await self._replace(seat, why, successor):
                    continue
                if tries == TRIES:
                    done = False
                    break
        if fresh is not None:
            await self._children.dismiss(fresh)
        return done

    async def stop(self, close_door: Callable[[], asyncio.Future[object]]) -> bool:
        """End every worker, in order; True when none had to be killed.

        Readiness fails first; all else goes on for `stop.delay`. Then `close_door` lets nobody in any more,
        and workers finish what they have; those that do not answer yet have nothing to finish.
        """
        self.stopping.set()
        stop = self.settings.stop
        self._children.signal_all(signal.SIGTERM)
        if self.answered and not await self._children.until_gone(stop.delay):
            await close_door()
        clean = await self._children.part_all(stop.linger + stop.limit)
        await asyncio.gather(*self._keepers, *([self._renewal] if self._renewal else []))
        await self._children.settled()
        await self._aftermath.settled()
        return clean

    async def _keep(self, seat: Seat) -> None:
        while not self.stopping.is_set():
            if seat.child is None:
                try:
                    seat.child = await self._children.start(seat.place, self.settings)
                except OSError as error:
                    self._log.error("worker-not-started", seat=seat.number, fault=error)
                    await self._wait_for(seat, seat.backoff.after(answered=False))
                    continue
            child = seat.child
            await asyncio.wait({child.ended})
            if self.stopping.is_set():
                return
            if seat.child is child:  # else it was replaced, and its successor is kept from now on
                seat.child = None
                await self._lost(seat, child)

    async def _lost(self, seat: Seat, child: Child) -> None:
        """A worker died that was wanted."""
        code, now = child.ended.result(), self._loop.time()
        ooms, before = oom_kills(), self._ooms
        self._ooms = ooms
        cause = cause_of(code, hung=child.ended_for == "hung", oom=ooms > before)
        lived = 0.0 if child.ready_at is None else now - child.ready_at
        wait = seat.backoff.after(answered=child.answered, own_fault=cause in OWN_FAULT, lived=lived)
        self._tally.restarted(seat.number, cause)
        self._log.warning(
            "worker-died",
            place=seat.number,
            pid=child.pid,
            how=described(code),
            reason=cause,
            restart_in_s=wait,
        )
        self._give_up_if_hopeless(code)
        # The next worker does not wait for the dead one's rows.
        self._aftermath.follow(child.place, code, cause)
        await self._wait_for(seat, wait)

    async def _wait_for(self, seat: Seat, seconds: float) -> None:
        seat.restart_at = self._loop.time() + seconds
        await self.pause(seconds)
        seat.restart_at = None

    async def _renew_worn(self, seat: Seat, why: str) -> bool:
        async with self.replacing:
            done = await self._replace(seat, why)
        if done:
            self._renew_after = 0.0
        return done

    async def _replace(self, seat: Seat, why: str, fresh: Child | None = None) -> bool:
        """Let `fresh` (or one that is started now) take the seat, then let the old one go."""
        old = seat.child
        fresh = fresh or await self.bring_up(self.settings)
        if fresh is None:
            return False
        if old is None or seat.child is not old or self.stopping.is_set():
            await self._children.dismiss(fresh)
            return False
        free = seat.place
        seat.child, seat.place = fresh, fresh.place
        self._tally.restarted(seat.number, "recycled")
        self._log.info("worker-replaced", place=seat.number, pid=old.pid, by=fresh.pid, why=why)
        await self._children.dismiss(old)
        self._spare = free
        return True

    def _give_up_if_hopeless(self, code: int) -> None:
        self._failures += 1
        # A version that is left out takes its deaths with it: without it there is hope again.
        self._left_out |= {one.key for one in self._aftermath.barred()}
        tries = HOPELESS * (1 + len(self._left_out))
        if not self.answered and self._failures >= tries * len(self.seats):
            self.fault = StartError(
                f"workers die before they answer ({self._failures} so far, the last one {described(code)}); "
                "the lines above say why"
            )
            self.stopping.set()

    async def pause(self, seconds: float) -> None:
        """Wait, but not longer than until the stop."""
        try:
            async with asyncio.timeout(seconds):
                await self.stopping.wait()
        except TimeoutError:
            return
