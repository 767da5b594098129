"""Tests of gateway.pairing."""

from pathlib import Path

from prediction_log.record import Arm, Kind, Outcome, Validity
from rollouts.route import FULL, Route
from tests.gateway.worlds import ROW, request, world
from tests.models import fragile_logistic, logistic


async def test_a_pair_holds_both_outputs(tmp_path: Path) -> None:
    """Each request that a shadow runs beside gives one pair row per instance, under the answer's id."""
    async with world(tmp_path) as here:
        await here.publish("m", "2", logistic(sign=-1.0))
        await here.serve(Route(model="m", revision=3, stable="1", shadow="2", shadow_share=FULL))
        response = await here.infer(request([ROW] * 2))
        await here.core.shadow.idle()
        (frame,) = here.frames(Kind.PAIR)
        assert frame.rows == 2
        assert (frame.schema.partner, frame.schema.version) == ("1", "2")
        answered = response.json()["outputs"][0]["data"]
        assert frame.array("stable.label").tolist() == answered
        assert frame.array("candidate.label").tolist() == [1 - label for label in answered]
        assert set(frame.array("answered_by").tolist()) == {Arm.STABLE}
        assert set(frame.array("revision").tolist()) == {3}
        assert frame.array("id")[1].tobytes().hex() == response.headers["x-prediction-id"]
        assert here.counted("driftgate_pairs_total", stable="1", candidate="2", outcome="ok") == 1
        assert here.counted("evidence_requests_total", arm="shadow", version="2", revision="3") == 1
        assert here.counted("driftgate_requests_total", version="2") == 0


async def test_stable_runs_beside_the_candidate(tmp_path: Path) -> None:
    """What the candidate answers is paired with stable, in the same stream, and is no evidence twice."""
    async with world(tmp_path) as here:
        await here.publish("m", "2", logistic(sign=-1.0))
        await here.serve(
            Route(
                model="m", revision=3, stable="1", candidate="2", weight=FULL, shadow="2", shadow_share=FULL
            )
        )
        response = await here.infer(request())
        await here.core.shadow.idle()
        (frame,) = here.frames(Kind.PAIR)
        assert frame.array("candidate.label").tolist() == response.json()["outputs"][0]["data"]
        assert frame.array("answered_by").tolist() == [Arm.CANDIDATE]
        assert here.counted("evidence_requests_total", arm="shadow") == 0
        assert here.counted("evidence_requests_total", arm="candidate") == 1


async def test_a_failing_shadow_is_evidence_and_nothing_else(tmp_path: Path) -> None:
    """The caller has its answer; the pair says failed, its outputs missing; the error is counted."""
    async with world(tmp_path) as here:
        await here.publish("m", "2", fragile_logistic())
        await here.serve(Route(model="m", revision=3, stable="1", shadow="2", shadow_share=FULL))
        response = await here.infer(request([[5.0, *ROW[1:]]]))
        await here.core.shadow.idle()
        assert response.status_code == 200
        (frame,) = here.frames(Kind.PAIR)
        assert frame.array("candidate_outcome").tolist() == [Outcome.FAILED]
        assert frame.array("stable_outcome").tolist() == [Outcome.OK]
        assert frame.validity is not None
        assert frame.validity[0].tolist() == [Validity.PRESENT] * 2 + [Validity.MISSING] * 2
        assert here.counted("evidence_errors_total", arm="shadow") == 1
        assert here.counted("driftgate_executing") == 0
