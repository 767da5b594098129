"""A load test passes when everything holds, and fails on any one thing that does not."""

from dataclasses import replace

import msgspec
import pytest

from loadtests import criteria
from loadtests.canary import Move
from loadtests.criteria import Counted
from loadtests.plan import Facts

MOVES = [
    Move("start", 2, applied=True, state="progressing", candidate="2", weight="10"),
    Move("set-weight", 3, applied=True, state="paused", candidate="2", weight="50"),
    Move("abort", 4, applied=True, state="rolled-back", candidate=None, weight="0"),
]
FACTS = Facts(
    rows=250,
    labels=40,
    arms={"stable": 80, "candidate": 20},
    moves=MOVES,
    requests={"predict": 100, "label": 4},
    failures={"predict": 0, "label": 0},
    p99_ms={"predict": 9.0},
)
IDLE = Facts(rows=10, requests={"predict": 10}, p99_ms={"predict": 1.0})
COUNTED = Counted(IDLE, answered=110, log_lost=0, logged={"predictions": 260, "labels": 40})


def failed(facts: Facts = FACTS, counted: Counted = COUNTED) -> set[str]:
    """The names of the criteria that do not hold."""
    return {check.name for check in criteria.judge(facts, counted) if not check.passed}


def test_an_idle_figure_below_a_millisecond_is_taken_for_one() -> None:
    """A machine that answers one caller in next to no time is not held to 25 times that."""
    for idle in (0.0, 0.3):
        counted = replace(COUNTED, idle=msgspec.structs.replace(IDLE, p99_ms={"predict": idle}))
        assert failed(counted=counted) == set()
        slow = msgspec.structs.replace(FACTS, p99_ms={"predict": 26.0})
        assert failed(slow, counted) == {"99 % of predictions within"}


def test_the_99_percent_is_exact() -> None:
    """The latency that 99 of a hundred kept, to the microsecond; none is no pass."""
    assert criteria.p99([0.001 * value for value in range(100, 0, -1)]) == pytest.approx(0.099)
    assert criteria.p99([0.3]) == 0.3
    assert criteria.p99([]) == float("inf")


def test_a_good_run_passes() -> None:
    """Every criterion holds when all sides counted the same and the canary came back."""
    assert failed() == set()


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"failures": {"predict": 1}}, "failed requests"),
        ({"p99_ms": {"predict": 26.0}}, "99 % of predictions within"),
        ({"rows": 251}, "predicted rows in the log"),
        ({"labels": 41}, "labels in the log"),
        ({"arms": {"stable": 100}}, "answers of the canary"),
        ({"strays": 1}, "of them to requests begun after the roll-back"),
        ({"moves": MOVES[:2]}, "the canary moved and came back"),
        ({"faults": ["HTTPError"]}, "the canary moved and came back"),
    ],
)
def test_one_fault_of_the_callers_fails_its_criterion(change: dict[str, object], name: str) -> None:
    """Each thing the callers saw has a criterion of its own, and nothing else fails with it."""
    assert failed(msgspec.structs.replace(FACTS, **change)) == {name}


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"answered": 109.0}, "answers in /metrics"),
        ({"log_lost": 1.0}, "log rows lost"),
        ({"logged": {"predictions": 259, "labels": 40}}, "predicted rows in the log"),
    ],
)
def test_one_fault_of_the_product_fails_its_criterion(change: dict[str, object], name: str) -> None:
    """A count that differs is seen, whichever side it is on."""
    assert failed(counted=replace(COUNTED, **change)) == {name}  # type: ignore[arg-type]


def test_a_run_that_sent_nothing_has_not_passed() -> None:
    """No request is no proof."""
    assert "requests sent" in failed(msgspec.structs.replace(FACTS, requests={"predict": 0}))


def test_the_verdict_marks_what_failed() -> None:
    """The table has a line per criterion, and FAIL where one does not hold."""
    text = criteria.table(criteria.judge(msgspec.structs.replace(FACTS, strays=3), COUNTED))
    assert [line[:4] for line in text.splitlines()].count("FAIL") == 1
