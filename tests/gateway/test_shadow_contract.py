"""Both ways of making shadow runs, offered one by one or found in the log, tell the same."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from prediction_log.frame import Frame
from prediction_log.record import Kind
from rollouts.route import FULL
from tests.facts import until
from tests.gateway.shadowed import BAD, CANARY, PLAIN, SETTINGS, SHADOWED, ask, close_gate
from tests.gateway.worlds import ROW, World, request, world
from tests.models import fragile_logistic, logistic

COUNTED: tuple[tuple[str, dict[str, str]], ...] = (
    ("driftgate_pairs_total", {"outcome": "ok"}),
    ("driftgate_pairs_total", {"outcome": "failed"}),
    ("evidence_requests_total", {"arm": "shadow"}),
    ("evidence_errors_total", {"arm": "shadow"}),
    ("evidence_requests_total", {"arm": "candidate"}),
    ("evidence_errors_total", {"arm": "candidate"}),
    ("driftgate_shadow_dropped_total", {}),
    ("driftgate_executing", {}),
    ("driftgate_log_rows_lost_total", {}),
)
Pairs = list[tuple[Any, ...]]
Scenario = Callable[[World], Awaitable[None]]


async def some_of_each_length(here: World) -> None:
    """Requests of one row and of several, and one that is longer than any run."""
    await here.beside(SHADOWED, v2=logistic(sign=-1.0))
    await ask(here, [ROW], [ROW] * 3, [ROW], [ROW] * 2, [ROW] * 600, [ROW])


async def with_client_ids(here: World) -> None:
    """Requests that the log records the long way."""
    await here.beside(SHADOWED, v2=logistic(bias=1.0))
    await ask(here, [ROW], [ROW] * 2, id="theirs")
    await ask(here, [ROW])


async def by_both_arms(here: World) -> None:
    """A canary: whoever of them answers, the other one runs beside."""
    await here.beside(CANARY, v2=logistic(sign=-1.0))
    await ask(here, *[[ROW] * rows for rows in (1, 2, 1, 1, 3, 1, 1, 1)])


async def what_a_shadow_fails_at(here: World) -> None:
    """Good requests and some that the version beside fails at."""
    await here.beside(SHADOWED, v2=fragile_logistic())
    await ask(here, [ROW], [BAD], [ROW, ROW], [ROW, BAD], [ROW])


async def what_everybody_fails_at(here: World) -> None:
    """A shadow that fails at all that it gets, more of it than may wait."""
    await here.beside(SHADOWED, v2=fragile_logistic())
    for _ in range(40):
        await ask(here, *[[BAD]] * 8)
        await here.core.shadow.idle()


async def what_stable_fails_at(here: World) -> None:
    """What was not answered is not compared."""
    await here.publish("m", "3", fragile_logistic())
    route = msgspec.structs.replace(SHADOWED, stable="3", shadow="2")
    await here.beside(route, v2=logistic())
    await ask(here, [ROW], [BAD], [ROW])


async def what_a_candidate_fails_at(here: World) -> None:
    """What stable answers in a candidate's place is no pair, on whatever path it was run."""
    route = msgspec.structs.replace(CANARY, weight=FULL)
    versions = await here.beside(route, v2=fragile_logistic())
    await ask(here, [BAD], [ROW], [BAD], [BAD], [ROW])
    await here.core.shadow.idle()  # what still waits would give way to those that follow
    for version in versions.values():
        version.inline_rows = -1
    await asyncio.gather(*(ask(here, [BAD]) for _ in range(4)))


async def pinned(here: World) -> None:
    """What names its version is not compared."""
    await here.beside(SHADOWED, v2=logistic())
    await here.infer(request(), headers={"x-driftgate-version": "1"})
    await here.infer(request(), headers={"x-driftgate-version": "2"})
    await ask(here, [ROW])


async def while_routes_change(here: World) -> None:
    """Each row goes by the route that answered it, though others stand when it is run again."""
    await here.beside(SHADOWED, v2=logistic())
    await ask(here, [ROW])
    await here.serve(CANARY)
    await ask(here, *[[ROW]] * 6)
    await here.serve(msgspec.structs.replace(PLAIN, revision=5))
    await ask(here, [ROW])
    await here.serve(msgspec.structs.replace(SHADOWED, revision=6))
    await ask(here, [ROW] * 2)
    await here.serve(PLAIN)
    await ask(here, [ROW])


async def while_a_lane_is_made_anew(here: World) -> None:
    """The same revision again, as it is after every load and release, doubles nothing."""
    await here.beside(SHADOWED, v2=logistic())
    for _ in range(3):
        await ask(here, [ROW])
        await here.serve(SHADOWED)
    await ask(here, [ROW])


async def off_the_loop(here: World) -> None:
    """Requests that were under way when their route was replaced."""
    versions = await here.beside(SHADOWED, v2=logistic())
    gate = close_gate(versions["1"])
    under_way = [asyncio.create_task(ask(here, [ROW] * 2)) for _ in range(3)]
    await until(lambda: gate.begun, "a run is under way")
    await here.serve(PLAIN)
    for _ in range(4):
        await here.flusher.flush()
    gate.go.set()
    await asyncio.gather(*under_way)


SCENARIOS = (
    some_of_each_length,
    with_client_ids,
    by_both_arms,
    what_a_shadow_fails_at,
    what_everybody_fails_at,
    what_stable_fails_at,
    what_a_candidate_fails_at,
    pinned,
    while_routes_change,
    while_a_lane_is_made_anew,
    off_the_loop,
)


def rows_of(frame: Frame) -> Pairs:
    """Each row as it says, figures to four digits: in another run they may differ in the last."""
    columns = [np.round(frame.array(column.name), 4).tolist() for column in frame.schema.columns]
    validity = [None] * frame.rows if frame.validity is None else frame.validity.tolist()
    odd = [tuple(one) if one is not None and any(one) else () for one in validity]
    versions = frame.schema.partner, frame.schema.version
    return [(versions, *map(str, row)) for row in zip(*columns, odd, strict=True)]


async def told(folder: Path, scenario: Scenario, name: str, *, follows: bool) -> tuple[Pairs, list[int]]:
    """All pairs of a scenario in any order, and what was counted; in the end nobody holds a version."""
    async with world(folder, SETTINGS[name], follows=follows) as here:
        await scenario(here)
        versions = [*here.fleet.loaded.values()]
        await here.settle()
        await here.serve(PLAIN)
        await here.settle()
        async with asyncio.timeout(10):
            for version in versions:
                await version.idle()
        pairs = [row for frame in here.logged(Kind.PAIR) for row in rows_of(frame)]
        return sorted(pairs), [here.counted(name, **labels) for name, labels in COUNTED]


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
async def test_both_ways_tell_the_same(tmp_path: Path, scenario: Scenario, settings: str) -> None:
    """The same requests give the same pairs, counters and evidence, whether offered or found in the log."""
    offered = await told(tmp_path / "offered", scenario, settings, follows=False)
    followed = await told(tmp_path / "followed", scenario, settings, follows=True)
    assert offered[0]
    assert followed == offered
