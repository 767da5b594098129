"""The metric accuracy: paired, a function of counts, both sides."""

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollouts.metric import PairCounts, Tick, settle
from rollouts.metrics.accuracy import Accuracy
from rollouts.rollout import Errors, MetricSpec
from rollouts.verdict import Call, Verdict

METRIC = Accuracy()
SETTINGS = settle(METRIC, MetricSpec(name="accuracy"), Errors(), 1.0)
CELLS = st.tuples(*[st.integers(0, 30)] * 4)


def judged(*ticks: Tick) -> Verdict:
    """The verdict after some ticks."""
    state = METRIC.start(SETTINGS)
    for tick in ticks:
        state = METRIC.update(state, tick)
    return METRIC.verdict(state, SETTINGS)


def pairs(right: int, stable: int, candidate: int, wrong: int, offset: int = 0) -> Tick:
    """A tick of labelled pairs: both right, only stable, only candidate, both wrong."""
    return Tick(offset=offset, pairs=PairCounts(right, stable, candidate, wrong))


def test_without_labels_it_is_open_with_no_evidence() -> None:
    """Missing labels are OPEN, never PASS and never FAIL."""
    verdict = judged()
    assert verdict.verdict is Call.OPEN
    assert (verdict.n, verdict.fail_evidence) == (0, 0.0)
    assert verdict.pass_evidence == pytest.approx(0.0)
    assert verdict.reason == "accuracy OPEN: there is no labelled pair yet"


def test_ten_points_less_right_fails_within_three_hundred_pairs() -> None:
    """A candidate that loses fifteen of a hundred and wins five is proven worse."""
    verdict = judged(*[pairs(75, 15, 5, 5)] * 3)
    assert verdict.verdict is Call.FAIL
    assert verdict.n == 300
    assert verdict.reason.startswith(
        "accuracy FAIL: 300 labelled pairs, candidate 80.0 % right, stable 90.0 %, margin 2 points; evidence"
    )


def test_an_equal_candidate_passes() -> None:
    """A thousand pairs with twenty disagreements each way prove less than two points of loss."""
    verdict = judged(pairs(900, 20, 20, 60))
    assert verdict.verdict is Call.PASS
    assert verdict.fail_evidence < 0


@pytest.mark.parametrize(("discordance", "most"), [(0.0, 260), (0.02, 600), (0.04, 1000), (0.08, 1600)])
def test_how_many_labels_a_pass_takes(discordance: float, most: int) -> None:
    """Half of equal candidates pass within this many pairs: fewer when they rarely disagree."""
    rng = np.random.default_rng(4)
    runs = [_pairs_to_pass(rng, discordance) for _ in range(41)]
    assert sorted(runs)[len(runs) // 2] <= most


def _pairs_to_pass(rng: np.random.Generator, discordance: float) -> int:
    counts, block = PairCounts(), 20
    for n in range(block, 8000, block):
        same, stable, candidate = rng.multinomial(block, [1 - discordance, discordance / 2, discordance / 2])
        counts = PairCounts(
            counts.both_right + int(same),
            counts.only_stable + int(stable),
            counts.only_candidate + int(candidate),
        )
        if judged(Tick(offset=0, pairs=counts)).verdict is Call.PASS:
            return n
    return 8000


@given(st.lists(st.tuples(st.integers(0, 3), CELLS), max_size=12), st.randoms())
def test_only_the_counts_matter(drawn: list[tuple[int, tuple[int, int, int, int]]], random: Random) -> None:
    """Labels may come in any order and any portions: the evidence is the same to the last bit."""
    ticks = [pairs(*cells, offset=offset) for offset, cells in drawn]
    shuffled = list(ticks)
    random.shuffle(shuffled)
    assert judged(*ticks) == judged(*shuffled)


@given(CELLS, CELLS)
def test_a_corrected_label_is_taken_back(
    first: tuple[int, int, int, int], second: tuple[int, int, int, int]
) -> None:
    """Negative news undoes what was counted before, exactly."""
    correction = pairs(*(after - before for before, after in zip(first, second, strict=True)))
    assert judged(pairs(*first), correction).fail_evidence == judged(pairs(*second)).fail_evidence


def test_pairs_that_agree_say_the_same_whether_right_or_wrong() -> None:
    """What both get wrong tells as little about their difference as what both get right."""
    assert judged(pairs(90, 4, 3, 3)).pass_evidence == judged(pairs(3, 4, 3, 90)).pass_evidence


def test_trouble_that_begins_late_is_found() -> None:
    """A later revision's bad pairs are not outvoted by many good ones before."""
    healthy, trouble = pairs(2850, 50, 50, 50, offset=0), pairs(150, 45, 5, 10, offset=1)
    assert judged(healthy).verdict is Call.PASS
    assert judged(healthy, trouble).verdict is Call.FAIL
