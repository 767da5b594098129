"""Rollouts over the operator API of a running gateway: what answers, how fast it changes, who changes it."""

import asyncio
import statistics
from typing import Any

import httpx
import pytest

from prediction_log.record import Kind
from tests.counts import count
from tests.facts import until
from tests.system import graphs
from tests.system.load import Load, Plan, Shot
from tests.system.rig import Gateway

pytestmark = pytest.mark.system

LONG: dict[str, Any] = {"hold": {"for": "1h", "samples": 0}}


def spec(*steps: dict[str, Any], **parts: Any) -> dict[str, Any]:
    """A rollout file: these steps, and error rate as the only metric."""
    return {"steps": list(steps), "metrics": [{"name": "error-rate"}], "bake": {"for": 0}, **parts}


async def done(answer: httpx.Response) -> dict[str, Any]:
    """What an acting verb did; it was applied everywhere."""
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert found["applied"], found
    return found


async def test_rollback_under_load(gateway: Gateway) -> None:
    """Once a rollback has returned no request that starts is answered by the version; nothing fails."""
    load = Load(Plan(gateway.http, "/v2/models/m/infer", rate=500, seconds=120.0))
    running = asyncio.create_task(load.run())
    loop = asyncio.get_running_loop()
    took: list[float] = []
    after: list[tuple[float, float]] = []
    try:
        for _ in range(count(5, 50)):
            await done(await gateway.act("m", "start", candidate="1", spec=spec({"weight": 50} | LONG)))
            await _more(load, 20, "1")
            began = loop.time()
            await done(await gateway.act("m", "abort", who="ada", why="tickets"))
            returned = loop.time()
            took.append(returned - began)
            await _more(load, 50, "2")
            after.append((returned, loop.time()))
    finally:
        load.stop()
        shots = await running
    assert {shot.status for shot in shots} == {200}
    late = [shot for a, b in after for shot in shots if a < shot.started < b and shot.version != "2"]
    assert late == []
    assert statistics.median(took) <= 0.2, took


async def _more(load: Load, shots: int, version: str) -> None:
    """Wait until a version has answered so many requests from now on."""
    seen = len(load.shots)
    await until(lambda: _answered(load.shots[seen:], version) >= shots, f"version {version} answers")


def _answered(shots: list[Shot], version: str) -> int:
    return sum(shot.version == version for shot in shots)


async def test_weight_is_kept(gateway: Gateway) -> None:
    """A candidate at 20 % answers about a fifth of the requests, as arm candidate."""
    await done(await gateway.act("m", "start", candidate="1", spec=spec({"weight": 20} | LONG)))
    shots = await Load(Plan(gateway.http, "/v2/models/m/infer", rate=500, seconds=4.0)).run()
    arms = {(shot.version, shot.arm) for shot in shots}
    assert arms == {("1", "candidate"), ("2", "stable")}
    assert 0.15 < _answered(shots, "1") / len(shots) < 0.25


async def test_shadow_pairs_are_logged(gateway: Gateway) -> None:
    """A shadow at 100 % answers nobody, and every request leaves a pair with both versions' outputs."""
    step = {"weight": 0, "shadow": 100, **LONG}
    await done(await gateway.act("m", "start", candidate="1", spec=spec(step)))
    shots = await Load(Plan(gateway.http, "/v2/models/m/infer", rate=200, seconds=1.0)).run()
    assert {shot.version for shot in shots} == {"2"}
    await until(lambda: len(gateway.logged(Kind.PAIR)) == len(shots), "every pair is logged")
    assert set(gateway.logged(Kind.PAIR)) == {shot.prediction_id for shot in shots}
    pairs = [frame for frame in gateway.frames() if frame.kind == Kind.PAIR]
    assert {(frame.schema.partner, frame.schema.version) for frame in pairs} == {("2", "1")}
    for frame in pairs:
        assert (frame.array("stable.score") == 20).all()
        assert (frame.array("candidate.score") == 10).all()


async def test_pilot_promotes_on_evidence(gateway: Gateway) -> None:
    """A healthy candidate becomes stable step by step, by the pilot's own edits, each with its n."""
    quick = {"for": "0.2s", "samples": 50, "until": "no-regression"}
    proven = {"for": "0.2s", "samples": 50, "until": "pass"}
    plan = spec({"weight": 20, "hold": quick}, {"weight": 60, "hold": proven})
    load = Load(Plan(gateway.http, "/v2/models/m/infer", rate=400, seconds=60.0))
    running = asyncio.create_task(load.run())
    try:
        await done(await gateway.act("m", "start", candidate="1", spec=plan))
        await until(lambda: gateway.get("/v1/rollouts/m")["state"] == "succeeded", "the rollout succeeds")
    finally:
        load.stop()
        shots = await running
    assert {shot.status for shot in shots} == {200}
    status = gateway.get("/v1/rollouts/m")
    assert (status["stable"], status["previous"]) == ("1", "2")
    rows = gateway.get("/v1/rollouts/m/history")["history"]
    steps = [(row["actor"], row["verb"]) for row in rows]
    assert steps[2:] == [("pilot", "advance"), ("pilot", "promote"), ("pilot", "finish")]
    promoted = rows[3]
    assert promoted["verdict"] == "PASS"
    assert promoted["n"] >= 50
    assert (
        promoted["evidence"]["error-rate.pass_evidence"] >= promoted["evidence"]["error-rate.pass_threshold"]
    )


async def test_failing_candidate_is_aborted_and_costs_nobody_an_answer(gateway: Gateway) -> None:
    """A candidate that fails every request is aborted in seconds; stable answers in its place meanwhile."""
    graphs.put(gateway.models, "m", 3, graphs.failing())
    load = Load(Plan(gateway.http, "/v2/models/m/infer", rate=300, seconds=60.0))
    running = asyncio.create_task(load.run())
    try:
        await done(await gateway.act("m", "start", candidate="3", spec=spec({"weight": 50} | LONG)))
        await until(lambda: gateway.get("/v1/rollouts/m")["state"] == "rolled-back", "it is rolled back")
    finally:
        load.stop()
        shots = await running
    assert {(shot.status, shot.version) for shot in shots} == {(200, "2")}
    last = gateway.get("/v1/rollouts/m/history")["history"][-1]
    assert last["actor"] in {"guard", "pilot"}  # whichever saw it first
    assert (last["verb"], last["verdict"]) == ("abort", "FAIL")


async def test_undo_brings_the_previous_version_back(gateway: Gateway) -> None:
    """After a promotion undo returns at once to the version before, which was kept warm."""
    await done(await gateway.act("m", "start", candidate="1", spec=spec({"weight": 5} | LONG)))
    await done(await gateway.act("m", "promote"))
    assert gateway.get("/v1/models/m")["loaded"] == {"1": 2, "2": 2}
    undone = await done(await gateway.act("m", "undo", who="ada", why="tickets"))
    assert undone["status"]["stable"] == "2"
    shots = await Load(Plan(gateway.http, "/v2/models/m/infer", rate=100, seconds=0.3)).run()
    assert {shot.version for shot in shots} == {"2"}


async def test_verbs_are_refused_in_one_line(gateway: Gateway) -> None:
    """What a route does not allow, what is malformed, what is out of date: the right status, one line."""
    answers = {
        "abort": await gateway.act("m", "abort"),
        "weight": await gateway.act("m", "set-weight"),
        "field": await gateway.act("m", "abort", whom="ada"),
        "stale": await gateway.act("m", "pause", revision=77),
        "model": await gateway.act("absent", "abort"),
        "verb": await gateway.act("m", "explode"),
        "version": await gateway.act("m", "start", candidate="9"),
        "spec": await gateway.act("m", "start", candidate="1", spec={"stepz": []}),
    }
    assert {name: answer.status_code for name, answer in answers.items()} == {
        "abort": 409,
        "weight": 400,
        "field": 400,
        "stale": 409,
        "model": 409,
        "verb": 404,
        "version": 404,
        "spec": 400,
    }
    for answer in answers.values():
        assert set(answer.json()) == {"error", "code"}
        assert "\n" not in answer.json()["error"]


async def test_history_says_who_and_why(gateway: Gateway) -> None:
    """Every acting verb leaves who, when and why; what comes after a row number can be asked for."""
    await done(
        await gateway.act(
            "m", "start", candidate="1", who="ada", why="spring", spec=spec(LONG | {"weight": 5})
        )
    )
    rows = gateway.get("/v1/rollouts/m/history?after=1")
    assert rows["after"] == 2
    [row] = rows["history"]
    assert (row["actor"], row["verb"], row["reason"], row["weight"]) == (
        "operator:ada",
        "start",
        "spring",
        "5",
    )
