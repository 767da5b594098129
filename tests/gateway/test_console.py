"""What operators can do to a rollout, through the operator API: two at once, and one after the other."""

import asyncio

import pytest

from gateway.console import Wish
from rollouts.errors import RouteError
from rollouts.history import Entry
from tests.gateway.operated import STEPS, Bench


async def test_of_two_who_undo_the_second_is_told_of_the_first(bench: Bench) -> None:
    """Neither at once nor later does a second undo bring back what the first took away, unless it says so."""
    await bench.done("start", candidate="2", spec=STEPS)
    await bench.done("promote")
    both = await asyncio.gather(bench.act("undo", who="ada"), bench.act("undo", who="bob"))
    assert sorted(answer.status_code for answer in both) == [200, 409]
    later = await bench.act("undo", who="cleo")
    assert (later.status_code, later.json()["code"]) == (409, "gone-back")
    assert "has gone back to version 1 already (undo, " in later.json()["error"]
    assert (await bench.done("undo", to="2"))["status"]["stable"] == "2"
    assert (await bench.act("undo", to="2")).json()["code"] == "gone-back"


async def test_nothing_is_started_for_who_has_left(bench: Bench) -> None:
    """Whoever gave up while a candidate was loaded has seen that nothing was started, and that stays so."""

    async def gone() -> bool:
        return True

    with pytest.raises(RouteError, match="who asked for version 2 left before it was loaded"):
        await bench.console.act("m", "start", Wish(candidate="2"), gone)
    route = bench.store.route("m")
    assert route is not None
    assert route.revision == 1
    await bench.done("start", candidate="2")
    assert (await bench.console.act("m", "abort", Wish(), gone)).status.stable == "1"


async def test_who_and_why_are_kept_in_any_script_and_at_a_length(bench: Bench) -> None:
    """Headers are UTF-8; of a text without end the beginning is kept, and nobody is refused for it."""
    headers = {b"x-driftgate-who": "böb".encode(), b"x-driftgate-why": "ж".encode()}
    await bench.client.post("/v1/rollouts/m/start", json={"candidate": "2"}, headers=headers)
    await bench.done("abort", who="a" * 300_000, why="b" * 600_000)
    started, aborted = bench.store.latest("m", 2)
    assert (started.actor, started.reason) == ("operator:böb", "ж")
    assert aborted.actor == f"operator:{'a' * 199}…"
    assert aborted.reason == f"{'b' * 3999}…"


async def test_an_undo_after_notes_and_pauses_is_one_change_back(bench: Bench) -> None:
    """What changes no version in between, such as a crash that was noted, hides no way back."""
    await bench.done("start", candidate="2", spec=STEPS)
    await bench.done("promote")
    bench.store.note("m", Entry(actor="supervisor", verb="crash"))
    assert (await bench.done("undo"))["status"]["stable"] == "1"
    bench.store.note("m", Entry(actor="supervisor", verb="crash"))
    assert (await bench.act("undo")).json()["code"] == "gone-back"
