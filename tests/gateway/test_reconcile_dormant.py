"""Models that sleep where memory is budgeted: who leaves, who comes back, and who is never kept waiting."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from gateway.responses import Response
from gateway.run_settings import RunSettings
from gateway.settings import GatewaySettings
from rollouts.route import FULL, Route
from tests.gateway.followed import Bench
from tests.gateway.worlds import World, call, request, world
from tests.models import logistic


class Town:
    """Models of one size each in a worker with room for two of them."""

    def __init__(self, here: World) -> None:
        self.here = here
        self.bench = Bench(here)
        here.fleet.room = self.bench.reconciler.make_room
        here.core._demand._load = self.bench.reconciler.demand

    async def settle(self, *names: str) -> None:
        """Publish models and follow their routes."""
        for name in names:
            await self.here.publish(name, "1", logistic())
        await self.bench.follow(*(Route(model=name, revision=1, stable="1") for name in names))

    async def ask(self, name: str) -> int:
        """The status of a request for a model, some time after the last one."""
        self.here.clock.advance(100.0)
        return (await self.here.infer(request(), model=name)).status_code

    def answering(self) -> set[str]:
        """The models that are in the table."""
        return set(self.here.core.lanes.table)


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    """A worker whose budget holds two models."""
    runs = RunSettings(max_bytes=2 * len(logistic()) + 100)
    async with world(tmp_path, GatewaySettings(runs=runs)) as made:
        await made.fleet.release(made.fleet.loaded["m", "1"])
        yield Town(made)


async def test_models_beyond_the_budget_sleep_until_they_are_asked_for(town: Town) -> None:
    """What does not fit is dormant, its route applied; a request wakes it, and the longest unused leaves."""
    await town.settle("a", "b", "c")
    asleep = {"a", "b", "c"} - town.answering()
    assert len(asleep) == 1
    assert town.bench.shown.revisions == {"a": 1, "b": 1, "c": 1}
    assert town.bench.reconciler.faults == {}
    first, second = sorted(town.answering())
    (third,) = asleep
    assert [await town.ask(name) for name in (first, second, third)] == [200, 200, 200]
    assert town.answering() == {second, third}
    assert await town.ask(first) == 200
    assert town.answering() == {third, first}
    assert town.here.counted("driftgate_version_bytes") == 2 * len(logistic())
    counts = [town.here.counted(f"driftgate_{what}_total") for what in ("loads", "unloads", "evictions")]
    assert counts == [2 + 3, 3, 2]  # with the world's own first model


async def test_a_clock_that_was_set_back_keeps_no_model_in_memory(town: Town) -> None:
    """Who was loaded by a clock an hour ahead counts as unused, and makes room as anybody does."""
    await town.settle("a", "b", "c")
    (asleep,) = {"a", "b", "c"} - town.answering()
    for loaded in town.here.fleet.loaded.values():
        loaded.since += 3_600 * 10**9
    assert await town.ask(asleep) == 200
    assert asleep in town.answering()


async def test_a_dormant_model_is_served_all_the_same(town: Town) -> None:
    """Labels, metadata and pinned requests find a model that sleeps; it is one of those that are served."""
    await town.settle("a", "b", "c")
    (asleep,) = {"a", "b", "c"} - town.answering()
    assert town.here.core.lanes.served == {"a", "b", "c"}
    label = {"labels": [{"id": "11" * 16, "value": 1}]}
    assert (await town.here.post(f"/v2/models/{asleep}/labels", label)).status_code == 202
    town.here.clock.advance(100.0)
    found = await town.here.client.get(f"/v2/models/{asleep}/versions/1")
    assert found.json()["versions"] == ["1"]


async def test_who_comes_just_before_a_model_is_back_is_answered_by_it(town: Town) -> None:
    """A request that found its model asleep, and is gone on with when it is awake, is one like the others."""
    await town.settle("a", "b", "c")
    (asleep,) = {"a", "b", "c"} - town.answering()
    waiting = town.here.core.begin(msgspec.structs.replace(call(), model=asleep))
    assert not isinstance(waiting, Response)
    assert await town.ask(asleep) == 200
    assert (await waiting).status == 200


async def test_a_model_in_use_leaves_for_nobody(town: Town) -> None:
    """Where all that is loaded was asked a moment ago, a request for another is told so."""
    await town.settle("a", "b", "c")
    awake = sorted(town.answering())
    (asleep,) = {"a", "b", "c"} - town.answering()
    town.here.clock.advance(100.0)
    for name in awake:
        assert (await town.here.infer(request(), model=name)).status_code == 200
    answer = await town.here.infer(request(), model=asleep)
    assert answer.status_code == 503
    assert "runs.max_bytes" in answer.text
    assert town.answering() == set(awake)


async def test_a_rollout_keeps_its_model_awake(town: Town) -> None:
    """A model with a candidate is at nobody's disposal, however long nobody asked for it."""
    await town.settle("a")
    await town.here.publish("a", "2", logistic(bias=1.0))
    await town.bench.follow(Route(model="a", revision=2, stable="1", candidate="2", weight=FULL // 2))
    await town.here.publish("b", "1", logistic())
    town.here.clock.advance(1000.0)
    route = town.bench.reconciler.routes["a"]
    await town.bench.follow(route, Route(model="b", revision=1, stable="1"))
    assert town.answering() == {"a"}
    assert await town.ask("b") == 503


async def test_a_new_route_of_a_dormant_model_is_applied_asleep(town: Town) -> None:
    """An edit of a dormant model's route counts as applied; a request is then answered by it."""
    await town.settle("a", "b", "c")
    (asleep,) = {"a", "b", "c"} - town.answering()
    await town.here.publish(asleep, "2", logistic(bias=1.0))
    routes = {**town.bench.reconciler.routes, asleep: Route(model=asleep, revision=2, stable="2")}
    await town.bench.follow(*routes.values())
    assert town.bench.shown.revisions[asleep] == 2
    assert await town.ask(asleep) == 200
    assert town.here.core.lanes.table[asleep].stable.version == "2"
