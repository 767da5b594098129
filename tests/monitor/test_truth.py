"""Tests of monitor.truth."""

import contextlib
import sqlite3
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from msgspec.structs import replace

from monitor.truth import Value, closer, is_class, plain, predictions, same
from prediction_log.frame import decode, encode
from prediction_log.record import FIXED_DTYPES, Kind, Validity, prediction_schema
from tests.monitor.worlds import meta


@pytest.mark.parametrize(
    ("one", "other", "label", "found"),
    [
        (2.5, 4, 3, (True, False)),
        (2, 4, 3, (True, True)),
        (3.5, 3, 3.0, (False, True)),
        (1.5, None, "1.75", (True, False)),
        (float("inf"), 1e300, 0, (False, True)),
        (None, 1.0, 0, (False, True)),
        (1.0, 100.0, "nan", None),
        (1.0, 100.0, "9" * 400, None),
        (1.0, 100.0, "inf", None),
        (1.0, 100.0, float("inf"), None),
        (1.5, 2.5, "dear", None),
        (1.5, 2.5, None, None),
    ],
)
def test_which_is_closer(one: Value, other: Value, label: Value, found: tuple[bool, bool] | None) -> None:
    """Of two numbers one is closer to the label, or both are as close; what is none is farther than any."""
    assert closer(one, other, label) == found
    assert closer(other, one, label) == (found and found[::-1])


@pytest.mark.parametrize(
    ("predicted", "label", "right"),
    [
        (1, 1, True),
        (1, 0, False),
        (1, 1.0, True),
        ("yes", "yes", True),
        ("yes", "Yes", False),
        (1, "1", True),
        (1, "1.0", True),
        ("1", 1, True),
        (1, "one", None),
        (1, "nan", None),
        ("NaN", 1, None),
        ("nan", "nan", True),
        (1, " +1 ", True),
        (-1, "-1", True),
        (10, "1_0", None),
        (1, "\N{ARABIC-INDIC DIGIT ONE}", None),
        (1, "inf", False),
        (1, "9" * 400, False),
        (1, "9" * 5000, False),
        (2**53 + 1, f"{2**53 + 1}", True),
        (2**53 + 1, f"{2**53}", False),
        (2**63 - 1, f"{2**63 - 1}", True),
        (-(2**63), f"{-(2**63)}", True),
        (None, 1, None),
        (1, None, None),
    ],
)
def test_what_is_the_same(predicted: Value, label: Value, right: bool | None) -> None:  # noqa: FBT001  a case
    """Numbers compare as numbers, texts as texts, and what cannot be compared is neither right nor wrong."""
    assert same(predicted, label) is right


@pytest.mark.parametrize(
    ("value", "classes", "known"),
    [
        (1, ("0", "1"), True),
        ("1", ("0", "1"), True),
        (2, ("0", "1"), False),
        (0.5, ("0", "1"), False),
        ("no", ("no", "yes"), True),
        ("No", ("no", "yes"), False),
        (1, ("no", "yes"), False),
        (None, ("no", "yes"), False),
    ],
)
def test_what_is_a_class(value: Value, classes: tuple[str, ...], known: bool) -> None:  # noqa: FBT001  a case
    """A label is of a class when it is the same as its name in the manifest, where numbers are digits."""
    assert is_class(value, classes) is known


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (True, 1),
        (2.0, 2),
        (2.5, 2.5),
        (float("nan"), None),
        (b"a", "a"),
        (b"\xff", "\\xff"),
        (2**64, float(2**64)),
        (1e19, 1e19),
        (-(2.0**63), -(2**63)),
        (2.0**63, 2.0**63),
        (-0.0, 0),
        (float("inf"), float("inf")),
        ([1], None),
    ],
)
def test_how_values_are_stored(value: object, stored: Value) -> None:
    """Truth values and whole numbers become integers, bytes text, and what is no value nothing."""
    assert plain(value) == stored
    assert type(plain(value)) is type(stored)


@given(
    st.one_of(
        st.floats(),
        st.integers(-(2**64), 2**64),
        st.text(),
        st.binary(max_size=40),
        st.booleans(),
        arrays(st.sampled_from(sorted(FIXED_DTYPES)), 1).map(lambda values: values.tolist()[0]),
    )
)
def test_every_stored_value_is_one_that_the_store_holds(value: object) -> None:
    """Whatever number or text a frame holds, SQLite takes its stored form and gives the same back."""
    stored = plain(value)
    with contextlib.closing(sqlite3.connect(":memory:")) as db:
        assert db.execute("SELECT ?", (stored,)).fetchone() == (stored,)


@pytest.mark.parametrize(
    ("marks", "column", "expected"),
    [
        (None, {}, [5, 6, 7]),
        ([Validity.PRESENT, Validity.WITHHELD, Validity.DELETED], {}, [5, None, None]),
        (None, {"hashed": "0a1b2c3d"}, [None] * 3),
        (None, {"withheld": True}, [None] * 3),
    ],
)
def test_what_the_log_does_not_hold_is_no_prediction(
    marks: list[int] | None, column: dict[str, Any], expected: list[Value]
) -> None:
    """A withheld, hashed or deleted answer is neither right nor wrong."""
    validity = None if marks is None else np.array(marks, np.uint8)[:, None]
    schema = prediction_schema("m", "1", "", [], [("label", "<i8", ())])
    columns = {**meta(3, np.zeros((3, 16), "|u1"), np.arange(3)), "label": [5, 6, 7]}
    body = encode(
        Kind.PREDICTION, schema, columns, rows=3, incarnation=1, stream=1, first=0, validity=validity
    )
    frame = decode(body)
    (*others, last) = frame.schema.columns
    schema = replace(frame.schema, columns=(*others, replace(last, **column)))
    assert predictions(replace(frame, schema=schema), None) == expected
