"""Guards: fuses that need no statistics, no monitor, no lease and no lead.

Each is a pure function that returns an abort decision or None. Any process that sees the fact may act on
it, by a compare-and-swap edit, and a guard that fires twice finds nothing left to abort.
"""

from collections.abc import Mapping

from rollouts.evidence import Seen, arm_total
from rollouts.metric import grouped
from rollouts.pilot import Decision
from rollouts.rollout import Rollout
from rollouts.verdict import Call

_STABLE_MARGIN = 1.25
"""Errors that stable would have made too, and a quarter more, are no harm done by the candidate."""


def consecutive_errors(rollout: Rollout, in_a_row: Mapping[int, int]) -> Decision | None:
    """Abort when some worker saw too many candidate errors in a row; counts by incarnation."""
    limit = rollout.spec.guards.consecutive_errors
    if not (rollout.live and limit and in_a_row):
        return None
    worst = max(in_a_row, key=lambda incarnation: in_a_row[incarnation])
    count = in_a_row[worst]
    if count < limit:
        return None
    reason = (
        f"version {rollout.candidate} failed {count} times in a row in worker {worst}, {limit} are allowed"
    )
    return _abort("consecutive-errors", reason, count, limit)


def exposed_errors(rollout: Rollout, seen: Seen) -> Decision | None:
    """Abort when users lost too many answers to the candidate, beyond 1.25 times what stable loses."""
    limit = rollout.spec.guards.max_exposed_errors
    if not (rollout.live and limit):
        return None
    candidate, stable = arm_total(seen, "candidate"), arm_total(seen, "stable")
    usual = stable.errors / stable.requests if stable.requests else 0.0
    beyond = int(candidate.errors - _STABLE_MARGIN * usual * candidate.requests)
    if beyond < limit:
        return None
    reason = (
        f"users lost {grouped(beyond)} answers to version {rollout.candidate} beyond what stable loses "
        f"({grouped(candidate.errors)} of {grouped(candidate.requests)} requests), {limit} are allowed"
    )
    return _abort("max-exposed-errors", reason, candidate.requests, limit)


def crashes(rollout: Rollout, count: int) -> Decision | None:
    """Abort when workers died too often while the candidate was executing or being loaded."""
    limit = rollout.spec.guards.crashes
    if not (rollout.live and limit) or count < limit:
        return None
    candidate = rollout.candidate
    reason = f"workers died {count} times while they ran or loaded version {candidate}, {limit} are allowed"
    return _abort("crash", reason, count, limit)


def _abort(guard: str, reason: str, n: int, limit: int) -> Decision:
    return Decision(
        kind="abort",
        reason=f"guard {guard}: {reason}",
        verdict=Call.FAIL.value,
        n=n,
        evidence={"guard": guard, "limit": limit},
    )
