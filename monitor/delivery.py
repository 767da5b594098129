"""The dispatcher: takes due deliveries from the outbox, has them posted, writes what became of them.

Rules: at least once, always with the same id. Each endpoint has a turn of its own, at most four posts at a
time, so that one which does not answer keeps no other waiting; all together have at most 64. An endpoint that
failed ten times in a row is tried once a minute until it answers. An attempt that fails as nobody foresaw is
a failed attempt, and told in the log. Nothing is posted while what comes of it cannot be written. Storage is
touched in a thread of its own, in turns with the pipeline, so that a commit of that never holds up the API.

Refuses to know: what an event means.
"""

import asyncio
import contextlib
import functools
import itertools
import operator
import sqlite3
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from groundwork.clock import Clock
from groundwork.database import is_without_room, transaction
from groundwork.errors import LockedError, NoRoomError, StoreError
from groundwork.logs import Log
from groundwork.tracing import Tracer
from monitor import outbox
from monitor.courier import Courier
from monitor.outbox import Attempt, Delivery
from monitor.reports import Report
from monitor.reports import prune as prune_reports
from monitor.reports import save as save_report
from monitor.retries import Next, Response, judge, printable
from monitor.settings import Webhook
from monitor.store import NAME, Presence
from monitor.turns import Turns

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")
_NS: Final = 1_000_000_000
_AT_ONCE: Final = 4
_ALL_AT_ONCE: Final = 64
"""Fewer than the connections that a Poster has, so that no attempt's time is spent on waiting for one."""
_SHOWN: Final = 400
_PROBE_S: Final = 60
KEEP_S: Final = 30 * 86_400.0
_PRUNE_S: Final = 3600.0
_SET_BACK_S: Final = 1.0
"""A wall clock that lost so much against the steady one was set back."""


class Dispatcher:
    """The one owner of `deliveries` and `endpoints` in monitor.db, on a connection of its own.

    `turns` are those of whoever else writes the file in this process.
    """

    def __init__(  # noqa: PLR0913  the parts of a dispatcher, each its own
        self,
        connection: sqlite3.Connection,
        webhooks: Sequence[Webhook],
        clock: Clock,
        draw: Callable[[], float],
        log: Log,
        *,
        keep: float = KEEP_S,
        transport: "httpx.AsyncBaseTransport | None" = None,
        tracer: Tracer | None = None,
        turns: Turns | None = None,
    ) -> None:
        self._db = connection
        self._file = Presence(connection)
        self._writing = turns or Turns()
        self._webhooks = {webhook.endpoint: webhook for webhook in webhooks}
        self._courier = Courier(webhooks, clock, log, transport=transport, tracer=tracer)
        self._clock = clock
        self._draw = draw
        self._log = log
        self._keep = round(keep * _NS)
        self._pruned = float("-inf")
        # Nobody knows what the clock did while no monitor ran: the first look takes it for set back.
        self._ahead = float("inf")
        self._storage = ThreadPoolExecutor(1, "deliveries")
        self._going: dict[str, asyncio.Task[None]] = {}
        self._room = asyncio.Semaphore(_ALL_AT_ONCE)
        # What came of posts and could not be written: before that nothing is due, or it would be sent again.
        self._owed: list[Callable[[], None]] = []

    async def close(self) -> None:
        """Leave off what is going on, which is sent again after a start; give back connections."""
        for turn in self._going.values():
            turn.cancel()
        await asyncio.gather(*self._going.values(), return_exceptions=True)
        await self._courier.close()
        await asyncio.to_thread(self._storage.shutdown)

    async def begin(self) -> float | None:
        """Begin the turn of each endpoint that has none and for which something is due.

        Seconds until something is due for one that has none, None if nothing waits for those. Raises what
        storage raised, now or in a turn that has ended since.
        """
        self._end()
        waiting = await self._stored(functools.partial(self._look, frozenset(self._going)))
        now = self._clock.now()
        ready = [endpoint for endpoint, at in waiting.items() if at <= now]
        due = await self._stored(functools.partial(self._due, ready))
        for endpoint, first in itertools.groupby(due, operator.attrgetter("endpoint")):
            self._going[endpoint] = asyncio.create_task(self._turn(endpoint, list(first)))
        later = [at for endpoint, at in waiting.items() if endpoint not in self._going]
        return max(0.0, (min(later) - now) / _NS) if later else None

    async def step(self) -> float | None:
        """Try what is due until nothing is, and no turn is left; as `begin`."""
        due = await self.begin()
        while self._going:
            await asyncio.wait(self._going.values())
            due = await self.begin()
        return due

    def _end(self) -> None:
        """Take leave of turns that have ended; raises what one of them raised."""
        ended = [self._going.pop(endpoint) for endpoint in list(self._going) if self._going[endpoint].done()]
        for error in [turn.exception() for turn in ended]:
            if error is not None:
                raise error

    async def _turn(self, endpoint: str, due: Sequence[Delivery]) -> None:
        """Try what is due for one endpoint, four at a time, until nothing is."""
        while due:
            ended = await asyncio.gather(*map(self._deliver, due), return_exceptions=True)
            for error in ended:
                if error is not None:
                    raise error
            due = await self._stored(functools.partial(self._due, [endpoint]))

    async def replay(self, event: str, endpoint: str | None) -> int:
        """Make deliveries of an event pending again; how many."""
        return await self._stored(
            lambda: self._changed(lambda: outbox.replay(self._db, event=event, endpoint=endpoint))
        )

    async def save_report(self, event: str, told: Report) -> None:
        """Keep what a training job reports; UnknownError for a request that was never made."""
        now = self._clock.now()
        await self._stored(lambda: self._changed(lambda: save_report(self._db, event, told, now)))

    def _changed(self, work: Callable[[], T]) -> T:
        """Do what somebody asked for, in a transaction; NoRoomError or LockedError where that cannot be."""
        try:
            with self._changing():
                return work()
        except sqlite3.OperationalError as error:
            if is_without_room(error):
                raise NoRoomError(f"{NAME}: the disk is full; free disk space and ask again") from error
            raise LockedError(f"{NAME}: cannot be written now ({error}); ask again in a moment") from error

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        """A transaction, when it is our turn; StoreError where the file is not there any more."""
        self._file.check()
        with self._writing, transaction(self._db):
            yield

    async def send_test(self, webhook: Webhook, identifier: str, body: bytes) -> Response:
        """Post a body now, outside the outbox, signed as any other."""
        return await self._courier.carry(webhook, identifier, body, attempt=1)

    def _look(self, going: frozenset[str]) -> dict[str, int]:
        """When something is due for each endpoint but these (unix ns), once the books are in order."""
        self._pay()
        self._prune()
        self._plan_by_the_clock()
        if outbox.is_stuck(self._db):
            with self._changing():
                outbox.bury(self._db)
        return {name: at for name, at in outbox.next_due(self._db).items() if name not in going}

    def _due(self, endpoints: Sequence[str]) -> list[Delivery]:
        self._pay()
        now = self._clock.now()
        found = [one for endpoint in endpoints for one in outbox.due(self._db, endpoint, now, _AT_ONCE)]
        if found:
            with self._changing():
                outbox.claim(self._db, found)
        return found

    def _pay(self) -> None:
        """Write what could not be written before."""
        while self._owed:
            self._owed[0]()
            del self._owed[0]

    def _plan_by_the_clock(self) -> None:
        """Where the wall clock was set back since the last look, mend what was planned by it."""
        now = self._clock.now()
        ahead = now / _NS - self._clock.monotonic()
        if self._ahead - ahead > _SET_BACK_S:
            with self._changing():
                outbox.plan_again(self._db, now, _PROBE_S * _NS)
        self._ahead = ahead

    def _prune(self) -> None:
        """Once an hour, forget what was delivered or given up long ago."""
        now = self._clock.monotonic()
        if now - self._pruned < _PRUNE_S:
            return
        with self._changing():
            pruned = outbox.prune(self._db, self._clock.now() - self._keep)
            prune_reports(self._db)
        # A full batch means that there is more.
        self._pruned = now if pruned == 0 else self._pruned

    async def _deliver(self, delivery: Delivery) -> None:
        webhook = self._webhooks.get(delivery.endpoint)
        now = self._clock.now()
        if webhook is None:
            await self._settle(delivery, Next("dead", reason="the endpoint is not configured any more"), None)
            return
        if delivery.expires is not None and now > delivery.expires:
            await self._settle(delivery, Next("dead", reason="it expired before it could be delivered"), None)
            return
        body = await self._stored(lambda: outbox.body(self._db, delivery.sequence))
        async with self._room:
            begun, started = self._clock.now(), self._clock.monotonic()
            response, what = await self._tried(webhook, delivery, body)
        took = round((self._clock.monotonic() - started) * 1000)
        await self._settle(delivery, what, Attempt(begun, response.status, response.said, took))

    async def _tried(self, webhook: Webhook, delivery: Delivery, body: bytes) -> tuple[Response, Next]:
        """What came of one attempt, and what follows; no receiver's answer, whatever it is, ends the loop."""
        try:
            response = await self._courier.carry(webhook, delivery.event, body, attempt=delivery.attempts + 1)
            return response, self._judged(delivery, response)
        except Exception as error:  # noqa: BLE001  counted: as an attempt of this delivery
            fault = "".join(traceback.format_exception(error))
            self._log.error(
                "delivery-failed", delivery=delivery.event, endpoint=delivery.endpoint, fault=fault
            )
            response = Response(0, printable(f"{type(error).__name__}: {error}")[:_SHOWN])
            return response, self._judged(delivery, response)

    def _judged(self, delivery: Delivery, response: Response) -> Next:
        return judge(
            response,
            attempt=delivery.attempts + 1,
            now=self._clock.now(),
            expires=delivery.expires,
            draw=self._draw(),
        )

    async def _settle(self, delivery: Delivery, what: Next, attempt: Attempt | None) -> None:
        now = self._clock.now()
        tried = attempt or Attempt(now, 0, what.reason, 0)
        if what.reason and attempt is not None:
            tried = msgspec.structs.replace(attempt, said=f"{what.reason}; {attempt.said}")
        state = {"delivered": outbox.DELIVERED, "retry": outbox.PENDING}.get(what.kind, outbox.DEAD)
        after = msgspec.structs.replace(
            delivery,
            state=state,
            attempts=delivery.attempts + (attempt is not None),
            next_at=now + round(what.delay * _NS),
            history=(*delivery.history, tried)[-32:],
        )
        write = functools.partial(self._write, after, what, now, reached=attempt is not None)
        try:
            await self._stored(write)
        except (StoreError, sqlite3.OperationalError):
            self._owed.append(write)
            raise

    def _write(self, delivery: Delivery, what: Next, now: int, *, reached: bool) -> None:
        with self._changing():
            outbox.settle(self._db, delivery)
            if reached:
                outbox.note(self._db, delivery.endpoint, what, now + _PROBE_S * _NS)

    async def _stored(self, work: Callable[[], T]) -> T:
        """Run storage work in its thread, one piece at a time; whoever is cancelled lets it end there."""
        return await asyncio.get_running_loop().run_in_executor(self._storage, work)
