"""The path of a request: who answers, what is recorded, what is counted."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from gateway.responses import Response
from gateway.run_settings import RequestSettings, RunSettings
from gateway.settings import GatewaySettings
from prediction_log.record import Arm, Kept, Kind, Outcome, Validity
from rollouts.route import FULL, Route
from tests.gateway.worlds import ROW, World, call, request, world
from tests.models import constant, flat, fragile_logistic, identity, logistic, lookup, reciprocal

BAD = [[5.0, *ROW[1:]]]


async def test_an_answer_is_in_the_slot(here: World) -> None:
    """Each row of a request is one row of the log, with its inputs, outputs and metadata."""
    rows = [[float(column + row) for column in range(30)] for row in range(3)]
    trace = "0af7651916cd43dd8448eb211c80319c"
    response = await here.infer(
        request(rows, id="mine"), headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    )
    (frame,) = here.frames(Kind.PREDICTION)
    assert frame.rows == 3
    assert frame.array("x").tolist() == rows
    assert frame.array("probabilities").ravel().tolist() == response.json()["outputs"][1]["data"]
    assert frame.array("row").tolist() == [0, 1, 2]
    assert {bytes(one).hex() for one in frame.array("id")} == {response.headers["x-prediction-id"]}
    assert {bytes(one).hex() for one in frame.array("trace_id")} == {trace}
    assert frame.strings("client_id").tolist() == [b"mine"] * 3
    assert set(frame.array("arm").tolist()) == {Arm.STABLE}
    assert set(frame.array("revision").tolist()) == {1}
    assert set(frame.array("kept").tolist()) == {Kept.SAMPLE}
    assert frame.validity is None


async def test_answers_of_a_model_without_inputs_are_recorded(here: World) -> None:
    """Each request of it is one row, with what it was answered."""
    await here.add("c", constant())
    for _ in range(2):
        answer = await here.client.post("/v2/models/c/infer", json={"inputs": []})
        assert answer.status_code == 200, answer.text
    (frame,) = here.frames(Kind.PREDICTION)
    assert frame.array("y").tolist() == [[1, 2, 3]] * 2


async def test_an_output_of_another_shape_than_promised_is_told_of(here: World) -> None:
    """It is answered as it came, recorded as missing, and that is said for the operator to see."""
    await here.add("f", flat())
    asked = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}
    assert here.journal.remarks() == []
    answer = await here.client.post("/v2/models/f/infer", json=asked)
    assert answer.json()["outputs"][0]["data"] == [1, 2]
    (frame,) = here.frames(Kind.PREDICTION)
    assert frame.validity is not None
    assert frame.validity.tolist() == [[Validity.PRESENT, Validity.MISSING]]
    (said,) = here.journal.remarks()
    assert said.startswith(
        "f 1: output 'y' has not the shape that its graph says, and is recorded as missing"
    )


async def test_ids_differ_and_name_their_frames(here: World) -> None:
    """No two answers share an id, and each id decodes to the place of its first row."""
    ids = [(await here.infer(request([ROW] * size))).headers["x-prediction-id"] for size in (1, 4, 2)]
    assert len(set(ids)) == 3
    (frame,) = here.frames(Kind.PREDICTION)
    firsts = [frame.array("id").tolist().index(list(bytes.fromhex(one))) for one in ids]
    assert firsts == [0, 1, 5]


async def test_counts_agree(here: World) -> None:
    """Requests, evidence and rows are counted once each."""
    for _ in range(3):
        await here.infer(request([ROW] * 2))
    assert here.counted("driftgate_requests_total", arm="stable", outcome="ok") == 3
    assert here.counted("evidence_requests_total", arm="stable", revision="1") == 3
    assert here.counted("evidence_errors_total") == 0
    assert here.counted("driftgate_log_rows_accepted_total", kind="prediction") == 6
    assert here.counted("driftgate_log_rows_lost_total") == 0


async def test_a_failed_run_is_an_error_and_recorded(here: World) -> None:
    """A graph that fails answers 500 in one line; the record says failed, its outputs are missing."""
    await here.publish("t", "1", lookup())
    await here.serve(Route(model="t", revision=2, stable="1"))
    document = {"inputs": [{"name": "keys", "datatype": "INT64", "shape": [2], "data": [1, 77]}]}
    response = await here.infer(document, model="t")
    assert response.status_code == 500
    assert list(response.json()) == ["error"]
    assert "\n" not in response.json()["error"]
    assert response.headers["x-driftgate-arm"] == "stable"
    (frame,) = here.frames(Kind.PREDICTION)
    assert frame.array("outcome").tolist() == [Outcome.FAILED] * 2
    assert frame.array("keys").tolist() == [1, 77]
    assert frame.validity is not None
    assert frame.validity.tolist() == [[Validity.PRESENT, Validity.MISSING]] * 2
    assert frame.array("id")[0].tobytes().hex() == response.headers["x-prediction-id"]
    assert here.counted("driftgate_requests_total", model="t", outcome="failed") == 1
    assert here.counted("evidence_errors_total", model="t", arm="stable") == 1
    assert here.counted("driftgate_consecutive_errors", model="t") == 1
    document["inputs"][0]["data"] = [1, 2]
    assert (await here.infer(document, model="t")).status_code == 200
    assert here.counted("driftgate_consecutive_errors", model="t") == 0


async def test_a_failing_candidate_costs_nobody_an_answer(here: World) -> None:
    """Stable answers what the candidate failed at; the failure counts against the candidate alone."""
    await here.publish("m", "2", fragile_logistic())
    await here.serve(Route(model="m", revision=2, stable="1", candidate="2", weight=FULL))
    good, rescued = await here.infer(request()), await here.infer(request(BAD, id="again"))
    assert good.headers["x-driftgate-arm"] == "candidate"
    assert rescued.status_code == 200
    assert rescued.headers["x-driftgate-arm"] == rescued.json()["parameters"]["arm"] == "stable"
    assert rescued.json()["model_version"] == "1"
    assert rescued.json()["id"] == "again"
    frames = {frame.schema.version: frame for frame in here.frames(Kind.PREDICTION)}
    assert frames["1"].array("outcome").tolist() == [Outcome.OK]
    assert frames["2"].array("outcome").tolist() == [Outcome.OK, Outcome.FAILED]
    assert frames["2"].array("kept").tolist() == [Kept.SAMPLE, Kept.ALWAYS]
    assert here.counted("evidence_requests_total", arm="candidate", revision="2") == 2
    assert here.counted("evidence_errors_total", arm="candidate", revision="2") == 1
    assert here.counted("evidence_requests_total", arm="stable", revision="2") == 0
    assert here.counted("driftgate_requests_total", outcome="rerun") == 1
    assert here.counted("driftgate_requests_total", outcome="ok") == 2


async def test_what_stable_answers_for_a_candidate_is_left_out(tmp_path: Path) -> None:
    """Its id is noted for who compares from the log, before its row is there; no other id is."""
    async with world(tmp_path, follows=True) as here:
        route = Route(
            model="m", revision=2, stable="1", candidate="2", weight=FULL, shadow="2", shadow_share=FULL
        )
        await here.beside(route, v2=fragile_logistic())
        stable, candidate = here.core.lanes.bound["m"].ways
        await here.infer(request())
        rescued = await here.infer(request(BAD))
        assert list(stable.left_out) == [bytes.fromhex(rescued.headers["x-prediction-id"])]
        assert not candidate.left_out
        await here.settle()
        assert not stable.left_out


async def test_a_request_off_the_loop_holds_its_ways(tmp_path: Path) -> None:
    """Until it is answered, or taken back, who compares from the log knows that its rows are to come."""
    async with world(tmp_path, follows=True) as here:
        route = Route(model="m", revision=2, stable="1", shadow="2", shadow_share=FULL)
        versions = await here.beside(route, v2=logistic())
        versions["1"].inline_rows, versions["1"].strays = -1, True
        (way,) = here.core.lanes.bound["m"].ways
        answers = [here.core.begin(call()) for _ in range(2)]
        tasks = [asyncio.ensure_future(answer) for answer in answers if not isinstance(answer, Response)]
        await asyncio.sleep(0)
        assert way.users == 3
        tasks[1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert way.users == 1


async def test_a_version_may_be_asked_for(here: World) -> None:
    """Path and header pin a version, loaded on demand, which is no evidence for anything."""
    await here.publish("m", "2", logistic(sign=-1.0))
    for answer in (
        await here.infer(request(), path="versions/2/infer"),
        await here.infer(request(), headers={"X-Driftgate-Version": "2"}),
    ):
        assert answer.headers["x-driftgate-arm"] == "pinned"
        assert answer.json()["model_version"] == "2"
    pinned = await here.infer(request(), path="versions/1/infer")
    assert pinned.headers["x-driftgate-arm"] == "pinned"
    assert here.counted("evidence_requests_total") == 0
    assert here.counted("driftgate_requests_total", arm="pinned") == 3


async def test_a_sticky_route_keeps_its_clients(here: World) -> None:
    """With a key header, one client always has the same version, and both versions have clients."""
    await here.publish("m", "2", logistic(sign=-1.0))
    await here.serve(
        Route(
            model="m", revision=2, stable="1", candidate="2", weight=FULL // 2, key="header:User-Id", salt="s"
        )
    )
    seen = {}
    for user in range(20):
        answers = [await here.infer(request(), headers={"user-id": str(user)}) for _ in range(3)]
        (seen[user],) = {answer.headers["x-driftgate-arm"] for answer in answers}
    assert set(seen.values()) == {"stable", "candidate"}


async def test_a_swap_leaves_requests_under_way_alone(here: World) -> None:
    """A request that began under one table is answered by it, the next by the new one."""
    await here.publish("m", "2", logistic())
    here.core._inline_body = 0
    begun = here.core.begin(call())
    assert not isinstance(begun, Response)
    await here.serve(Route(model="m", revision=2, stable="2"))
    answer = await begun
    assert (b"x-model-version", b"1") in answer.headers
    assert (await here.infer(request())).headers["x-model-version"] == "2"


async def test_expensive_runs_and_large_bodies_leave_the_loop(tmp_path: Path) -> None:
    """What is decoded or run in a thread gives the same answers, refusals and records."""
    settings = GatewaySettings(requests=RequestSettings(inline_body_bytes=0), runs=RunSettings(inline=0))
    async with world(tmp_path, settings) as here:
        loaded = here.core.lanes.table["m"].stable
        loaded.inline_rows = -1
        await here.publish("m", "2", fragile_logistic())
        await here.serve(Route(model="m", revision=2, stable="1", candidate="2", weight=FULL))
        here.core.lanes.table["m"].versions["2"].inline_rows = -1
        assert (await here.infer(request())).headers["x-driftgate-arm"] == "candidate"
        assert (await here.infer(request(BAD))).headers["x-driftgate-arm"] == "stable"
        assert (await here.infer(b"{")).status_code == 400
        assert here.counted("driftgate_executing") == 0
        (rejects,) = here.frames(Kind.REJECT)
        assert rejects.rows == 1
        await here.fleet.release(loaded)


async def test_non_finite_outputs_are_null(here: World) -> None:
    """JSON has no infinity: it is written as null, and recorded as it is."""
    await here.publish("r", "1", reciprocal())
    await here.serve(Route(model="r", revision=1, stable="1"))
    document = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [0.0]}]}
    response = await here.infer(document, model="r")
    assert response.status_code == 200
    assert response.json()["outputs"][0]["data"] == [None]
    (frame,) = here.frames(Kind.PREDICTION)
    assert np.isinf(frame.array("y")).all()


async def test_several_inputs_share_one_batch_axis(here: World) -> None:
    """Named inputs of several datatypes work together, in any order, and must have the same rows."""
    inputs = [("age", "FP32", [None, 1]), ("job", "BYTES", [None, 1]), ("time", "INT64", [None, 1])]
    await here.publish("c", "1", identity(inputs))
    await here.serve(Route(model="c", revision=1, stable="1"))
    tensors = [
        {"name": "time", "datatype": "INT64", "shape": [2, 1], "data": [2**62 + 1, -5]},
        {"name": "job", "datatype": "BYTES", "shape": [2, 1], "data": ["clerk", "köchin"]},
        {"name": "age", "datatype": "FP32", "shape": [2, 1], "data": [[41], [None]]},
    ]
    response = await here.infer({"inputs": tensors}, model="c")
    data = {output["name"]: output["data"] for output in response.json()["outputs"]}
    assert data["time_out"] == [2**62 + 1, -5]
    assert data["job_out"] == ["clerk", "köchin"]
    assert data["age_out"] == [41.0, None]
    (frame,) = here.frames(Kind.PREDICTION)
    assert frame.strings("job").tolist() == [b"clerk", "köchin".encode()]
    assert frame.array("input.time").ravel().tolist() == [2**62 + 1, -5]
    tensors[0]["shape"], tensors[0]["data"] = [1, 1], [1]
    assert "rows" in (await here.infer({"inputs": tensors}, model="c")).json()["error"]
    del tensors[0]
    assert "missing" in (await here.infer({"inputs": tensors}, model="c")).json()["error"]


async def test_a_version_that_cannot_be_loaded_is_unavailable(here: World) -> None:
    """A pinned version whose graph does not load is 503, and the others answer on."""
    await here.publish("m", "2", b"no graph")
    response = await here.infer(request(), path="versions/2/infer")
    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
    assert (await here.infer(request())).status_code == 200


@pytest.mark.parametrize("value", ["", "00-xyz", "00-" + "z" * 52])
async def test_a_broken_trace_header_is_no_reason_to_refuse(here: World, value: str) -> None:
    """A traceparent that is none leaves the trace id zero."""
    assert (await here.infer(request(), headers={"traceparent": value})).status_code == 200
    (frame,) = here.frames(Kind.PREDICTION)
    assert not frame.array("trace_id").any()
