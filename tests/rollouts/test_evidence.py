"""What was counted, as read from worker slots."""

from msgspec.structs import replace

from groundwork.series import SeriesKey
from rollouts.evidence import (
    EVIDENCE_ERRORS,
    EVIDENCE_REQUESTS,
    ArmCounts,
    PairTotals,
    Seen,
    arm_total,
    gather,
    step_pairs,
    step_samples,
)
from rollouts.rollout import Rollout, RolloutSpec
from rollouts.route import Route

ROLLOUT = Rollout(
    id="m-2-5", model="m", stable="1", candidate="2", spec=RolloutSpec(), first_revision=5, step_revision=6
)


def series(name: str, *, model: str = "m", version: str, arm: str, revision: int) -> SeriesKey:
    """A slot's series, labels sorted as the slot keeps them."""
    labels = {"model": model, "version": version, "arm": arm, "revision": str(revision)}
    return SeriesKey(name, tuple(sorted(labels.items())))


def test_a_slot_gives_totals_by_revision_and_arm() -> None:
    """Requests and errors of both versions are found under their arms, for each incarnation by itself."""
    observation = gather(
        {
            7: {
                series(EVIDENCE_REQUESTS, version="1", arm="stable", revision=5): 90,
                series(EVIDENCE_ERRORS, version="1", arm="stable", revision=5): 2,
            },
            8: {
                series(EVIDENCE_REQUESTS, version="2", arm="candidate", revision=6): 10,
                series(EVIDENCE_REQUESTS, version="2", arm="shadow", revision=6): 80,
                series(EVIDENCE_ERRORS, version="2", arm="shadow", revision=6): 1,
            },
        },
        ROLLOUT,
    )
    assert observation.counts == {
        7: {(5, "stable"): ArmCounts(90, 2)},
        8: {(6, "candidate"): ArmCounts(10), (6, "shadow"): ArmCounts(80, 1)},
    }


def test_what_does_not_compare_the_two_versions_is_left_out() -> None:
    """Pinned requests, stable's own shadow runs, other models, earlier revisions, other series."""
    observation = gather(
        {
            7: {
                series(EVIDENCE_REQUESTS, version="2", arm="pinned", revision=6): 1,
                series(EVIDENCE_REQUESTS, version="1", arm="shadow", revision=6): 1,
                series(EVIDENCE_REQUESTS, version="2", arm="stable", revision=6): 1,
                series(EVIDENCE_REQUESTS, version="1", arm="stable", revision=4): 1,
                series(EVIDENCE_REQUESTS, model="n", version="1", arm="stable", revision=6): 1,
                series("driftgate_requests_total", version="1", arm="stable", revision=6): 1,
            }
        },
        ROLLOUT,
    )
    assert observation.counts == {}


def test_after_promotion_stables_requests_are_no_comparison_any_more() -> None:
    """In the bake "stable" is the promoted version; late counts of earlier revisions still come in."""
    baking = replace(ROLLOUT, state="baking", step_revision=9)
    slots = {
        7: {
            series(EVIDENCE_REQUESTS, version="1", arm="stable", revision=8): 5,
            series(EVIDENCE_REQUESTS, version="1", arm="stable", revision=9): 5,
        }
    }
    assert gather(slots, baking).counts == {7: {(8, "stable"): ArmCounts(5)}}


def test_a_steps_samples_are_answers_or_while_nobody_is_answered_shadow_runs() -> None:
    """Only revisions of the step count, over all workers."""
    seen = Seen(
        counts={
            1: {(5, "shadow"): ArmCounts(1000), (6, "shadow"): ArmCounts(70), (6, "candidate"): ArmCounts(4)},
            2: {(7, "candidate"): ArmCounts(6, 1), (5, "candidate"): ArmCounts(100)},
        },
        pairs={
            5: PairTotals("m", 5, "1", "2", both_right=9),
            7: PairTotals("m", 7, "1", "2", only_stable=1, both_wrong=2),
        },
    )
    assert step_samples(ROLLOUT, Route("m", 7, "1", candidate="2", weight=5), seen) == 10
    assert step_samples(ROLLOUT, Route("m", 7, "1", candidate="2", shadow="2", shadow_share=5), seen) == 70
    assert step_pairs(ROLLOUT, seen) == 3
    assert arm_total(seen, "candidate") == ArmCounts(110, 1)
