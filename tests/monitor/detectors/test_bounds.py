"""Tests of monitor.detectors.bounds."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from monitor.detectors.bounds import divergence, dkw, upper_share


@given(st.floats(0, 1), st.integers(0, 10**7), st.floats(1e-9, 0.5))
def test_an_upper_share_is_above_the_share_and_at_most_one(share: float, n: int, doubt: float) -> None:
    """The bound lies between what was counted and 1, whatever was counted."""
    bound = float(upper_share(np.array([share]), np.array([float(n)]), doubt)[0])
    assert share <= bound <= 1.0


def test_bounds_cover_the_truth_as_often_as_they_say() -> None:
    """In 2 000 draws of 400 rows, the truth exceeds its bound no more often than the doubt allows."""
    rng = np.random.default_rng(0)
    for truth in (0.0, 0.01, 0.2, 0.5, 0.9):
        counted = rng.binomial(400, truth, 2_000) / 400
        bound = upper_share(counted, np.full(2_000, 400.0), 0.05)
        assert np.mean(bound < truth) <= 0.05


def test_a_distribution_lies_within_its_margin() -> None:
    """In 500 samples of 200 uniform rows, the largest distance exceeds the margin at most 5 times in 100."""
    rng = np.random.default_rng(1)
    sample = np.sort(rng.random((500, 200)), axis=1)
    above = np.max(np.abs(sample - (np.arange(200) + 0.5) / 200), axis=1) + 0.5 / 200
    assert np.mean(above > dkw(np.array([200.0]), 0.05)) <= 0.05


def test_divergence_is_zero_only_for_equals() -> None:
    """Equal shares diverge by 0, also at the ends; others by more."""
    ends = np.array([0.0, 0.3, 1.0])
    assert np.allclose(divergence(ends, ends), 0.0)
    assert np.all(divergence(ends, np.array([0.1, 0.5, 0.9])) > 0.0)
