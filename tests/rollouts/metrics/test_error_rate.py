"""The metric error-rate: both sides, floor and cap, blocks and strata."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollouts.evidence import ArmCounts
from rollouts.metric import Tick, settle
from rollouts.metrics.error_rate import ENOUGH, ErrorRate, ErrorRateState
from rollouts.rollout import Errors, MetricSpec
from rollouts.verdict import Call, Verdict

METRIC = ErrorRate()


def judged(*ticks: Tick, **numbers: float) -> Verdict:
    """The verdict after some ticks, with the defaults but for the numbers given."""
    settings = settle(METRIC, MetricSpec(name="error-rate", **numbers), Errors(), 1.0)  # type: ignore[arg-type]
    state = METRIC.start(settings)
    for tick in ticks:
        state = METRIC.update(state, tick)
    return METRIC.verdict(state, settings)


def tick(stable: tuple[int, int], candidate: tuple[int, int], offset: int = 0) -> Tick:
    """A tick of (requests, errors) for both arms."""
    return Tick(offset=offset, stable=ArmCounts(*stable), candidate=ArmCounts(*candidate))


def test_without_requests_it_is_open_with_no_evidence() -> None:
    """Missing data is OPEN, never PASS and never FAIL."""
    verdict = judged()
    assert verdict.verdict is Call.OPEN
    assert (verdict.n, verdict.fail_evidence) == (0, 0.0)
    assert verdict.pass_evidence == pytest.approx(0.0)
    assert verdict.reason == "error-rate OPEN: the candidate has had no request yet"


def test_four_hundred_clean_requests_prove_one_percent() -> None:
    """PASS by the cap: 402 requests without an error at beta 0.05; 401 are not enough."""
    assert judged(tick((0, 0), (401, 0))).verdict is Call.OPEN
    verdict = judged(tick((0, 0), (402, 0)))
    assert verdict.verdict is Call.PASS
    assert verdict.reason.startswith("error-rate PASS: 0 of 402 requests (0 %) for the candidate")
    assert "evidence 3.0 ≥ 3.0" in verdict.reason


def test_a_common_error_passes_by_the_ratio() -> None:
    """Where both fail often, being clearly below the margin is proof although the cap is out of reach."""
    ticks = [tick((1000, 100), (1000, 90))] * 12
    assert judged(*ticks).verdict is Call.PASS
    assert judged(*ticks, cap=0).verdict is Call.PASS


def test_a_rise_beyond_the_margin_fails() -> None:
    """Five percent against one is FAIL within a few hundred requests, and the sentence has the numbers."""
    verdict = judged(*[tick((190, 2), (10, 1))] * 50)
    assert verdict.verdict is Call.FAIL
    assert verdict.n == 500
    assert verdict.detail["candidate_errors"] == 50
    assert "50 of 500 requests (10 %) for the candidate" in verdict.reason


def test_errors_below_the_floor_fail_nobody() -> None:
    """0.02 % against 0.001 % is a ratio of twenty and still no reason to go back."""
    ticks = [tick((10_000, 0), (10_000, 2))] * 20
    assert judged(*ticks).verdict is not Call.FAIL
    assert judged(*ticks, floor=0).verdict is Call.FAIL


def test_an_outage_of_both_arms_is_no_evidence_against_one() -> None:
    """Half of all requests failing on both sides moves the evidence against the candidate down, not up."""
    assert judged(*[tick((900, 450), (100, 50))] * 10).fail_evidence < 0


def test_fewer_than_a_block_is_kept_until_it_fills() -> None:
    """What is too little to bet on waits, is counted in the rates, and is bet together with what follows."""
    few, rest = tick((ENOUGH, 0), (ENOUGH - 1, ENOUGH - 1)), tick((0, 0), (1, 1))
    whole = tick((ENOUGH, 0), (ENOUGH, ENOUGH))
    assert judged(few, floor=0).fail_evidence == pytest.approx(0.0)
    assert judged(few).n == ENOUGH - 1
    assert judged(few, rest).fail_evidence == judged(whole).fail_evidence > 0


def test_shadow_runs_are_the_candidates() -> None:
    """A candidate that nobody meets yet is judged by what it does in shadow."""
    shadow = Tick(offset=0, stable=ArmCounts(500, 5), shadow=ArmCounts(500, 60))
    assert judged(shadow).verdict is Call.FAIL
    assert judged(shadow).n == 500


def test_trouble_that_begins_late_is_not_buried_under_early_health() -> None:
    """After ten thousand good requests, the same trouble is found nearly as soon as without them."""
    healthy = [tick((9_500, 95), (500, 5), offset=0)] * 20
    trouble = [tick((190, 2), (190, 12), offset=1)] * 8
    assert judged(*healthy).verdict is not Call.FAIL
    assert judged(*healthy, *trouble).verdict is Call.FAIL


@given(
    st.lists(
        st.tuples(st.integers(0, 3), *[st.tuples(st.integers(0, 200), st.integers(0, 9))] * 2), max_size=20
    )
)
def test_a_state_survives_writing_to_the_last_bit(
    drawn: list[tuple[int, tuple[int, int], tuple[int, int]]],
) -> None:
    """A judge that was restarted goes on exactly where it was."""
    settings = settle(METRIC, MetricSpec(name="error-rate"), Errors(), 1.0)
    state = kept = METRIC.start(settings)
    for offset, stable, candidate in drawn:
        state = METRIC.update(state, tick(stable, candidate, offset))
        kept = METRIC.update(kept, tick(stable, candidate, offset))
        kept = msgspec.msgpack.decode(msgspec.msgpack.encode(kept), type=ErrorRateState)
    assert kept == state
    assert METRIC.verdict(kept, settings) == METRIC.verdict(state, settings)


@given(st.permutations([0, 0, 1, 1, 2]))
def test_strata_may_come_in_any_order(offsets: list[int]) -> None:
    """Answers of an earlier revision that arrive late change nothing but their own stratum."""
    ticks = [tick((100, 3 + offset), (50, 2 * offset), offset) for offset in offsets]
    first = judged(*sorted(ticks, key=lambda one: one.offset))
    assert judged(*ticks) == first
