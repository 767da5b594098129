"""Tests of gateway.holding."""

import asyncio

from gateway.holding import Holding, Key
from groundwork.logs import Log
from tests.gateway.worlds import World

STABLE: Key = ("m", "1")


def holding(here: World, gone: list[Key]) -> Holding:
    """What this world's worker holds."""
    return Holding(here.fleet, Log(here.lines, here.clock), gone.append)


async def test_a_version_that_leaves_is_held_no_longer(here: World) -> None:
    """It is out of what is held at once, and forgotten when nobody needs it any more."""
    gone: list[Key] = []
    held = holding(here, gone)
    assert list(held.versions()) == [STABLE]
    loaded = here.fleet.loaded[STABLE]
    loaded.hold()
    held.let_go(STABLE)
    assert held.models() == {}
    assert held.is_leaving(STABLE)
    loaded.let_go()
    await asyncio.gather(*held.releases)
    assert (gone, held.is_leaving(STABLE), dict(here.fleet.loaded)) == ([STABLE], False, {})


async def test_only_what_has_long_been_idle_is_unused(here: World) -> None:
    """What was wanted in between begins anew, and one model's versions say nothing of another's."""
    held = holding(here, [])
    assert held.unused("m", ["1", "2"], 0.0, 10.0) == []
    assert held.unused("n", [], 5.0, 10.0) == []
    assert held.unused("m", ["1"], 10.0, 10.0) == [STABLE]
    assert held.unused("m", ["1", "2"], 15.0, 10.0) == [STABLE]
    assert held.unused("m", ["1", "2"], 25.0, 10.0) == [STABLE, ("m", "2")]
