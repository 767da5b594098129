"""Profiles as documents: reading, merging, refusing."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from registry_client.errors import ProfileError
from registry_client.profile import (
    CategoricalColumn,
    NumericColumn,
    Profile,
    Risk,
    category_text,
    decode,
    digest,
    encode,
    identify,
    merge,
)
from registry_client.profiling import build_profile

NUMBERS = np.linspace(0, 1, 200)
TEXTS = np.array(["red", "green", "blue", ""] * 50, dtype=object)
PROFILE = build_profile({"x": NUMBERS, "colour": TEXTS}, {"label": np.array([0, 1] * 100)})

numbers = st.floats(-1e100, 1e100) | st.sampled_from([math.nan, math.inf, -math.inf])
parts = st.lists(hnp.arrays(np.float64, st.integers(1, 30), elements=numbers), min_size=3, max_size=3)


def _part(values: np.ndarray) -> Profile:
    texts = np.array([f"{value:.0f}"[:2] for value in np.nan_to_num(values)], dtype=object)
    grid = build_profile(
        {"x": np.linspace(-100, 100, 500), "t": np.array(["0", "1"] * 250, dtype=object)}, {}
    )
    return build_profile({"x": values, "t": texts}, {}, grid=grid)


def test_round_trip() -> None:
    """What is written is read, and the same profile is the same bytes."""
    assert decode(encode(PROFILE)) == PROFILE
    assert digest(PROFILE) == digest(decode(encode(PROFILE)))


@given(parts)
def test_merge_is_associative(arrays: list[np.ndarray]) -> None:
    """Counts merge exactly in any order; moments do up to rounding."""
    a, b, c = (_part(array) for array in arrays)
    left, right = merge(merge(a, b), c), merge(a, merge(b, c))
    assert left.rows == right.rows
    first, second = left.columns[0], right.columns[0]
    assert isinstance(first, NumericColumn)
    assert isinstance(second, NumericColumn)
    assert (first.n, first.missing, first.counts) == (second.n, second.missing, second.counts)
    assert (first.minimum, first.maximum) == (second.minimum, second.maximum)
    scale = max(1.0, abs(first.minimum), abs(first.maximum))
    assert math.isclose(first.m2, second.m2, rel_tol=1e-6, abs_tol=1e-9 * scale * scale)
    assert left.columns[1] == right.columns[1]
    assert decode(encode(left)) == left


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60),
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60),
)
def test_merge_is_the_profile_of_both(a: list[float], b: list[float]) -> None:
    """Merging the parts gives what one profile of all rows would have given."""
    whole, merged = _part(np.array(a + b)), merge(_part(np.array(a)), _part(np.array(b)))
    first, second = whole.columns[0], merged.columns[0]
    assert isinstance(first, NumericColumn)
    assert isinstance(second, NumericColumn)
    assert first.counts == second.counts
    assert math.isclose(first.mean, second.mean, rel_tol=1e-9, abs_tol=1e-6)
    assert math.isclose(first.m2, second.m2, rel_tol=1e-6, abs_tol=1e-3)


def test_huge_values_stay_finite() -> None:
    """Moments that overflow are held at the greatest float, which JSON can carry."""
    huge = _part(np.array([1.7e308, -1.7e308]))
    assert decode(encode(merge(huge, huge))) == merge(huge, huge)


def test_merge_refuses_other_grids() -> None:
    """Counts on different grids cannot be added, and different models not at all."""
    other = build_profile({"x": NUMBERS * 2, "colour": TEXTS}, {"label": np.array([0, 1] * 100)})
    with pytest.raises(ProfileError, match="'x'"):
        merge(PROFILE, other)
    with pytest.raises(ProfileError, match="different models"):
        merge(PROFILE, identify(PROFILE, model="fraud", version="1", digest=""))
    with pytest.raises(ProfileError, match="columns"):
        merge(PROFILE, msgspec.structs.replace(PROFILE, columns=PROFILE.columns[:1]))


def test_merge_risk() -> None:
    """Risks add; one alone stays; a statement about both parts holds only if it holds for each."""
    one = msgspec.structs.replace(PROFILE, risk=Risk(10, 2), held_out=True)
    assert merge(one, one).risk == Risk(20, 4)
    assert merge(one, PROFILE).risk == Risk(10, 2)
    assert not merge(one, PROFILE).held_out
    with pytest.raises(ProfileError, match="losses"):
        merge(one, msgspec.structs.replace(PROFILE, risk=Risk(1, 0.5, "absolute")))


@given(st.data())
def test_cut_profiles(data: st.DataObject) -> None:
    """A profile cut anywhere is one clear line."""
    content = encode(PROFILE)
    with pytest.raises(ProfileError) as caught:
        decode(content[: data.draw(st.integers(0, len(content) - 1))], where="fraud version 1: profile.json")
    assert str(caught.value).startswith("fraud version 1: profile.json: ")
    assert "\n" not in str(caught.value)


def test_later_format() -> None:
    """A profile of a later format is called newer, not cut."""
    document = {**msgspec.json.decode(encode(PROFILE)), "format": 3, "colour": "red"}
    with pytest.raises(
        ProfileError, match=r"^x: wanted a profile of format 1 or lower, found 3, written by a newer"
    ):
        decode(msgspec.json.encode(document), where="x")


X = NumericColumn("x", 3, 0, 0.0, 2.0, 1.0, 2.0, (0.0, 1.0), (1, 1, 1))
COLOUR = CategoricalColumn("colour", 3, 0, ("red", "blue"), (2, 1), 0, 1)


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (msgspec.structs.replace(X, counts=(1, 2)), "edges"),
        (msgspec.structs.replace(X, edges=(1.0, 0.0)), "ascend"),
        (msgspec.structs.replace(X, counts=(4, -2, 1)), "negative"),
        (msgspec.structs.replace(X, n=2), "counts give"),
        (msgspec.structs.replace(X, missing=1), "wanted 3 rows"),
        (msgspec.structs.replace(COLOUR, counts=(3,)), "categories"),
        (msgspec.structs.replace(COLOUR, categories=("red", "red")), "twice"),
        (msgspec.structs.replace(COLOUR, other=1), "counts give"),
        (msgspec.structs.replace(COLOUR, counts=(3, 1), other=-1), "negative"),
        (msgspec.structs.replace(COLOUR, singletons=-1), "negative"),
    ],
)
def test_contradictions(column: NumericColumn | CategoricalColumn, said: str) -> None:
    """A profile that contradicts itself is refused, whatever wrote it."""
    with pytest.raises(ProfileError, match=said):
        decode(encode(Profile(rows=3, columns=(column,), outputs=())))


def test_category_text() -> None:
    """Text is itself, hostile bytes are escaped, and what is missing is empty."""
    found = [category_text(value) for value in ("é", "é".encode(), b"\xff", None, math.nan, True)]
    assert found == ["é", "é", "\\xff", "", "", "True"]
