"""Bringing a worker to what the routes say."""

import asyncio

import pytest

from gateway.reconcile import PINNED_MOST
from rollouts.route import FULL, Route
from tests.gateway.followed import Bench
from tests.gateway.worlds import World
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
