"""Requests whose bodies are read off the loop."""

import asyncio
import signal

from gateway.away import Away
from gateway.responses import Response
from rollouts.route import FULL, Route
from tests.gateway.worlds import ROW, World, call, request
from tests.models import fragile_logistic

BAD = [[5.0, *ROW[1:]]]


async def test_who_stands_in_for_a_candidate_is_kept(here: World) -> None:
    """While a large body is read no swap takes the version away that answers where its candidate fails."""
    await here.publish("m", "2", fragile_logistic())
    await here.serve(Route(model="m", revision=2, stable="1", candidate="2", weight=FULL))
    stable = here.core.lanes.table["m"].stable
    here.core._inline_body = 0
    begun = here.core.begin(call(request(BAD)))
    assert not isinstance(begun, Response | Away)
    asking = asyncio.create_task(begun)
    await asyncio.sleep(0)  # it has begun to be read
    await here.serve(Route(model="m", revision=3, stable="2"))
    leaving = asyncio.create_task(here.fleet.release(stable))
    answer = await asking
    assert answer.status == 200
    assert (b"x-model-version", b"1") in answer.headers
    await leaving


async def test_a_deadline_passes_while_a_body_is_read(here: World) -> None:
    """Who says how long he waits is answered by then, whatever the process does that has his body."""
    here.core._inline_body = 0
    assert (await here.infer(request())).status_code == 200
    process = here.core._translators._large._process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    answer = await here.infer(request(), headers={"X-Request-Timeout": "0.1"})
    assert answer.status_code == 504, answer.text
    process.send_signal(signal.SIGCONT)
    assert (await here.infer(request(), headers={"X-Request-Timeout": "60"})).status_code == 200
    assert here.counted("driftgate_executing") == 0
