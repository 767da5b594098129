"""Requests for what is not in memory: of models whose stable version cannot be served."""

import pytest

from prediction_log.record import Kind
from rollouts.route import Route
from tests.gateway.followed import Bench
from tests.gateway.worlds import World, request
from tests.models import logistic

ONE = Route(model="m", revision=1, stable="1")


@pytest.fixture
def bench(here: World) -> Bench:
    """Version 1 of `m`, not answering yet."""
    bench = Bench(here)
    here.core._demand._load = bench.reconciler.demand
    return bench


async def test_a_named_version_answers_for_a_model_whose_stable_one_is_broken(bench: Bench) -> None:
    """Requests that name a good version are answered, all others told why not; the model is not served."""
    core = bench.here.core
    await bench.here.publish("n", "1", logistic())
    await bench.here.publish("n", "2", b"no graph")
    await bench.follow(ONE, Route(model="n", revision=1, stable="2"))
    for path, headers in (("versions/1/infer", {}), ("infer", {"x-driftgate-version": "1"})):
        answer = await bench.here.infer(request(), model="n", path=path, headers=headers)
        assert answer.status_code == 200
        told = (answer.headers["x-model-version"], answer.headers["x-driftgate-arm"])
        assert told == ("1", "pinned")
    assert (await bench.here.infer(request(), model="n")).status_code == 503
    assert (await bench.here.infer(request(), model="n", path="versions/2/infer")).status_code != 200
    assert bench.gates.asked.count("2") == 1
    assert (await bench.here.client.get("/v2/models/n/ready")).status_code == 503
    assert (await bench.here.client.get("/v2/models/n/versions/1")).json()["versions"] == ["1"]
    assert set(core.lanes.served) == {"m"}


async def test_a_stranded_model_is_one_no_more_when_something_answers(bench: Bench) -> None:
    """It stays so while its version is tried again; a good one, or being unloaded, ends it."""
    core = bench.here.core
    await bench.here.publish("n", "1", logistic())
    await bench.here.publish("n", "2", b"no graph")
    await bench.here.publish("k", "2", b"no graph")
    broken = Route(model="n", revision=1, stable="2")
    await bench.follow(ONE, broken, Route(model="k", revision=1, stable="2"))
    assert set(core.lanes.stranded) == {"n", "k"}
    gate = bench.gates.hold("2")
    bench.here.clock.advance(bench.pace.retry)
    bench.reconciler.look_around()
    pinned = await bench.here.infer(request(), model="n", path="versions/1/infer")
    assert pinned.status_code == 200
    gate.set()
    await bench.reconciler.settled()
    unloaded = Route(model="k", revision=2, stable="2", unloaded=True)
    await bench.follow(ONE, Route(model="n", revision=2, stable="1"), unloaded)
    assert (dict(core.lanes.stranded), dict(core.lanes.dormant)) == ({}, {})
    assert (await bench.here.infer(request(), model="n")).status_code == 200


async def test_labels_need_no_version_that_can_be_served(bench: Bench) -> None:
    """They are taken, and logged, for a model whose stable version is broken and for one that is unloaded."""
    await bench.here.publish("n", "2", b"no graph")
    unloaded = Route(model="k", revision=2, stable="1", unloaded=True)
    await bench.follow(ONE, Route(model="n", revision=1, stable="2"), unloaded)
    label = {"labels": [{"id": "11" * 16, "value": 1}]}
    sent = {model: await bench.here.post(f"/v2/models/{model}/labels", label) for model in ("n", "k", "x")}
    assert {model: answer.status_code for model, answer in sent.items()} == {"n": 202, "k": 202, "x": 404}
    assert {frame.schema.model for frame in bench.here.frames(Kind.LABEL)} == {"n", "k"}
