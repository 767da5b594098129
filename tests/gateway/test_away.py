"""Requests whose run is off the loop, as an edge has them: awaited, told of, or taken back."""

import asyncio

import pytest

from gateway.away import Away
from gateway.responses import Response
from gateway.schedule import Measured, Schedule
from rollouts.route import FULL, Route
from tests.gateway.worlds import ROW, World, call, request
from tests.models import fragile_logistic

BAD = [[5.0, *ROW[1:]]]
SECOND = ((1, 1.0), (16, 1.0))


def away(here: World, name: str = "m") -> Away:
    """A request of a version that runs off the loop."""
    model = here.core.lanes.table[name].stable
    model.inline_rows, model.schedule = -1, Schedule("batched", -1, 16, "", Measured(SECOND))
    pending = here.core.begin(call())
    assert isinstance(pending, Away)
    return pending


async def told(pending: Away) -> object:
    """What `end` gives once it may be called."""
    ended = asyncio.Event()
    pending.tell(lambda _future: ended.set())
    async with asyncio.timeout(10):
        await ended.wait()
    return pending.end()


async def test_who_is_told_has_the_answer_of_who_awaits(here: World) -> None:
    """Both ways give the same outputs, and are counted and recorded alike."""
    awaited, ended = await away(here), await told(away(here))
    assert isinstance(ended, Response)
    assert ended.status == awaited.status == 200
    assert ended.body.partition(b'"outputs"')[2] == awaited.body.partition(b'"outputs"')[2]
    assert here.counted("driftgate_requests_total", outcome="ok") == 2


async def test_a_version_is_held_until_the_answer_was_asked_for(here: World) -> None:
    """A version that answers is not closed under a request, whoever waits for it."""
    model, pending = here.core.lanes.table["m"].stable, away(here)
    ended = asyncio.Event()
    pending.tell(lambda _future: ended.set())
    assert not model._idle.is_set()
    await ended.wait()
    assert not model._idle.is_set()
    pending.end()
    assert model._idle.is_set()


async def test_who_takes_a_request_back_has_no_answer(here: World) -> None:
    """A request that was taken back is not run, and counted as such."""
    pending = away(here)
    pending.cancel()
    assert await told(pending) is None
    assert here.counted("driftgate_refusals_total", code="client-gone") == 1
    assert here.counted("driftgate_requests_total") == 0
    assert here.core.lanes.table["m"].stable._idle.is_set()


async def test_a_mistake_of_ours_is_raised(here: World) -> None:
    """What is no failure of the graph reaches both who awaits and who asks for the end."""

    def run(_feeds: object) -> list[object]:
        raise KeyError("x")

    here.core.lanes.table["m"].stable.session.run = run  # type: ignore[assignment,method-assign]
    with pytest.raises(KeyError):
        await away(here)
    with pytest.raises(KeyError):
        await told(away(here))
    assert here.core.lanes.table["m"].stable._idle.is_set()


async def test_who_stands_in_for_a_candidate_is_held(here: World) -> None:
    """While a candidate's run is awaited nothing takes stable away, which answers where it fails."""
    await here.publish("m", "2", fragile_logistic())
    await here.serve(Route(model="m", revision=2, stable="1", candidate="2", weight=FULL))
    stable, candidate = here.core.lanes.table["m"].stable, here.core.lanes.table["m"].versions["2"]
    candidate.inline_rows, candidate.schedule = -1, Schedule("batched", -1, 16, "", Measured(SECOND))
    pending = here.core.begin(call(request(BAD)))
    assert isinstance(pending, Away)
    ended = asyncio.Event()
    pending.tell(lambda _future: ended.set())
    assert not stable._idle.is_set()
    await ended.wait()
    answer = pending.end()
    assert isinstance(answer, Response)
    assert (b"x-model-version", b"1") in answer.headers
    assert stable._idle.is_set()
