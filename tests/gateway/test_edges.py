"""Both edges of the data port: whatever comes over a socket, they give the same answer."""

import asyncio
import itertools
import threading
from collections.abc import Awaitable, Callable, Sequence
from email.utils import formatdate
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.run_settings import RequestSettings, RunSettings
from gateway.schedule import Measured, Schedule
from gateway.settings import GatewaySettings, PlatformSettings
from groundwork.clock import FakeClock
from groundwork.keys import INFER, READ, KeyBook, Scope, create
from prediction_log.record import Kind
from rollouts.route import FULL, Route
from tests.facts import until
from tests.gateway.edge_cases import BODY, CASES, ENDS, GET, chunked
from tests.gateway.edges import EDGES, Answered, Edge, edge, post
from tests.gateway.worlds import ROW, request
from tests.keys import NOW, bearer
from tests.models import fragile_logistic

SETTINGS: Final = GatewaySettings(requests=RequestSettings(max_body_bytes=100_000, inline_body_bytes=20_000))
IN_A_THREAD: Final = GatewaySettings(runs=RunSettings(inline=0))
OK: Final = 200
TODAY: Final = formatdate(FakeClock().now() / 1e9, usegmt=True)
A_SECOND: Final = Schedule("batched", -1, 16, "", Measured(((1, 1.0), (16, 1.0))))
"""What never runs on the loop, not even for one who is alone."""


async def on_both(
    folder: Path,
    asked: Callable[[Edge], Awaitable[Any]],
    configured: GatewaySettings | None = SETTINGS,
    book: KeyBook | None = None,
) -> Any:
    """What was found through ASGI, once it is seen that it is found around it as well."""
    found = {}
    for name in EDGES:
        async with edge(folder / name, name, configured, book) as here:
            found[name] = await asked(here)
            logged = [(frame.kind, frame.rows) for kind in Kind for frame in here.world.frames(kind)]
            found[name] = (found[name], logged, here.refused, here.denied)
    assert found["fast"] == found["asgi"]
    return found["asgi"][0]


@pytest.mark.parametrize("name", CASES)
async def test_both_edges_give_the_same_answers(tmp_path: Path, name: str) -> None:
    """Status, headers and body of every answer, and what the log has of it, do not tell the edge."""
    chunks, statuses = CASES[name]

    async def asked(here: Edge) -> list[Answered]:
        return await here.ask(*chunks, count=len(statuses))

    answers = await on_both(tmp_path, asked)
    assert [answer.status for answer in answers] == statuses
    assert all(answer.header("date") == TODAY for answer in answers if answer.status >= OK)


@pytest.mark.parametrize("name", ENDS)
async def test_both_edges_end_the_same_connections(tmp_path: Path, name: str) -> None:
    """Where one edge closes after its last answer, so does the other."""
    chunks, statuses = ENDS[name]

    async def asked(here: Edge) -> list[Answered]:
        client = await here.connect()
        await client.send(*chunks)
        return await client.answers()

    answers = await on_both(tmp_path, asked)
    assert [answer.status for answer in answers] == statuses
    assert all(answer.header("date") == TODAY for answer in answers)
    assert answers[-1].header("connection") == "close" or name == "close, then more"


async def test_a_run_in_a_thread_keeps_its_place(tmp_path: Path) -> None:
    """Requests sent ahead are answered in order, though some of them take a thread."""

    async def asked(here: Edge) -> list[Answered]:
        sent = b"".join(post(request(id=str(number))) for number in range(6))
        return await here.ask(sent + GET + post(request(id="6")), count=8)

    answers = await on_both(tmp_path, asked, IN_A_THREAD)
    ids = [msgspec.json.decode(answer.body).get("id") for answer in answers]
    assert ids == ["0", "1", "2", "3", "4", "5", None, "6"]


async def test_a_connection_outlives_its_runs(tmp_path: Path) -> None:
    """A connection has run after run off the loop, of requests sent alone and ahead, and then it drains."""

    async def asked(here: Edge) -> list[Answered]:
        client, model = await here.connect(), here.world.core.lanes.table["m"].stable
        model.inline_rows, model.schedule = -1, A_SECOND
        found = []
        for number in range(3):
            await client.send(post(request(id=f"alone {number}")))
            found.append(await client.answer())
            await client.send(b"".join(post(request(id=f"ahead {number}")) for _ in range(2)))
            found += [await client.answer(), await client.answer()]
        run, go = model.session.run, threading.Event()
        model.batcher = None
        model.session.run = lambda feeds: run(feeds) if go.wait(10) else []  # type: ignore[method-assign]
        await client.send(post(request(id="last")))
        here.connection.shutdown()
        go.set()
        return found + await client.answers()

    answers = await on_both(tmp_path, asked, IN_A_THREAD)
    ids = [msgspec.json.decode(answer.body)["id"] for answer in answers]
    assert ids == [f"{how} {n}" for n in range(3) for how in ("alone", "ahead", "ahead")] + ["last"]
    assert [answer.header("connection") for answer in answers] == [None] * 9 + ["close"]


async def test_what_is_refused_behind_a_run_ends_the_connection(tmp_path: Path) -> None:
    """Behind an answer that was waited for off the loop, what is no HTTP is told so, and parted with."""

    async def asked(here: Edge) -> list[Answered]:
        client, model = await here.connect(), here.world.core.lanes.table["m"].stable
        model.inline_rows, model.schedule = -1, A_SECOND
        await client.send(post() + b"nonsense\r\n\r\n")
        return await client.answers()

    answers = await on_both(tmp_path, asked, IN_A_THREAD)
    assert [answer.status for answer in answers] == [200, 400]


async def test_a_second_run_off_the_loop_keeps_its_place(tmp_path: Path) -> None:
    """Where a candidate fails off the loop, stable runs there too, and what was sent ahead comes after it."""
    route = Route(model="m", revision=2, stable="1", candidate="2", weight=FULL)

    async def asked(here: Edge) -> list[Answered]:
        await here.world.publish("m", "2", fragile_logistic())
        for model in (await here.world.serve(route)).values():
            model.inline_rows, model.schedule = -1, A_SECOND
        bad = request([[5.0, *ROW[1:]]], id="bad")
        return await here.ask(post(bad) + post(request(id="good")), count=2)

    bad, good = await on_both(tmp_path, asked, IN_A_THREAD)
    assert [msgspec.json.decode(answer.body)["id"] for answer in (bad, good)] == ["bad", "good"]
    assert [answer.header("x-driftgate-arm") for answer in (bad, good)] == ["stable", "candidate"]


def one_key(*scopes: Scope, rate: float | None = None, most: int | None = None) -> tuple[KeyBook, str]:
    """A book with one key, and the header line that shows it."""
    key, text = create("one", scopes, NOW, rate=rate, concurrency=most)
    ((name, value),) = bearer(text).items()
    return KeyBook((key,)), f"{name}: {value}"


async def test_both_edges_ask_for_a_key(tmp_path: Path) -> None:
    """No key, a wrong one and one for something else are refused, and the right one passes, each time."""
    book, line = one_key(INFER)
    bad = f"{line[:-6]}aaaaaa"

    async def asked(here: Edge) -> list[Answered]:
        each = (post(), post(None, bad), post(None, line), post(path="/v2/models/n/infer"), post(None, line))
        return await here.ask(*each, *each, count=10)

    answers = await on_both(tmp_path, asked, SETTINGS, book)
    assert [answer.status for answer in answers] == [401, 401, 200, 401, 200] * 2


async def test_both_edges_ask_for_the_scope(tmp_path: Path) -> None:
    """A key for reading predicts nothing."""
    book, line = one_key(READ)

    async def asked(here: Edge) -> list[Answered]:
        return await here.ask(post(None, line), post(None, line), count=2)

    assert [answer.status for answer in await on_both(tmp_path, asked, SETTINGS, book)] == [403, 403]


async def test_a_platforms_path_asks_for_a_key_where_it_predicts(tmp_path: Path) -> None:
    """Where health and predictions share a path, who reads shows no key, and who predicts does."""
    book, line = one_key(INFER)
    chosen = GatewaySettings(platform=PlatformSettings(vertex_predict="/", vertex_health="/"))
    good = {"instances": [ROW]}

    async def asked(here: Edge) -> list[Answered]:
        read = GET.replace(b"/v2/health/ready", b"/")
        return await here.ask(read, post(good, path="/"), post(good, line, path="/"), count=3)

    assert [answer.status for answer in await on_both(tmp_path, asked, chosen, book)] == [200, 401, 200]


@pytest.mark.parametrize("configured", [SETTINGS, IN_A_THREAD], ids=["inline", "thread"])
async def test_both_edges_keep_a_keys_bounds(tmp_path: Path, configured: GatewaySettings) -> None:
    """A key's rate bounds it, and its share of requests under way is given back with every answer."""
    book, line = one_key(INFER, rate=4.0, most=1)

    async def asked(here: Edge) -> list[int]:
        client = await here.connect()
        statuses = []
        for _ in range(6):
            await client.send(post(None, line))
            statuses.append((await client.answer()).status)
        return statuses

    assert await on_both(tmp_path, asked, configured, book) == [200] * 4 + [429] * 2


async def test_both_edges_drain(tmp_path: Path) -> None:
    """While the port closes, an idle connection and one in the middle of a body get one last answer."""

    async def asked(here: Edge) -> list[list[Answered]]:
        idle, busy = await here.connect(), await here.connect()
        await idle.send(post())
        first = await idle.answer()
        await busy.send(post()[:-9])
        async with Closing(here):
            await idle.send(post())
            await busy.send(post()[-9:])
            return [[first, *await idle.answers()], await busy.answers()]

    idle, busy = await on_both(tmp_path, asked)
    assert [answer.header("connection") for answer in (*idle, *busy)] == [None, "close", "close"]


class Closing:
    """Begins to close the port on entry, and sees that it closed without cutting anybody on exit."""

    def __init__(self, here: Edge) -> None:
        self._here = here

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._here.port.close(linger=30.0, limit=30.0))
        await asyncio.sleep(0)

    async def __aexit__(self, *_: object) -> None:
        assert await self._task == 0


async def test_shutting_down_waits_for_a_body(tmp_path: Path) -> None:
    """A connection told to end in the middle of a body ends after the answer."""

    async def asked(here: Edge) -> list[Answered]:
        client = await here.connect()
        await client.send(post()[:-9])
        here.connection.shutdown()
        await client.send(post()[-9:])
        return await client.answers()

    (answer,) = await on_both(tmp_path, asked)
    assert answer.status == 200
    assert answer.header("connection") == "close"


async def test_who_leaves_before_the_end_leaves_nothing(tmp_path: Path) -> None:
    """A client that goes in the middle of its body is neither answered nor in the log."""

    async def asked(here: Edge) -> int:
        client = await here.connect()
        await client.send(post()[:-9])
        client.writer.transport.abort()
        await until(lambda: here.port.connections == 0, "the server's side has ended")
        return 0

    assert await on_both(tmp_path, asked) == 0


async def test_who_leaves_during_a_run_is_in_the_log(tmp_path: Path) -> None:
    """A client that goes while its run is in a thread gets nothing, but the run is recorded."""

    async def asked(here: Edge) -> int:
        client = await here.connect()
        await client.send(post())
        client.writer.transport.abort()
        await until(lambda: here.port.connections == 0, "the server's side has ended")
        return 0

    assert await on_both(tmp_path, asked, IN_A_THREAD) == 0


async def test_nothing_is_written_while_the_client_does_not_read(tmp_path: Path) -> None:
    """Where the transport asks for a pause, answers wait, and come in order when it ends."""

    async def asked(here: Edge) -> list[Any]:
        client = await here.connect()
        await client.send(post(request(id="a")))
        first = await client.answer()
        here.connection.pause_writing()
        await client.send(post(request(id="b")), post(request(id="c")))
        assert not client.reader._buffer  # type: ignore[attr-defined]  # nothing has come
        here.connection.resume_writing()
        return [first, await client.answer(), await client.answer()]

    answers = await on_both(tmp_path, asked)
    assert [msgspec.json.decode(answer.body)["id"] for answer in answers] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("sent", "seconds", "statuses"),
    [
        ((post(),), 80.0, [200]),
        ((post(), post()), 80.0, [200, 200]),
        ((post()[:-9],), 80.0, [408]),
        ((post(), post()[:-9]), 80.0, [200, 408]),
        ((post()[:20],), 20.0, [408]),
        ((post(), post()[:20]), 20.0, [200, 408]),
    ],
    ids=["idle", "idle after two", "slow body", "slow second body", "slow head", "slow second head"],
)
async def test_time_is_bounded(
    tmp_path: Path, sent: Sequence[bytes], seconds: float, statuses: list[int]
) -> None:
    """A silent connection ends, and a request that does not come whole in time is refused."""

    async def asked(here: Edge) -> list[int]:
        client = await here.connect()
        await client.send(*sent)
        found = [(await client.answer()).status for _ in statuses if _ == 200]
        connection = here.connection
        if connection.timeout_keep_alive_task is not None:
            connection.timeout_keep_alive_handler()  # uvicorn's own timer is due
        connection.look(connection.loop.time() + seconds)
        return found + [answer.status for answer in await client.answers()]

    assert await on_both(tmp_path, asked) == statuses


async def test_a_body_limit_below_what_is_read_inline_holds(tmp_path: Path) -> None:
    """A body above the limit is refused on either edge, however small the limit."""
    small = GatewaySettings(requests=RequestSettings(max_body_bytes=1000, inline_body_bytes=20_000))
    sent = [post(), post(request([[0.0] * 4] * 100))]

    async def asked(here: Edge) -> list[int]:
        return [(await here.ask(body, count=1))[0].status for body in sent]

    assert await on_both(tmp_path, asked, small) == [200, 413]


async def test_a_mistake_of_ours_is_told_to_the_operator(tmp_path: Path) -> None:
    """An exception nobody foresaw is a 500 in one line; its traceback is in the log."""

    async def asked(here: Edge) -> list[Any]:
        session = here.world.core.lanes.table["m"].stable.session
        good, session.run = session.run, None  # type: ignore[assignment, method-assign]
        failed = await here.ask(post(), count=1)
        session.run = good  # type: ignore[method-assign]
        told = [line for line in here.world.lines.written if "request-failed" in line]
        assert len(told) == 1
        assert "Traceback" in told[0]
        return [*failed, *await here.ask(post(), count=1)]

    assert [answer.status for answer in await on_both(tmp_path, asked)] == [500, 200]


CUTS = st.lists(st.integers(0, 3 * len(post())), max_size=6)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15, deadline=None)
@given(kinds=st.lists(st.sampled_from(["one", "get", "bad", "chunked"]), min_size=1, max_size=6), cuts=CUTS)
async def test_however_it_is_cut(tmp_path_factory: Any, kinds: list[str], cuts: list[int]) -> None:
    """Any requests, cut into any reads, get the same answers in the same order."""
    each = {"one": post(), "get": GET, "bad": post(b"{"), "chunked": chunked(BODY)}
    sent = b"".join(each[kind] for kind in kinds)
    places = sorted({0, len(sent), *(cut for cut in cuts if cut < len(sent))})
    chunks = [sent[a:b] for a, b in itertools.pairwise(places)]

    async def asked(here: Edge) -> list[Answered]:
        return await here.ask(*chunks, count=len(kinds))

    answers = await on_both(tmp_path_factory.mktemp("cut"), asked)
    assert [answer.status for answer in answers] == [400 if kind == "bad" else 200 for kind in kinds]
