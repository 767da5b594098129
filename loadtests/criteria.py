"""When a load test has passed: pure functions over what was counted on every side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from loadtests.plan import Facts

MOST_P99_RATIO: Final = 25.0
"""Locust's 99 % over the idle one: see docs/loadtesting.md for where the number is from."""
LEAST_IDLE_MS: Final = 1.0
"""An idle figure below this is taken for it: 25 times next to nothing is no bound against collapse."""
PREDICT: Final = "predict"


@dataclass(frozen=True)
class Check:
    """One line of the verdict."""

    name: str
    wanted: str
    found: str
    passed: bool


@dataclass(frozen=True)
class Counted:
    """What the other sides counted.

    `idle` is what the run before saw (one caller, one row); `answered` and `log_lost` are from /metrics,
    `logged` from the prediction log.
    """

    idle: Facts
    answered: float
    log_lost: float
    logged: Mapping[str, int]


def p99(milliseconds: Sequence[float]) -> float:
    """What 99 % of the requests took at most; infinite when there was none."""
    ordered = sorted(milliseconds)
    return ordered[max(math.ceil(0.99 * len(ordered)) - 1, 0)] if ordered else math.inf


def judge(facts: Facts, counted: Counted) -> list[Check]:
    """Every criterion, in the order in which a reader wants to know."""
    return [*_failures(facts), _latency(facts, counted), *_counts(facts, counted), *_canary(facts)]


def _failures(facts: Facts) -> list[Check]:
    failed = sum(facts.failures.values())
    sent = sum(facts.requests.values())
    asked = facts.requests.get(PREDICT, 0)
    first = next(iter(facts.codes), "")
    return [
        Check(
            "requests sent",
            "> 0 predictions, > 0 labels",
            f"{asked} + {facts.labels}",
            asked > 0 < facts.labels,
        ),
        Check("failed requests", "0", f"{failed} of {sent} {first}".rstrip(), failed == 0),
    ]


def _latency(facts: Facts, counted: Counted) -> Check:
    found = facts.p99_ms.get(PREDICT, float("inf"))
    idle = max(counted.idle.p99_ms[PREDICT], LEAST_IDLE_MS)
    ratio = found / idle
    return Check(
        "99 % of predictions within",
        f"{MOST_P99_RATIO:g} × idle ({idle:.1f} ms)",
        f"{found:.0f} ms = {ratio:.1f} × idle",
        ratio <= MOST_P99_RATIO,
    )


def _counts(facts: Facts, counted: Counted) -> list[Check]:
    asked = facts.requests.get(PREDICT, 0) + counted.idle.requests[PREDICT]
    rows = facts.rows + counted.idle.rows
    pairs: Sequence[tuple[str, float, float]] = (
        ("answers in /metrics", asked, counted.answered),
        ("predicted rows in the log", rows, counted.logged["predictions"]),
        ("labels in the log", facts.labels, counted.logged["labels"]),
        ("log rows lost", 0, counted.log_lost),
    )
    return [Check(name, f"{wanted:g}", f"{found:g}", wanted == found) for name, wanted, found in pairs]


def _canary(facts: Facts) -> list[Check]:
    path = " → ".join(f"{move.verb} {move.weight} % ({move.state})" for move in facts.moves)
    verbs = [move.verb for move in facts.moves]
    applied = all(move.applied for move in facts.moves)
    back = bool(facts.moves) and facts.moves[-1].candidate is None
    candidate = facts.arms.get("candidate", 0)
    fault = "; ".join(facts.faults)
    return [
        Check(
            "the canary moved and came back",
            "start, set-weight, abort, applied everywhere",
            fault or path or "it never started",
            verbs == ["start", "set-weight", "abort"] and applied and back and not fault,
        ),
        Check("answers of the canary", "> 0", f"{candidate} of {sum(facts.arms.values())}", candidate > 0),
        Check("of them to requests begun after the roll-back", "0", f"{facts.strays}", facts.strays == 0),
    ]


def table(checks: Sequence[Check]) -> str:
    """The verdict as lines of text."""
    wide = max(len(check.name) for check in checks)
    wanted = max(len(check.wanted) for check in checks)
    return "\n".join(
        f"{'ok  ' if check.passed else 'FAIL'}  {check.name:<{wide}}  {check.wanted:<{wanted}}  {check.found}"
        for check in checks
    )
