"""Tests of monitor.delivery and monitor.outbox together: what was promised arrives, or is shown as dead."""

import io
import re
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx
import msgspec
import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from standardwebhooks.webhooks import Webhook as Reference

from groundwork.clock import FakeClock
from groundwork.database import transaction
from groundwork.logs import Log
from groundwork.tracing import Tracer
from monitor import outbox
from monitor.delivery import Dispatcher
from monitor.events import Event, TestData, event_id
from monitor.outbox import Delivery
from monitor.settings import Webhook
from monitor.store import open_store
from tests.monitor.worlds import SECRET

HOOK = Webhook(url="https://receiver.example/hook", secret=SECRET, name="receiver")
OTHER = Webhook(url="https://other.example/hook", secret=SECRET, name="other", events=("rollout.*",))


class SettableClock(FakeClock):
    """A clock whose wall reading can be set back, as a machine's can."""

    behind = 0

    def now(self) -> int:
        """Wall-clock time in unix nanoseconds."""
        return super().now() - self.behind

    def set_back(self, seconds: float) -> None:
        """Let the wall reading be so much earlier."""
        self.behind += round(seconds * 1e9)


class Bench:
    """A store, a clock, a receiver that answers as told, and a dispatcher between them."""

    def __init__(self, folder: Path) -> None:
        self.db = open_store(folder)
        self.folder = folder
        self.clock = SettableClock(1_793_874_131 * 10**9)
        self.told = io.StringIO()
        self.received: list[httpx.Request] = []
        self.answer: Callable[[httpx.Request], httpx.Response] = lambda _: httpx.Response(204)
        self.dispatcher = self.make()

    def make(self, tracer: Tracer | None = None) -> Dispatcher:
        """A dispatcher as a new process would make it."""
        self.sending = open_store(self.folder)
        return Dispatcher(
            self.sending,
            (HOOK, OTHER),
            self.clock,
            lambda: 0.5,
            Log(self.told, self.clock),
            transport=httpx.MockTransport(self._receive),
            tracer=tracer,
        )

    def _receive(self, request: httpx.Request) -> httpx.Response:
        self.received.append(request)
        told = self.answer(request)
        # As from a socket: a body that has not been read yet.
        return httpx.Response(told.status_code, headers=told.headers, stream=httpx.ByteStream(told.content))

    def promise(
        self,
        number: int,
        *,
        kind: str = "drift.detected",
        model: str = "m",
        subject: str = "models/m",
        expires: int | None = None,
    ) -> str:
        """An event in the outbox."""
        event = Event(
            id=event_id(number),
            type=kind,
            model=model,
            subject=subject,
            time=self.clock.now(),
            data=TestData(),
            expires=expires,
        )
        with transaction(self.db):
            outbox.append(self.db, event, source="/here", webhooks=(HOOK, OTHER))
        return event.id

    def delivery(self, event: str, endpoint: str = "receiver") -> Delivery:
        """How one delivery stands."""
        return next(d for d in outbox.listed(self.db, event=event) if d.endpoint == endpoint)

    async def close(self) -> None:
        """Give everything back."""
        await self.dispatcher.close()
        self.sending.close()
        self.db.close()

    async def pass_time(self, seconds: float) -> float | None:
        """Advance the clock and try what is due."""
        self.clock.advance(seconds)
        return await self.dispatcher.step()


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """A bench in a folder of its own."""
    made = Bench(tmp_path)
    yield made
    await made.close()


async def test_an_event_is_posted_once_and_verifies(bench: Bench) -> None:
    """What is delivered carries id, timestamp and a signature over exactly its bytes; then nothing is due."""
    event = bench.promise(1)
    assert await bench.dispatcher.step() is None
    assert await bench.dispatcher.step() is None
    (request,) = bench.received
    assert request.headers["webhook-id"] == event
    assert request.headers["x-attempt"] == "1"
    assert request.headers["content-type"].startswith("application/cloudevents+json")
    signed = Reference(SECRET).sign(event, _when(request), request.content.decode())
    assert request.headers["webhook-signature"] == signed
    assert bench.delivery(event).state == outbox.DELIVERED


async def test_a_failing_receiver_is_tried_on_schedule_with_the_same_id(bench: Bench) -> None:
    """Each attempt has the same id and body, a timestamp and signature of its own, and counts up."""
    bench.answer = lambda _: httpx.Response(503 if len(bench.received) < 3 else 200)
    event = bench.promise(1)
    assert await bench.dispatcher.step() == pytest.approx(5.0)
    assert await bench.pass_time(4.9) == pytest.approx(0.1)
    assert len(bench.received) == 1
    assert await bench.pass_time(0.1) == pytest.approx(30.0)
    assert await bench.pass_time(30.0) is None
    assert [request.headers["x-attempt"] for request in bench.received] == ["1", "2", "3"]
    assert len({request.headers["webhook-signature"] for request in bench.received}) == 3
    assert len({request.content for request in bench.received}) == 1
    assert {request.headers["webhook-id"] for request in bench.received} == {event}
    assert [attempt.status for attempt in bench.delivery(event).history] == [503, 503, 200]


async def test_every_attempt_is_a_span_of_the_events_trace(bench: Bench) -> None:
    """The header is a W3C trace context: the trace of the event's own attribute, a new span each time."""
    bench.answer = lambda _: httpx.Response(500)
    bench.promise(1)
    await bench.dispatcher.step()
    bench.clock.advance(60.0)
    bench.answer = lambda _: httpx.Response(204)
    await bench.dispatcher.step()
    first, second = (request.headers["traceparent"] for request in bench.received)
    told = msgspec.json.decode(bench.received[0].content)["traceparent"]
    assert all(re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-01", context) for context in (first, second, told))
    assert first[:36] == second[:36] == told[:36]
    assert len({first, second, told}) == 3


async def test_an_attempt_is_a_span_where_spans_are_wanted(bench: Bench) -> None:
    """It is in the event's trace, its context is the one that is sent, and a failure is its error."""
    kept = InMemorySpanExporter()
    bench.dispatcher = bench.make(Tracer(SimpleSpanProcessor(kept), "monitor"))
    bench.answer = lambda _: httpx.Response(500, content=b"no")
    event = bench.promise(1)
    await bench.dispatcher.step()
    (span,) = kept.get_finished_spans()
    sent = bench.received[0].headers["traceparent"]
    assert span.context is not None
    assert sent == f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-01"
    assert msgspec.json.decode(bench.received[0].content)["traceparent"][:36] == sent[:36]
    attributes = span.attributes or {}
    assert (attributes["driftgate.event"], attributes["http.response.status_code"]) == (event, 500)
    assert span.status.description == "no"


async def test_a_receiver_that_never_answers_ends_in_the_dead_letters(bench: Bench) -> None:
    """Ten attempts over days, then dead with its last answer; a replay is delivered with the same id."""
    bench.answer = _unreachable
    event = bench.promise(1)
    due = await bench.dispatcher.step()
    while due is not None:
        due = await bench.pass_time(max(due, 0.01))
    assert bench.delivery(event).state == outbox.DEAD
    assert bench.delivery(event).attempts == 10
    assert "ConnectError" in bench.delivery(event).history[-1].said
    bench.answer = lambda _: httpx.Response(200)
    assert await bench.dispatcher.replay(event, None) == 1
    await bench.dispatcher.step()
    assert bench.delivery(event).state == outbox.DELIVERED
    assert bench.received[-1].headers["webhook-id"] == event


async def test_a_clock_that_was_set_back_keeps_nothing_waiting(bench: Bench) -> None:
    """What a clock thirty days ahead put off by seconds waits for no more when the clock is right again."""
    bench.answer = lambda _: httpx.Response(503)
    event = bench.promise(1)
    right, bench.clock = bench.clock, SettableClock(bench.clock.now() + 30 * 86_400 * 10**9)
    ahead = bench.make()
    for _ in range(3):
        await ahead.step()
        bench.clock.advance(60.0)
    await ahead.close()
    assert bench.delivery(event).attempts == 3
    bench.clock, bench.answer = right, lambda _: httpx.Response(200)
    after = bench.make()
    await after.step()
    bench.clock.advance(120.0)
    await after.step()
    await after.close()
    assert bench.delivery(event).state == outbox.DELIVERED


@pytest.mark.parametrize("minutes", [5, 60, 1_440, 43_200])
async def test_a_clock_that_is_set_back_makes_no_wait_longer(bench: Bench, minutes: int) -> None:
    """What waits, and an endpoint that fails, waits on for as long as it was to wait, or was asked to."""
    bench.answer = lambda _: httpx.Response(503)
    event = bench.promise(1)
    assert await bench.dispatcher.step() == pytest.approx(5.0)
    bench.clock.set_back(minutes * 60.0)
    assert await bench.dispatcher.step() == pytest.approx(5.0)
    assert bench.delivery(event).attempts == 1
    bench.answer = lambda _: httpx.Response(503, headers={"retry-after": "3600"})
    assert await bench.pass_time(5.0) == pytest.approx(3600.0)
    for number in range(2, 12):
        bench.promise(number, model=f"m{number}")
        await bench.dispatcher.step()
    bench.clock.set_back(minutes * 60.0)
    bench.answer = lambda _: httpx.Response(200)
    bench.promise(12, model="m12")
    assert await bench.dispatcher.step() == pytest.approx(60.0)
    assert bench.delivery(event).next_at == bench.clock.now() + 3600 * 10**9
    await bench.pass_time(60.0)
    assert bench.delivery(event_id(12)).state == outbox.DELIVERED
    assert bench.delivery(event).state == outbox.PENDING


async def test_gone_switches_the_endpoint_off(bench: Bench) -> None:
    """After 410 nothing is sent to the endpoint; what is promised to it later is dead at once."""
    bench.answer = lambda _: httpx.Response(410)
    event = bench.promise(1)
    await bench.dispatcher.step()
    later = bench.promise(2)
    await bench.dispatcher.step()
    assert len(bench.received) == 1
    assert bench.delivery(event).state == bench.delivery(later).state == outbox.DEAD
    assert "receiver" in outbox.switched_off(bench.db)


async def test_a_redirect_is_not_followed(bench: Bench) -> None:
    """A redirect is a failure; the address it names is never called."""
    bench.answer = lambda _: httpx.Response(302, headers={"location": "http://169.254.169.254/"})
    bench.promise(1)
    assert await bench.dispatcher.step() == pytest.approx(5.0)
    assert {request.url.host for request in bench.received} == {"receiver.example"}


async def test_an_expired_event_is_not_delivered(bench: Bench) -> None:
    """An event past its expiry is dead without an attempt."""
    event = bench.promise(1, expires=bench.clock.now() + 10**9)
    await bench.pass_time(2.0)
    assert bench.received == []
    assert bench.delivery(event).state == outbox.DEAD


async def test_a_later_event_waits_for_quick_attempts_only(bench: Bench) -> None:
    """An event of the same model waits for three attempts of the one before it, and then goes ahead."""
    bench.answer = lambda request: httpx.Response(503 if request.headers["webhook-id"] == first else 200)
    first, second = bench.promise(1), bench.promise(2)
    assert await bench.dispatcher.step() == pytest.approx(5.0)
    await bench.pass_time(5.0)
    assert bench.delivery(second).attempts == 0
    await bench.pass_time(30.0)
    await bench.pass_time(0.0)
    assert bench.delivery(second).state == outbox.DELIVERED


async def test_a_promise_survives_the_process(bench: Bench) -> None:
    """What was pending when a process ended is delivered by the next one, with the attempt counted on."""
    bench.answer = lambda _: httpx.Response(500)
    event = bench.promise(1)
    await bench.dispatcher.step()
    bench.answer = lambda _: httpx.Response(200)
    bench.clock.advance(5.0)
    reborn = bench.make()
    await reborn.step()
    await reborn.close()
    assert bench.delivery(event).state == outbox.DELIVERED
    assert bench.received[-1].headers["x-attempt"] == "2"


async def test_endpoints_get_what_they_subscribed_to(bench: Bench) -> None:
    """A pattern takes a family of types; no pattern takes everything; one event is written once."""
    drift, rollout = bench.promise(1), bench.promise(2, kind="rollout.promote")
    bench.promise(2, kind="rollout.promote")
    assert [found.endpoint for found in outbox.listed(bench.db, event=drift)] == ["receiver"]
    assert {found.endpoint for found in outbox.listed(bench.db, event=rollout)} == {"receiver", "other"}
    assert len(outbox.listed(bench.db)) == 3


async def test_a_bare_failure_opens_the_breaker(bench: Bench) -> None:
    """After ten failures in a row an endpoint is tried once a minute, whatever is due."""
    bench.answer = lambda _: httpx.Response(500)
    for number in range(12):
        bench.promise(number, model=f"m{number}")
    for _ in range(8):
        await bench.pass_time(40.0)
    before = len(bench.received)
    await bench.pass_time(1.0)
    assert len(bench.received) == before
    assert before >= 10


async def test_an_answer_is_read_no_further_than_shown(bench: Bench) -> None:
    """A huge answer is cut, and its text kept as one line that does nothing to a terminal."""
    bench.answer = lambda _: httpx.Response(400, content=b"\x1b[2Jno\n\x00" * 1_000_000)
    event = bench.promise(1)
    await bench.dispatcher.step()
    said = bench.delivery(event).history[0].said
    assert len(said) < 500
    assert said.startswith("[2Jno [2Jno ")
    assert said.isprintable()


async def test_what_nobody_foresaw_is_a_failed_attempt(bench: Bench) -> None:
    """It is told, counted and tried again as any other failure, and other deliveries go on beside it."""
    bench.answer = _astonishing
    bench.promise(1, model="a", kind="rollout.start")
    assert await bench.dispatcher.step() == pytest.approx(5.0)
    astonished, other = (bench.delivery(event_id(1), name) for name in ("receiver", "other"))
    assert (astonished.state, astonished.attempts) == (outbox.PENDING, 1)
    assert astonished.history[-1].said == "ZeroDivisionError: of all [1m things"
    assert other.state == outbox.DELIVERED
    assert "delivery-failed" in bench.told.getvalue()
    bench.answer = lambda _: httpx.Response(204)
    assert await bench.pass_time(5.0) is None
    assert bench.delivery(event_id(1)).state == outbox.DELIVERED


def _astonishing(request: httpx.Request) -> httpx.Response:
    if request.url.host == "receiver.example":
        raise ZeroDivisionError("of\nall\x1b[1m things")
    return httpx.Response(204)


def test_deliveries_are_plain_documents() -> None:
    """A delivery can be shown as JSON."""
    assert msgspec.json.encode(outbox.Attempt(1, 200, "ok", 3)) == b'[1,200,"ok",3]'


def _unreachable(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


def _when(request: httpx.Request) -> datetime:
    return datetime.fromtimestamp(int(request.headers["webhook-timestamp"]), UTC)


async def test_what_is_settled_is_forgotten_in_the_end(bench: Bench) -> None:
    """Events delivered thirty days ago go; what is pending and the newest event stay, and so do sequences."""
    old = []
    for number in range(3):
        old.append(bench.promise(number))
        await bench.dispatcher.step()
    bench.answer = lambda _: httpx.Response(503)
    waiting = bench.promise(3)
    await bench.dispatcher.step()
    await bench.pass_time(29 * 86_400)
    assert bench.delivery(old[0]).state == outbox.DELIVERED
    bench.db.execute("UPDATE deliveries SET state = 'pending' WHERE state = 'dead'")
    await bench.pass_time(2 * 86_400)
    kept = {found.event for found in outbox.listed(bench.db)}
    assert kept == {waiting}
    bench.answer = lambda _: httpx.Response(204)
    await bench.pass_time(60 * 86_400)
    await bench.pass_time(60 * 86_400)
    assert bench.db.execute("SELECT max(sequence) FROM events").fetchone() == (4,)
