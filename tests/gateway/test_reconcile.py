"""Bringing a worker to what the routes say."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from gateway.reconcile import PINNED_MOST
from gateway.responses import Response
from gateway.run_settings import RunSettings
from gateway.settings import GatewaySettings
from rollouts.route import FULL, Route
from tests.gateway.followed import Bench
from tests.gateway.worlds import World, call, request, world
from tests.models import identity, logistic

ONE = Route(model="m", revision=1, stable="1")
HALF = Route(model="m", revision=2, stable="1", candidate="2", weight=FULL // 2)


@pytest.fixture
async def bench(here: World) -> Bench:
    """Versions 1 to 3 of `m`, none of them answering."""
    await here.publish("m", "2", logistic(bias=1.0))
    await here.publish("m", "3", logistic(bias=2.0))
    return Bench(here)


async def test_a_route_answers_when_its_versions_are_in_memory(bench: Bench) -> None:
    """After the loads the table has the lane, and the worker shows the revision."""
    await bench.follow(HALF)
    assert bench.answering() == ("1", "2", 2)
    assert bench.shown.revisions == {"m": 2}


async def test_what_answers_stays_until_the_next_is_loaded(bench: Bench) -> None:
    """While a candidate is being loaded the old route answers and is the one shown."""
    await bench.follow(ONE)
    gate = bench.gates.hold("2")
    bench.reconciler.follow({"m": HALF})
    await asyncio.sleep(0)
    assert (bench.answering(), bench.shown.revisions) == (("1", None, 1), {"m": 1})
    gate.set()
    await bench.reconciler.settled()
    assert bench.answering() == ("1", "2", 2)


async def test_a_rollback_overtakes_a_slow_load(bench: Bench) -> None:
    """Going back to what is in memory takes effect in the same turn of the loop."""
    await bench.follow(ONE)
    gate = bench.gates.hold("2")
    bench.reconciler.follow({"m": HALF})
    back = Route(model="m", revision=3, stable="1")
    bench.reconciler.follow({"m": back})
    assert (bench.answering(), bench.shown.revisions) == (("1", None, 3), {"m": 3})
    gate.set()
    await bench.reconciler.settled()
    assert bench.answering() == ("1", None, 3)


async def test_one_models_load_does_not_hold_up_another(bench: Bench) -> None:
    """Each model settles by itself."""
    await bench.here.publish("other", "1", logistic())
    gate = bench.gates.hold("3")
    bench.reconciler.follow({"m": Route(model="m", revision=1, stable="3")})
    other = Route(model="other", revision=4, stable="1")
    bench.reconciler.follow({"m": Route(model="m", revision=1, stable="3"), "other": other})
    await bench.shown.until("other", 4)
    assert "m" not in bench.here.core.lanes.table
    gate.set()
    await bench.reconciler.settled()


async def test_a_candidate_that_does_not_load_changes_nothing(bench: Bench) -> None:
    """The old table stays, the fault is kept and shown, and another model is not touched."""
    await bench.follow(ONE)
    await bench.here.publish("m", "4", b"no graph")
    await bench.follow(Route(model="m", revision=2, stable="1", candidate="4", weight=FULL))
    assert bench.answering() == ("1", None, 1)
    assert bench.shown.revisions == {"m": 1}
    assert "version 4" in bench.reconciler.faults["m", "4"].message
    assert bench.shown.failing == {("m", "4")}
    assert "version-not-loaded" in "".join(bench.here.lines.written)


async def test_a_failed_version_is_tried_again(bench: Bench) -> None:
    """After the retry time the version is loaded again, and served once it loads."""
    await bench.follow(ONE)
    await bench.follow(Route(model="m", revision=2, stable="1", candidate="9", weight=FULL))
    assert bench.answering() == ("1", None, 1)
    await bench.here.publish("m", "9", logistic(bias=3.0))
    bench.reconciler.look_around()
    await bench.reconciler.settled()
    assert bench.answering() == ("1", None, 1)
    bench.here.clock.advance(bench.pace.retry)
    bench.reconciler.look_around()
    await bench.reconciler.settled()
    assert bench.answering() == ("1", "9", 2)
    assert bench.shown.failing == set()


async def test_faults_that_were_taken_do_not_change(bench: Bench) -> None:
    """Whoever reads the faults in a thread has them as they were, however many come and go meanwhile."""
    for version in ("4", "5"):
        await bench.here.publish("m", version, b"no graph")
    await bench.follow(Route(model="m", revision=1, stable="4"))
    taken = bench.reconciler.faults
    before = list(taken.items())
    await bench.follow(Route(model="m", revision=2, stable="5"))
    bench.here.clock.advance(bench.pace.retry)
    bench.reconciler.look_around()
    assert list(taken.items()) == before
    await bench.reconciler.settled()
    assert bench.reconciler.faults.keys() == {("m", "5")}


async def test_a_version_that_fails_alike_again_is_told_once(bench: Bench) -> None:
    """However often a broken version is tried, the log has one line of it until it fails differently."""
    await bench.here.publish("m", "4", b"no graph")
    await bench.follow(Route(model="m", revision=1, stable="4"))
    for _ in range(3):
        bench.here.clock.advance(bench.pace.retry)
        bench.reconciler.look_around()
        await bench.reconciler.settled()
    assert bench.gates.asked == ["4"] * 4
    assert "".join(bench.here.lines.written).count("version-not-loaded") == 1


async def test_an_incompatible_candidate_never_answers(bench: Bench) -> None:
    """A candidate that does not accept what stable accepts is not served, however often it is tried."""
    await bench.here.publish("m", "5", identity([("z", "FP32", [None, 2])]))
    await bench.follow(ONE)
    await bench.follow(Route(model="m", revision=2, stable="1", candidate="5", weight=FULL))
    for _ in range(3):
        bench.here.clock.advance(bench.pace.retry)
        bench.reconciler.look_around()
        await bench.reconciler.settled()
        assert bench.answering() == ("1", None, 1)
    assert "version 5" in bench.reconciler.faults["m", "5"].message


async def test_stable_answers_alone_where_the_candidate_is_broken_from_the_start(bench: Bench) -> None:
    """A worker that starts beside a broken candidate serves stable, and does not claim the route."""
    await bench.here.publish("m", "4", b"no graph")
    await bench.follow(Route(model="m", revision=2, stable="1", candidate="4", weight=FULL))
    assert bench.answering() == ("1", None, 2)
    assert bench.shown.revisions == {}


async def test_a_model_that_nothing_answers_says_why(bench: Bench) -> None:
    """Requests for a model whose only version is broken are told so, until a version answers."""
    await bench.here.publish("n", "1", b"no graph")
    await bench.follow(ONE, Route(model="n", revision=1, stable="1"))
    answer = await bench.here.infer({}, model="n")
    assert answer.status_code == 503
    assert "model 'n' is not served now: model n version 1: the graph does not load" in answer.json()["error"]
    await bench.here.publish("n", "2", logistic())
    await bench.follow(ONE, Route(model="n", revision=2, stable="2"))
    assert bench.here.core.lanes.unserved == {}


async def test_previous_is_kept_warm(bench: Bench) -> None:
    """The version to go back to is in memory, without being waited for."""
    gate = bench.gates.hold("2")
    bench.reconciler.follow({"m": Route(model="m", revision=7, stable="1", previous="2")})
    await bench.shown.until("m", 7)
    gate.set()
    await bench.reconciler.settled()
    assert ("m", "2") in bench.gates.loaded


async def test_what_nothing_names_is_let_go_after_a_while(bench: Bench) -> None:
    """A version that left the route stays for the unload time, and is then forgotten."""
    await bench.follow(HALF)
    await bench.follow(Route(model="m", revision=3, stable="1"))
    bench.reconciler.look_around()
    assert ("m", "2") in bench.gates.loaded
    bench.here.clock.advance(bench.pace.unload)
    bench.reconciler.look_around()
    assert "2" not in bench.here.core.lanes.table["m"].versions
    await asyncio.gather(*bench.reconciler._holding.releases)
    assert ("m", "2") not in bench.gates.loaded


async def test_what_comes_back_in_time_is_kept(bench: Bench) -> None:
    """A version that the route names again before its time is up is not let go later."""
    await bench.follow(HALF)
    await bench.follow(Route(model="m", revision=3, stable="1"))
    bench.reconciler.look_around()
    await bench.follow(Route(model="m", revision=4, stable="1", candidate="2", weight=FULL))
    bench.here.clock.advance(bench.pace.unload)
    bench.reconciler.look_around()
    assert bench.answering() == ("1", "2", 4)


async def test_a_demanded_version_is_found_by_the_next_request(bench: Bench) -> None:
    """What one request has named is in the lane for those that follow, and answers nothing else."""
    await bench.follow(ONE)
    loaded = await bench.reconciler.demand("m", "3")
    assert bench.here.core.lanes.table["m"].versions["3"] is loaded
    assert bench.answering() == ("1", None, 1)


async def test_demanded_versions_are_bounded(bench: Bench) -> None:
    """Only the last few versions that requests named stay in memory."""
    await bench.follow(ONE)
    for version in range(10, 10 + PINNED_MOST + 1):
        await bench.here.publish("m", str(version), logistic(bias=float(version)))
        await bench.reconciler.demand("m", str(version))
    bench.reconciler.look_around()
    bench.here.clock.advance(bench.pace.unload)
    bench.reconciler.look_around()
    await asyncio.gather(*bench.reconciler._holding.releases)
    kept = {version for _, version in bench.gates.loaded}
    assert kept == {"1", *(str(version) for version in range(11, 11 + PINNED_MOST))}


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
