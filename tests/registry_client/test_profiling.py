"""Building profiles: grids, categories, sizes and risk."""

from __future__ import annotations

import itertools
import sys

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from registry_client.errors import ReferenceDataError
from registry_client.profile import CategoricalColumn, NumericColumn, Risk, decode, encode
from registry_client.profiling import build_profile


def _numeric(values: np.ndarray) -> NumericColumn:
    column = build_profile({"x": values}, {}).columns[0]
    assert isinstance(column, NumericColumn)
    return column


def _text(values: list[object]) -> CategoricalColumn:
    column = build_profile({"x": np.array(values, dtype=object)}, {}).columns[0]
    assert isinstance(column, CategoricalColumn)
    return column


@given(
    hnp.arrays(
        st.sampled_from([np.float32, np.float64, np.int64, np.bool_]),
        st.integers(1, 200),
    )
)
def test_any_numbers(values: np.ndarray) -> None:
    """Whatever the numbers, the profile is whole, finite, and its counts follow its rule for edges."""
    column = _numeric(values)
    finite = values.astype(np.float64)[np.isfinite(values.astype(np.float64))]
    assert (column.n, column.missing) == (len(finite), len(values) - len(finite))
    bounds = [-np.inf, *column.edges, np.inf]
    counted = [int(((finite > low) & (finite <= high)).sum()) for low, high in itertools.pairwise(bounds)]
    assert list(column.counts) == counted
    profile = build_profile({"x": values}, {})
    assert decode(encode(profile)) == profile


def test_continuous_grid() -> None:
    """Many distinct values give 64 edges that share the rows evenly."""
    column = _numeric(np.random.default_rng(0).normal(size=65_000))
    assert len(column.edges) == 64
    assert max(column.counts) - min(column.counts) <= 1
    assert column.mean == pytest.approx(0, abs=0.02)
    assert column.m2 / column.n == pytest.approx(1, abs=0.02)


def test_discrete_grid() -> None:
    """Few distinct values are edges themselves, and what lies beyond the greatest counts apart."""
    column = _numeric(np.array([1, 2, 2, 5]))
    assert (column.edges, column.counts) == ((1.0, 2.0, 5.0), (1, 2, 1, 0))


def test_served_precision() -> None:
    """A float32 value lies on the edge that the same float32 reference made."""
    column = _numeric(np.array([0.1, 0.2, 0.1], dtype=np.float32))
    live = float(np.float32(0.1))
    assert column.counts[int(np.searchsorted(column.edges, live))] == 2


def test_empty_column() -> None:
    """A column without a finite value has no edges and counts only what is missing."""
    column = _numeric(np.array([np.nan, np.inf, -np.inf]))
    assert (column.n, column.missing, column.edges, column.counts) == (0, 3, (), (0,))
    assert (column.minimum, column.mean, column.m2) == (0, 0, 0)


def test_categories() -> None:
    """Values are named by frequency; one that was seen once is never named."""
    column = _text(["b", "a", "b", "a", "b", "secret", "", None])
    assert (column.categories, column.counts) == (("b", "a"), (3, 2))
    assert (column.n, column.missing, column.other, column.singletons) == (6, 2, 1, 1)


def test_many_categories() -> None:
    """At most 100 are named, and all names of a column stay below their bytes however long they are."""
    assert len(_text([f"{i % 500:03d}" for i in range(2000)]).categories) == 100
    long = _text([f"{i % 50}" + "x" * 500 for i in range(1000)])
    assert len(msgspec.json.encode(long.categories)) <= 2_002
    assert long.other == 1000 - sum(long.counts)


def test_size_of_100_columns() -> None:
    """The profile of 100 columns stays below 300 kB even when every column is at its limits."""
    random = np.random.default_rng(0)
    inputs = {f"a rather long column name {i:02d}": random.normal(size=3000) for i in range(70)}
    texts = {
        f"a rather long text column name {i:02d}": np.array(
            [f"category \x00 {j % 150}" for j in range(3000)], object
        )
        for i in range(30)
    }
    profile = build_profile({**inputs, **texts}, {"label": random.integers(0, 2, 3000)})
    assert len(encode(profile)) <= 300_000


def test_names_of_elements() -> None:
    """A matrix gives one column per element."""
    profile = build_profile({"x": np.zeros((3, 2)), "y": np.zeros((3, 1))}, {"p": np.zeros((3, 2))})
    assert [column.name for column in profile.columns] == ["x[0]", "x[1]", "y"]
    assert [column.name for column in profile.outputs] == ["p[0]", "p[1]"]


def test_huge_values_stay_finite() -> None:
    """Moments that overflow are held at the greatest float, which JSON can carry."""
    profile = build_profile({"x": np.array([1.7e308, -1.7e308])}, {})
    (column,) = profile.columns
    assert isinstance(column, NumericColumn)
    assert column.m2 == sys.float_info.max
    assert decode(encode(profile)) == profile


def test_risk_of_classes() -> None:
    """Errors are counted over rows whose label is known."""
    labels = np.array([0, 1, None, 1], dtype=object)
    profile = build_profile(
        {"x": np.zeros(4)}, {}, labels=labels, predictions=np.array([0, 0, 0, 1]), held_out=True
    )
    assert profile.risk == Risk(3, 1, "zero-one")
    assert profile.held_out
    # A copy of a profile is known by the digest of its bytes, however often it was read and written.
    assert encode(decode(encode(profile))) == encode(profile)


def test_risk_of_values() -> None:
    """For real predictions the loss is the absolute difference, summed."""
    labels = np.array([1.0, np.nan, 3.0])
    profile = build_profile({"x": np.zeros(3)}, {}, labels=labels, predictions=np.array([1.5, 0, 5.0]))
    assert profile.risk == Risk(2, 2.5, "absolute")


@pytest.mark.parametrize(
    ("inputs", "labels", "predictions"),
    [
        ({"x": np.zeros(0)}, None, None),
        ({"x": np.zeros(2), "y": np.zeros(3)}, None, None),
        ({"x": np.array(["2024-01-01"], "datetime64[D]")}, None, None),
        ({"x": np.zeros(2)}, np.zeros(2), None),
        ({"x": np.zeros(2)}, np.zeros(3), np.zeros(3)),
    ],
)
def test_refusals(
    inputs: dict[str, np.ndarray], labels: np.ndarray | None, predictions: np.ndarray | None
) -> None:
    """No rows, lengths that differ, dates, and labels without predictions are refused."""
    with pytest.raises(ReferenceDataError):
        build_profile(inputs, {}, labels=labels, predictions=predictions)
