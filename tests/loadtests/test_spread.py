"""Latencies as counts lose nothing but the third digit."""

import pickle

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from loadtests.spread import Spread

MICRO = 1000
LATENCIES = st.lists(st.integers(10 * MICRO, 100_000_000 * MICRO), min_size=1, max_size=50)


def spread(latencies: list[int], bad: int = 0) -> Spread:
    """These, counted."""
    made = Spread()
    made.bad = bad
    for latency in latencies:
        made.took(latency)
    return made


@given(LATENCIES, st.sampled_from([1.0, 50.0, 99.0, 100.0]))
def test_a_percentile_is_within_half_a_percent(latencies: list[int], q: float) -> None:
    """A percentile is that of the latencies themselves, give or take half a percent."""
    wanted = float(np.percentile(latencies, q, method="inverted_cdf")) / 1e3
    assert abs(spread(latencies).percentile(q) / wanted - 1) <= 0.005


@given(LATENCIES, LATENCIES)
def test_parts_together_are_the_whole(some: list[int], more: list[int]) -> None:
    """Merging what two processes counted is counting it in one, also after a pipe."""
    parts = pickle.loads(pickle.dumps([spread(some, 1), spread(more, 2)]))  # noqa: S301  our own
    whole = Spread.merged(parts)
    assert whole.bad == 3
    assert whole.done == len(some) + len(more)
    assert whole.percentile(50) == spread(some + more).percentile(50)


def test_what_is_out_of_range_is_counted_at_its_ends() -> None:
    """No latency is lost, however short or long; without any there is no percentile."""
    assert spread([0, 1, 10**18]).done == 3
    assert np.isnan(Spread().percentile(99))
