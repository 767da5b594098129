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

from monitor.truth import Value, answers, classes_of, closer, labels, plain, predictions, same
from prediction_log.frame import Frame, decode, encode
from prediction_log.labels import LabelRow
from prediction_log.labels import Value as Told
from prediction_log.record import FIXED_DTYPES, Kind, Validity, ValueKind, prediction_schema
from registry_client.manifest import Manifest
from tests.monitor.worlds import Traffic, meta

TEXTS = ("", "a", "1", "1.0", " 1 ", "1e3", "1_0", "nan", "inf", "-0", "\u0663")


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
        (None, ("None",), False),
        (1, ("0.0", "1.0"), True),
        ("1", ("1.0",), False),
    ],
)
def test_what_is_a_class(value: Value, classes: tuple[str, ...], known: bool) -> None:  # noqa: FBT001  a case
    """A label is of a class when it is the same as its name in the manifest, where numbers are digits."""
    assert (value in classes_of(classes)) is known


@given(
    st.one_of(st.none(), st.integers(-20, 20), st.floats(allow_nan=False), st.sampled_from(TEXTS)),
    st.lists(st.one_of(st.sampled_from(TEXTS), st.integers(-20, 20).map(str), st.floats().map(str))),
)
def test_a_class_is_what_is_the_same_as_its_name(value: Value, names: list[str]) -> None:
    """However many classes there are, and whatever the label, it is found at once."""
    assert (value in classes_of(tuple(names))) is any(same(name, value) is True for name in names)


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (True, 1),
        (5, 5),
        (2**63 - 1, 2**63 - 1),
        (-(2**63), -(2**63)),
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


def answered(**outputs: list[Any]) -> Frame:
    """A frame of two rows with these outputs; a list in a row is an element of a tensor."""
    given = [(name, *_kind_of(values)) for name, values in outputs.items()]
    schema = prediction_schema("m", "1", "", [("x", "<i8", ())], given)
    columns = {**meta(2, np.zeros((2, 16), "|u1"), np.arange(2)), "x": [8, 9], **outputs}
    return decode(encode(Kind.PREDICTION, schema, columns, rows=2, incarnation=1, stream=1, first=0))


def _kind_of(values: list[Any]) -> tuple[str, tuple[int, ...]]:
    if isinstance(values[0], bytes):
        return "bytes", ()
    return "<f8", np.shape(values)[1:]


def manifest(task: Any = "classification", output: str = "") -> Manifest:
    """A manifest with these words."""
    return Manifest(name="m", version="1", digest="", size=0, task=task, label_output=output)


@pytest.mark.parametrize(
    ("outputs", "of", "found"),
    [
        ({"label": [1.0, 2.0]}, None, [1, 2]),
        ({"output_label": [b"no", b"yes"]}, None, ["no", "yes"]),
        ({"label": [[1.0], [2.0]]}, None, [1, 2]),
        ({"label": [[1.0, 5.0], [2.0, 5.0]]}, None, [None, None]),
        ({"score": [0.5, 0.6]}, None, [None, None]),
        ({"label": [1.0, 2.0], "class": [3.0, 4.0]}, manifest(output="class"), [3, 4]),
        ({"label": [1.0, 2.0], "class": [3.0, 4.0]}, manifest(), [1, 2]),
        ({"label": [1.0, 2.0]}, manifest(output="x"), [None, None]),
        ({"label": [float("nan"), 2.0]}, manifest(), [None, 2]),
        ({"label": [float("nan"), 2.0]}, manifest("regression"), [float("inf"), 2]),
    ],
)
def test_which_output_is_the_answer(
    outputs: dict[str, list[Any]], of: Manifest | None, found: list[Value]
) -> None:
    """The one that the manifest names, or a single element that is called label; never an input."""
    assert answers(answered(**outputs), of) == found


def test_numbers_of_a_regression_are_right_or_wrong_of_nothing() -> None:
    """They are no predictions that a label could be the same as."""
    frame = answered(label=[1.0, 2.0])
    assert predictions(frame, manifest("regression")) == [None, None]
    assert predictions(frame, manifest("classification")) == predictions(frame, None) == [1, 2]


@pytest.mark.parametrize(
    ("sent", "read"),
    [(7, 7), (True, 1), (False, 0), (2.5, 2.5), (3.0, 3), ("", ""), ("yes", "yes"), (-(2**63), -(2**63))],
)
def test_a_label_is_read_as_it_was_sent(sent: Told, read: Value) -> None:
    """Each kind by its own column; where its kind is not known it is no value."""
    frame = decode(Traffic().labels([LabelRow(value=sent, time=1, client_id=b"c")]))
    (value,) = labels(frame)
    assert (value, type(value)) == (read, type(read))
    unknown = {**frame.columns, "value_kind": np.array([max(ValueKind) + 1], "|u1")}
    assert labels(replace(frame, columns=unknown)) == [None]
