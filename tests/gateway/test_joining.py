"""Several requests as one run: isolation, as a property."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import RunError
from gateway.inference import Array
from gateway.joining import Feeds, join, settle, split

COUNTS = st.lists(st.integers(1, 5), min_size=1, max_size=12)


def feeds_of(counts: list[int]) -> list[Feeds]:
    """Requests of so many rows, numbers and texts, every row different."""
    made, at = [], 0
    for count in counts:
        numbers = np.arange(at, at + count, dtype=np.float32).reshape(-1, 1)
        texts = np.array([str(n) for n in range(at, at + count)], dtype=object)
        made.append({"x": numbers, "s": texts})
        at += count
    return made


def doubled(feeds: Feeds) -> list[Array]:
    """A graph whose rows are independent."""
    return [feeds["x"] * 2, feeds["s"]]


@given(COUNTS)
def test_every_request_has_its_own_rows(counts: list[int]) -> None:
    """Whatever is joined, each request's answer is bit for bit what it has alone."""
    requests = feeds_of(counts)
    for feeds, outcome in zip(requests, settle(doubled, requests, counts), strict=True):
        assert isinstance(outcome, list)
        assert [array.tolist() for array in outcome] == [array.tolist() for array in doubled(feeds)]


@given(COUNTS, st.sets(st.integers(0, 11)))
def test_a_bad_request_never_harms_its_neighbours(counts: list[int], bad: set[int]) -> None:
    """Requests that make a joined run fail fail alone, the others are answered, in at most 2 n runs."""
    requests = feeds_of(counts)
    poison = {float(requests[place]["x"][0, 0]) for place in bad if place < len(requests)}
    runs = 0

    def run(feeds: Feeds) -> list[Array]:
        nonlocal runs
        runs += 1
        if poison & set(feeds["x"].ravel().tolist()):
            raise RunError("the model failed on this request: poison")
        return doubled(feeds)

    outcomes = settle(run, requests, counts)
    assert [isinstance(outcome, RunError) for outcome in outcomes] == [
        place in bad for place in range(len(requests))
    ]
    assert runs <= 2 * len(requests)
    for feeds, outcome in zip(requests, outcomes, strict=True):
        if isinstance(outcome, list):
            assert outcome[0].tolist() == (feeds["x"] * 2).tolist()


@pytest.mark.parametrize("output", [np.zeros(()), np.zeros((1, 3)), np.zeros(7)])
def test_outputs_with_other_rows_are_not_taken_apart(output: Array) -> None:
    """Where an output has not the rows that came in, the requests run one by one."""
    assert split([output], [1, 1]) is None
    outcomes = settle(lambda feeds: [output + len(feeds["x"])], feeds_of([1, 1]), [1, 1])
    assert [np.ravel(one[0])[0] for one in outcomes if isinstance(one, list)] == [1.0, 1.0]


def test_joined_rows_stand_in_order() -> None:
    """The rows of a joined run are the requests' rows, one after another."""
    assert join(feeds_of([2, 1]))["s"].tolist() == ["0", "1", "2"]
