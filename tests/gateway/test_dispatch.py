"""Requests with deadlines and priorities, on the loop and off it, through the whole path."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from gateway.dispatch import PROOFS, WATCHED, Dispatch
from gateway.inference import Array
from gateway.joining import Feeds
from gateway.model import LoadedModel
from gateway.responses import Response
from gateway.run_settings import QueueSettings
from gateway.schedule import Measured, Schedule
from gateway.settings import GatewaySettings
from gateway.warmup import UNKNOWN, Cost
from prediction_log.record import Kind
from tests.gateway.worlds import ROW, World, call, request, world
from tests.models import attending, fragile_logistic, logistic

SECOND = ((1, 1.0), (16, 1.0))


def batched(here: World, *, rows: int = 16) -> LoadedModel:
    """Let model `m` run off the loop, joined, as if a run took a second."""
    model = here.core.lanes.table["m"].stable
    model.inline_rows = -1
    model.schedule = Schedule("batched", -1, rows, "", Measured(SECOND))
    return model


@pytest.fixture
async def small(tmp_path: Path) -> AsyncIterator[World]:
    """A world in which two requests may wait."""
    async with world(tmp_path, GatewaySettings(queue=QueueSettings(max_waiting=2))) as made:
        yield made


async def test_joined_answers_are_those_of_requests_alone(here: World) -> None:
    """What is asked together is answered as if each were alone, and recorded and counted as such."""
    documents = [request([[float(n)] * 30] * rows, id=f"r{n}") for n, rows in enumerate((1, 3, 2, 1))]
    alone = [(await here.infer(document)).json()["outputs"] for document in documents]
    batched(here)
    together = await asyncio.gather(*(here.infer(document) for document in documents))
    assert [answer.json()["outputs"] for answer in together] == alone
    assert [answer.json()["id"] for answer in together] == ["r0", "r1", "r2", "r3"]
    assert here.counted("driftgate_requests_total", outcome="ok") == 8
    assert here.counted("driftgate_runs_total") == 1
    assert here.counted("driftgate_executing") == 0
    (frame,) = here.frames(Kind.PREDICTION)
    assert frame.rows == 14


async def test_a_bad_request_fails_alone(here: World) -> None:
    """A request that the graph fails on is 500, and those that ran with it are answered."""
    await here.add("f", fragile_logistic())
    model = here.core.lanes.table["f"].stable
    model.inline_rows, model.schedule = -1, Schedule("batched", -1, 8, "", Measured(SECOND))
    rows = [ROW, [5.0, *ROW[1:]], ROW]
    found = await asyncio.gather(*(here.infer(request([row]), model="f") for row in rows))
    assert [answer.status_code for answer in found] == [200, 500, 200]


async def test_outputs_and_parameters_are_each_request_s_own(here: World) -> None:
    """Named outputs of one request change nothing for those that ran with it."""
    batched(here)
    one, other = await asyncio.gather(
        here.infer(request(outputs=[{"name": "label"}])), here.infer(request(parameters={"priority": 1}))
    )
    assert [output["name"] for output in one.json()["outputs"]] == ["label"]
    assert [output["name"] for output in other.json()["outputs"]] == ["label", "probabilities"]


@pytest.mark.parametrize(
    ("headers", "parameters", "status"),
    [
        ({"X-Request-Timeout": "0.5"}, {}, 504),
        ({}, {"timeout": 500_000}, 504),
        ({"X-Request-Timeout": "2"}, {"timeout": 0}, 200),
        ({"X-Request-Timeout": "soon"}, {}, 400),
        ({}, {"timeout": "5"}, 400),
        ({}, {"priority": -1}, 400),
        ({}, {"priority": 3, "timeout": 2_000_000}, 200),
    ],
)
@pytest.mark.parametrize("inline", [True, False])
async def test_what_no_run_can_answer_in_time_is_refused(
    here: World, headers: dict[str, str], parameters: dict[str, object], status: int, *, inline: bool
) -> None:
    """A run takes a second; on the loop and off it, a shorter deadline is 504 and is never run."""
    model = batched(here)
    if inline:
        model.inline_rows, model.cost = 64, Cost(1.0, 0.0)
    answer = await here.infer(request(parameters=parameters), headers=headers)
    assert answer.status_code == status, answer.text
    assert here.counted("driftgate_requests_total", outcome="ok") == (status == 200)
    if status == 504:
        assert here.counted("driftgate_refusals_total", code="deadline-exceeded") == 1
        (frame,) = here.frames(Kind.REJECT)
        assert frame.rows == 1


async def test_what_the_loop_cannot_answer_in_time_is_not_decoded(here: World) -> None:
    """What is known without its body refuses a request: a late loop reads none that it cannot answer."""
    model = here.core.lanes.table["m"].stable
    model.inline_rows, model.cost = 64, Cost(1.0, 0.0)
    hurried = msgspec.structs.replace(call(**{"x-request-timeout": "0.5"}), body=b"{")
    refused = here.core.begin(hurried)
    assert isinstance(refused, Response)
    assert refused.status == 504
    unhurried = here.core.begin(msgspec.structs.replace(hurried, headers={}))
    assert isinstance(unhurried, Response)
    assert unhurried.status == 400


async def test_nobody_is_refused_by_what_is_not_known(here: World) -> None:
    """A version that could not be timed runs for requests with a deadline, one by one and together."""
    model = here.core.lanes.table["m"].stable
    model.inline_rows, model.schedule, model.cost = -1, Schedule(), UNKNOWN
    headers = {"X-Request-Timeout": "20"}
    for _ in range(3):
        answer = await here.infer(request(), headers=headers)
        assert answer.status_code == 200, answer.text
    together = await asyncio.gather(*(here.infer(request(), headers=headers) for _ in range(4)))
    assert {answer.status_code for answer in together} == {200}


async def test_a_run_of_a_lone_client_is_judged_by_those_before_it(here: World) -> None:
    """Once runs are quick enough for the loop, what was measured in a bad moment at load refuses nobody."""
    model = batched(here)
    model.cost = Cost(1.0, 0.0)
    for _ in range(80):
        assert (await here.infer(request())).status_code == 200
    for _ in range(3):
        answer = await here.infer(request(), headers={"X-Request-Timeout": "0.9"})
        assert answer.status_code == 200, answer.text


async def test_a_client_that_is_alone_is_answered_at_once(here: World) -> None:
    """A short run does not leave the loop for one client; what is asked behind it is run together."""
    model = batched(here)
    model.schedule = Schedule("batched", -1, 16, "", Measured(((1, 1e-4), (16, 1e-4))))
    first, *others = (here.core.begin(call()) for _ in range(3))
    assert isinstance(first, Response)
    assert first.status == 200
    for pending in others:
        assert not isinstance(pending, Response)
        assert (await pending).status == 200
    assert here.counted("driftgate_runs_total") == 1
    assert here.counted("driftgate_requests_total", outcome="ok") == 3


async def test_an_edge_s_own_deadline_counts(here: World) -> None:
    """What the edge knows, such as gRPC's deadline, holds as a header does."""
    batched(here)
    refused = here.core.begin(msgspec.structs.replace(call(), timeout=0.25))
    assert isinstance(refused, Response)
    assert refused.status == 504


async def test_a_full_queue_says_when_to_come_back(small: World) -> None:
    """Beyond the bound requests are refused with 503 and a computed Retry-After, before they are decoded."""
    batched(small, rows=1)
    begun = [small.core.begin(call()) for _ in range(2)]
    refused = small.core.begin(msgspec.structs.replace(call(), body=b"{"))
    assert isinstance(refused, Response)
    assert refused.status == 503
    assert (b"retry-after", b"2") in refused.headers
    for pending in begun:
        assert not isinstance(pending, Response)
        assert (await pending).status == 200
    assert small.counted("driftgate_refusals_total", code="queue-full") == 1


async def test_an_answer_that_comes_too_late_is_none(here: World) -> None:
    """A run that ends after the request's deadline is no answer: 504, recorded and counted as such."""
    batcher = here.core._dispatch._batcher(batched(here))
    run = batcher._subject.run

    def late(feeds: Feeds) -> list[Array]:
        here.clock.advance(3.0)
        return run(feeds)

    batcher._subject = msgspec.structs.replace(batcher._subject, run=late)
    pending = here.core.begin(msgspec.structs.replace(call(), timeout=2.0))
    assert not isinstance(pending, Response)
    assert (await pending).status == 504
    assert here.counted("driftgate_refusals_total", code="deadline-exceeded") == 1
    assert here.counted("driftgate_requests_total") == 0
    assert here.frames(Kind.PREDICTION) == []


async def test_who_leaves_is_not_run_and_not_recorded(here: World) -> None:
    """A request taken back before its run is counted, and nothing says that it was answered."""
    batched(here)
    pending = here.core.begin(call())
    assert not isinstance(pending, Response)
    task = asyncio.ensure_future(pending)
    here.core.lanes.table["m"].stable.batcher = None  # nothing of it is looked at again
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert here.counted("driftgate_refusals_total", code="client-gone") == 1
    assert here.counted("driftgate_requests_total") == 0
    assert here.frames(Kind.PREDICTION) == []


async def test_a_late_loop_sheds_what_waited_too_long(here: World) -> None:
    """While the loop is late, a request is refused unread beyond `queue.max_lag`, or beyond its deadline."""
    here.core.lag.beat(0.01)
    here.clock.advance(0.5)
    here.core.lag.beat(0.01)
    for timeout, status in ((0.3, 503), (0.6, 503), (0.7, 200)):  # the rest of the turn counts too
        timed = here.core.begin(msgspec.structs.replace(call(), timeout=timeout))
        assert isinstance(timed, Response)
        assert timed.status == status
    assert isinstance(patient := here.core.begin(call()), Response)
    assert patient.status == 200
    here.clock.advance(1.0)
    shed = here.core.begin(call())
    assert isinstance(shed, Response)
    assert (shed.status, here.counted("driftgate_refusals_total", code="overloaded")) == (503, 1)


async def test_statistics_tell_runs_by_their_rows(here: World) -> None:
    """Runs of one request and of several, on the loop and off it, are in `batch_stats` by their rows."""
    await here.infer(request())
    await here.infer(request([ROW] * 4))
    batched(here)
    await asyncio.gather(*(here.infer(request()) for _ in range(3)))
    (stats,) = (await here.client.get("/v2/models/m/stats")).json()["model_stats"]
    sizes = {one["batch_size"]: one["compute_infer"]["count"] for one in stats["batch_stats"]}
    assert sizes == {1: 1, 3: 1, 4: 1}
    assert (stats["inference_count"], stats["execution_count"]) == (8, 3)
    assert stats["inference_stats"]["success"]["count"] == 5


async def test_runs_that_are_too_long_leave_the_loop(here: World) -> None:
    """After a run that was too long the next are watched; some that take the processor for as long leave."""
    spent = [0.0]
    lag = here.core.lag
    dispatch = Dispatch(
        GatewaySettings(), here.slot.counters, lag, here.clock.monotonic, spent=lambda: spent[0]
    )
    model = here.core.lanes.table["m"].stable
    model.inline_rows = 500
    dispatch.ran_inline(model, 100, 1.0, 0.0)
    assert model.watched == WATCHED
    dispatch.ran_inline(model, 100, 1.0, 0.0)  # it waited for its processor
    spent[0] = 1.0
    dispatch.ran_inline(model, 100, 1e-6, 1.0)
    assert (model.inline_rows, model.strays, model.watched) == (500, False, WATCHED - 2)
    for _ in range(PROOFS):
        assert not model.strays
        dispatch.ran_inline(model, 100, 1.0, 0.0)
    assert (model.inline_rows, model.strays) == (99, True)
    assert here.fleet.schedules()["m", "1"].reason.endswith("one that took 1 s do not run on the loop")
    assert not dispatch.takes_alone(model, 100)


async def test_one_long_row_does_not_run_on_the_loop(here: World) -> None:
    """Where a request chooses how long a row is, what counts is how many elements it has."""
    model = await here.add("a", attending())
    model.inline_rows = 64
    for size, runs in ((64, 0), (65, 1)):
        tensor = {"name": "x", "datatype": "FP32", "shape": [1, size], "data": [1.0] * size}
        model.schedule = Schedule("queued", 64, 1, "", Measured(SECOND))
        answer = await here.infer({"inputs": [tensor]}, model="a")
        assert answer.json()["outputs"][0]["data"] == [float(size * size)]
        assert here.counted("driftgate_runs_total", model="a") == runs


async def test_a_deadline_counts_while_a_model_is_loaded(here: World) -> None:
    """Who says how long he waits is told by then; what the load took is taken from the run's time."""
    loads: list[asyncio.Future[LoadedModel]] = []

    async def load(_model: str, _version: str) -> LoadedModel:
        loads.append(asyncio.get_running_loop().create_future())
        return await loads[-1]

    await here.publish("m", "2", logistic())
    demand = here.core._demand
    demand._load = load
    hurried = msgspec.structs.replace(call(**{"x-request-timeout": "0.001"}), version="2")
    pending = here.core.begin(hurried)
    assert not isinstance(pending, Response)
    refused = await pending
    assert refused.status == 504
    assert b"was being loaded" in refused.body
    waiting = here.core.begin(msgspec.structs.replace(hurried, headers={b"x-request-timeout": b"30"}))
    assert not isinstance(waiting, Response)
    task = asyncio.ensure_future(waiting)
    await asyncio.sleep(0)
    here.clock.advance(31)
    loads[-1].set_result(await here.fleet.load("m", "2"))
    assert (await task).status == 504
