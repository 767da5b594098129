"""The dispatcher: takes due deliveries from the outbox, posts them, writes what became of them.

Rules: at least once, always with the same id; at most four posts at a time and endpoint, so that one which
does not answer keeps the others waiting for one post's time at most. An endpoint that failed ten times in a
row is tried once a minute until it answers. An attempt that fails as nobody foresaw is a failed attempt, and
told in the log. Nothing is posted while what comes of it cannot be written. Storage is touched in threads of
its own, so that a commit of the pipeline never holds up the API; it is written in turns with the pipeline.

Refuses to know: what an event means.
"""

import asyncio
import contextlib
import functools
import importlib
import sqlite3
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from groundwork import decoders
from groundwork.clock import Clock
from groundwork.database import is_without_room, transaction
from groundwork.errors import LockedError, NoRoomError
from groundwork.logs import Log
from groundwork.tracing import Tracer, Value, parent_of
from monitor import outbox
from monitor.outbox import Attempt, Delivery
from monitor.reports import Report
from monitor.reports import prune as prune_reports
from monitor.reports import save as save_report
from monitor.retries import Next, Response, judge, printable
from monitor.settings import Webhook
from monitor.signing import SigningKeys, sign
from monitor.store import NAME
from monitor.traces import span_id, trace_id, trace_of, traceparent
from monitor.turns import Turns

if TYPE_CHECKING:
    import httpx

    from monitor.posting import Poster

T = TypeVar("T")
_NS: Final = 1_000_000_000
_AT_ONCE: Final = 4
_AGENT: Final = "driftgate/0 (+webhooks)"
_REFUSED: Final = 300
_SHOWN: Final = 400
_BREAKER: Final = 10
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
        self._turns = turns or Turns()
        self._tracer = tracer
        self._webhooks = {webhook.endpoint: webhook for webhook in webhooks}
        # Looked up at the start too: a secret that cannot be had is an error before anything is promised.
        self._keys = SigningKeys(webhooks, log)
        self._clock = clock
        self._draw = draw
        self._log = log
        self._keep = round(keep * _NS)
        self._pruned = float("-inf")
        # Nobody knows what the clock did while no monitor ran: the first look takes it for set back.
        self._ahead = float("inf")
        self._transport = transport
        self._poster: Poster | None = None
        self._storage = asyncio.Lock()
        # What came of posts and could not be written: before that nothing is due, or it would be sent again.
        self._owed: list[Callable[[], None]] = []

    async def close(self) -> None:
        """Give back connections to receivers."""
        if self._poster is not None:
            await self._poster.close()

    async def step(self) -> float | None:
        """Try what is due, once, four of an endpoint; seconds until something is due, None if nothing waits.

        What storage raises is raised when all of them have come to their end.
        """
        due = await self._stored(self._due)
        ended = await asyncio.gather(*map(self._deliver, due), return_exceptions=True)
        for error in ended:
            if error is not None:
                raise error
        next_at = await self._stored(lambda: outbox.next_due(self._db))
        return None if next_at is None else max(0.0, (next_at - self._clock.now()) / _NS)

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
        """A transaction, when it is our turn."""
        with self._turns, transaction(self._db):
            yield

    async def send_test(self, webhook: Webhook, identifier: str, body: bytes) -> Response:
        """Post a body now, outside the outbox, signed as any other."""
        return await self._post(webhook, identifier, body, attempt=1)

    def _due(self) -> list[Delivery]:
        while self._owed:
            self._owed[0]()
            del self._owed[0]
        self._prune()
        self._plan_by_the_clock()
        if outbox.is_stuck(self._db):
            with self._changing():
                outbox.bury(self._db)
        found = outbox.due(self._db, self._clock.now(), _AT_ONCE)
        if found:
            with self._changing():
                outbox.claim(self._db, found)
        return found

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
        started = self._clock.monotonic()
        response, what = await self._tried(webhook, delivery, body)
        took = round((self._clock.monotonic() - started) * 1000)
        await self._settle(delivery, what, Attempt(now, response.status, response.said, took))

    async def _tried(self, webhook: Webhook, delivery: Delivery, body: bytes) -> tuple[Response, Next]:
        """What came of one attempt, and what follows; no receiver's answer, whatever it is, ends the loop."""
        try:
            response = await self._post(webhook, delivery.event, body, attempt=delivery.attempts + 1)
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

    async def _post(self, webhook: Webhook, identifier: str, body: bytes, *, attempt: int) -> Response:
        context = _context(body, identifier, webhook.endpoint, attempt)
        if self._tracer is None:
            return await self._sent(webhook, identifier, body, attempt, context)
        parent = parent_of(context)
        span = self._tracer.begin("webhook", "client", self._clock.now(), parent)
        response = await self._sent(webhook, identifier, body, attempt, span.traceparent)
        told: dict[str, Value] = {
            "driftgate.endpoint": webhook.endpoint,
            "driftgate.event": identifier,
            "driftgate.attempt": attempt,
        }
        error = "" if response.status < _REFUSED and response.status else response.said
        span.end(self._clock.now(), {**told, "http.response.status_code": response.status}, error)
        return response

    async def _sent(
        self, webhook: Webhook, identifier: str, body: bytes, attempt: int, context: str
    ) -> Response:
        keys = await asyncio.to_thread(self._keys.of, webhook)
        timestamp = self._clock.now() // _NS
        headers = {
            "accept-encoding": "identity",
            "content-type": webhook.content_type,
            "user-agent": _AGENT,
            "traceparent": context,
            "webhook-id": identifier,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(keys, identifier, timestamp, body),
            "x-attempt": str(attempt),
        }
        poster = self._poster or await self._open()
        return await poster.post(webhook.url, body, headers)

    async def _open(self) -> "Poster":
        """The connections, made for the first delivery."""
        posting = await asyncio.to_thread(importlib.import_module, "monitor.posting")
        if self._poster is None:  # else another delivery was quicker
            self._poster = posting.Poster(self._transport)
        return self._poster

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
        except sqlite3.OperationalError:
            self._owed.append(write)
            raise

    def _write(self, delivery: Delivery, what: Next, now: int, *, reached: bool) -> None:
        with self._changing():
            outbox.settle(self._db, delivery)
            if reached:
                self._note_endpoint(delivery.endpoint, what, now)

    def _note_endpoint(self, endpoint: str, what: Next, now: int) -> None:
        """Count failures in a row; from the tenth on the endpoint is tried once a minute."""
        self._db.execute("INSERT OR IGNORE INTO endpoints (name) VALUES (?)", (endpoint,))
        if what.kind == "delivered":
            self._db.execute(
                "UPDATE endpoints SET failures = 0, retry_at = 0, disabled = '' WHERE name = ?", (endpoint,)
            )
        elif what.kind == "disable":
            self._db.execute("UPDATE endpoints SET disabled = ? WHERE name = ?", (what.reason, endpoint))
        else:
            self._db.execute(
                "UPDATE endpoints SET failures = failures + 1,"
                " retry_at = CASE WHEN failures + 1 >= ? THEN ? ELSE 0 END WHERE name = ?",
                (_BREAKER, now + _PROBE_S * _NS, endpoint),
            )

    async def _stored(self, work: Callable[[], T]) -> T:
        """Run storage work in a thread, one piece at a time."""
        async with self._storage:
            return await asyncio.to_thread(work)


class _Traced(msgspec.Struct, frozen=True):
    """What is read of an event that is about to be sent."""

    traceparent: str = ""


def _context(body: bytes, identifier: str, endpoint: str, attempt: int) -> str:
    """The trace context of one attempt: the event's trace, a span of the attempt's own."""
    trace = trace_of(decoders.json_of(_Traced).decode(body).traceparent) or trace_id(identifier)
    return traceparent(trace, span_id(identifier, endpoint, attempt))
