"""Tests of monitor.delivery where receivers are slow: each endpoint has a turn of its own."""

import asyncio
import contextlib
import functools
import io
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import httpx

from groundwork.clock import FakeClock
from groundwork.database import transaction
from groundwork.logs import Log
from monitor import outbox
from monitor.delivery import Dispatcher
from monitor.events import Event, TestData, event_id
from monitor.sending import send
from monitor.settings import Webhook
from monitor.store import open_store
from tests.facts import until
from tests.monitor.worlds import SECRET


class World:
    """Endpoints of which some never answer, an outbox, and a dispatcher at work."""

    def __init__(self, folder: Path, names: Sequence[str], hanging: Sequence[str]) -> None:
        self.hooks = [Webhook(url=f"https://{name}.example/", secret=SECRET, name=name) for name in names]
        self.hanging = set(hanging)
        self.clock = FakeClock(1_793_874_131 * 10**9)
        self.db, self.sending = open_store(folder), open_store(folder)
        self.received: list[tuple[str, str]] = []
        self.answers = asyncio.Event()
        self.going: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.dispatcher = self.make()

    def make(self) -> Dispatcher:
        """A dispatcher as a new process would make it."""
        log, transport = Log(io.StringIO(), self.clock), httpx.MockTransport(self._receive)
        return Dispatcher(self.sending, self.hooks, self.clock, lambda: 0.5, log, transport=transport)

    async def _receive(self, request: httpx.Request) -> httpx.Response:
        name = request.url.host.partition(".")[0]
        self.received.append((name, request.headers["webhook-id"]))
        for counted in (name, "all"):
            self.going[counted] += 1
            self.most[counted] = max(self.most[counted], self.going[counted])
        if name in self.hanging:
            await self.answers.wait()
        self.going -= Counter([name, "all"])
        return httpx.Response(204, stream=httpx.ByteStream(b""))

    def promise(self, *numbers: int) -> None:
        """These events in the outbox, each of a model of its own, for every endpoint."""
        for number in numbers:
            event = Event(
                id=event_id(number),
                type="drift.detected",
                model=f"m{number}",
                subject="models/m",
                time=self.clock.now(),
                data=TestData(),
            )
            with transaction(self.db):
                outbox.append(self.db, event, source="/here", webhooks=self.hooks)

    def has_delivered(self, name: str, count: int) -> bool:
        """Whether an endpoint has had so many deliveries."""
        return outbox.counts(self.db).get((name, outbox.DELIVERED), 0) == count

    @contextlib.asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """The dispatcher's task, as the program runs it; cancelled in the middle of whatever it does."""
        task = asyncio.create_task(send(self.dispatcher, asyncio.Event(), Log(io.StringIO(), self.clock)))
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await self.dispatcher.close()

    def close(self) -> None:
        """Give the store back."""
        self.sending.close()
        self.db.close()


async def test_a_receiver_that_never_answers_keeps_no_other_waiting(tmp_path: Path) -> None:
    """While its posts hang, whatever is promised later to another endpoint goes out at once, and in order."""
    world = World(tmp_path, ["slow", "quick"], hanging=["slow"])
    async with world.at_work():
        for number in range(1, 4):
            world.promise(number)
            await until(functools.partial(world.has_delivered, "quick", number), "the quick one has it")
        assert world.received.count(("slow", event_id(1))) == 1
    quick = [event for name, event in world.received if name == "quick"]
    assert quick == [event_id(1), event_id(2), event_id(3)]
    world.close()


async def test_an_endpoint_has_four_posts_at_a_time(tmp_path: Path) -> None:
    """The oldest four of what is due; the rest waits for these, and another endpoint's go on."""
    world = World(tmp_path, ["slow", "quick"], hanging=["slow"])
    world.promise(*range(1, 11))
    async with world.at_work():
        await until(lambda: world.has_delivered("quick", 10), "the quick one has all")
        await until(lambda: len(world.received) == 14, "the slow one has four")
        slow = {event for name, event in world.received if name == "slow"}
        assert slow == {event_id(number) for number in range(1, 5)}
        world.answers.set()
        await until(lambda: world.has_delivered("slow", 10), "the slow one has all")
    assert world.most["slow"] == 4
    world.close()


async def test_all_endpoints_together_have_a_bounded_number_of_posts(tmp_path: Path) -> None:
    """However many endpoints hang, 64 posts go on at once; the others are tried as those come to an end."""
    names = [f"slow{number}" for number in range(20)]
    world = World(tmp_path, names, hanging=names)
    world.promise(1, 2, 3, 4)
    async with world.at_work():
        await until(lambda: len(world.received) == 64, "64 posts go on")
        world.answers.set()
        await until(lambda: all(world.has_delivered(name, 4) for name in names), "all have all")
    assert world.most["all"] == 64
    world.close()


async def test_a_stop_amid_a_post_leaves_the_delivery_as_it_was(tmp_path: Path) -> None:
    """What had no answer is pending, with no attempt counted, and the next process sends it with its id."""
    world = World(tmp_path, ["slow"], hanging=["slow"])
    world.promise(1)
    async with world.at_work():
        await until(lambda: bool(world.received), "the post is under way")
    (delivery,) = outbox.listed(world.db)
    assert (delivery.state, delivery.attempts) == (outbox.PENDING, 0)
    world.hanging.clear()
    world.dispatcher = world.make()
    await world.dispatcher.step()
    await world.dispatcher.close()
    assert world.received == [("slow", event_id(1))] * 2
    assert world.has_delivered("slow", 1)
    world.close()


async def test_an_event_that_is_replayed_amid_a_post_is_not_sent_beside_it(tmp_path: Path) -> None:
    """It is pending already, and one endpoint has one turn; another event is replayed beside it."""
    world = World(tmp_path, ["slow", "quick"], hanging=["slow"])
    world.promise(1)
    async with world.at_work():
        await until(lambda: len(world.received) == 2, "both posts are under way")
        await until(lambda: world.has_delivered("quick", 1), "the quick one has it")
        assert await world.dispatcher.replay(event_id(1), None) == 1
        await until(lambda: world.received.count(("quick", event_id(1))) == 2, "it came again")
        assert world.received.count(("slow", event_id(1))) == 1
    world.close()
