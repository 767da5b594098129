"""Profiles as documents: reading and refusing."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_client.errors import ProfileError
from registry_client.profile import (
    CategoricalColumn,
    NumericColumn,
    Profile,
    category_text,
    decode,
    digest,
    encode,
)
from registry_client.profiling import build_profile

NUMBERS = np.linspace(0, 1, 200)
TEXTS = np.array(["red", "green", "blue", ""] * 50, dtype=object)
PROFILE = build_profile({"x": NUMBERS, "colour": TEXTS}, {"label": np.array([0, 1] * 100)})


def test_round_trip() -> None:
    """What is written is read, and the same profile is the same bytes."""
    assert decode(encode(PROFILE)) == PROFILE
    assert digest(PROFILE) == digest(decode(encode(PROFILE)))


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
