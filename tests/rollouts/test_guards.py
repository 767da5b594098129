"""The fuses: no statistics, no monitor, no lease."""

import pytest
from msgspec.structs import replace

from rollouts import guards
from rollouts.evidence import ArmCounts, Seen
from rollouts.rollout import Guards, Rollout, RolloutSpec

ROLLOUT = Rollout(id="m-2-2", model="m", stable="1", candidate="2", spec=RolloutSpec(), first_revision=2)
OVER = replace(ROLLOUT, state="rolled-back")
NONE = replace(ROLLOUT, spec=RolloutSpec(guards=Guards(0, 0, 0)))


def exposed(stable: tuple[int, int], candidate: tuple[int, int]) -> Seen:
    """Totals of answered requests and errors."""
    return Seen(counts={1: {(2, "stable"): ArmCounts(*stable), (2, "candidate"): ArmCounts(*candidate)}})


def test_twenty_errors_in_a_row_in_one_worker_are_enough() -> None:
    """The worst worker decides; nineteen are not enough."""
    assert guards.consecutive_errors(ROLLOUT, {1: 19, 2: 4}) is None
    decision = guards.consecutive_errors(ROLLOUT, {1: 19, 2: 20})
    assert decision is not None
    assert (decision.kind, decision.verdict, decision.n) == ("abort", "FAIL", 20)
    assert decision.reason == (
        "guard consecutive-errors: version 2 failed 20 times in a row in worker 2, 20 are allowed"
    )


def test_users_lose_at_most_so_many_answers_beyond_what_stable_loses() -> None:
    """Errors that stable would have made too are not the candidate's."""
    assert guards.exposed_errors(ROLLOUT, exposed((9000, 0), (1000, 199))) is None
    decision = guards.exposed_errors(ROLLOUT, exposed((9000, 0), (1000, 200)))
    assert decision is not None
    assert "users lost 200 answers to version 2" in decision.reason
    assert guards.exposed_errors(ROLLOUT, exposed((90_000, 18_000), (10_000, 2_200))) is None


def test_two_crashes_are_enough() -> None:
    """One may have been chance."""
    assert guards.crashes(ROLLOUT, 1) is None
    decision = guards.crashes(ROLLOUT, 2)
    assert decision is not None
    assert "workers died 2 times while they ran or loaded version 2" in decision.reason


@pytest.mark.parametrize("rollout", [OVER, NONE])
def test_a_guard_that_is_out_or_too_late_does_nothing(rollout: Rollout) -> None:
    """0 takes a fuse out, and an ended rollout has nothing to abort."""
    assert guards.consecutive_errors(rollout, {1: 99}) is None
    assert guards.exposed_errors(rollout, exposed((9000, 0), (1000, 1000))) is None
    assert guards.crashes(rollout, 99) is None
    assert guards.consecutive_errors(ROLLOUT, {}) is None
