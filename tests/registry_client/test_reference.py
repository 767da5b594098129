"""Reference rows as tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from registry_client.errors import ReferenceDataError
from registry_client.reference import feed, feed_graph, read_columns, read_labels
from registry_client.signature import Datatype, Signature, TensorSpec
from tests.registry_client.support import loans, with_gaps

ONE = Signature((TensorSpec("x", Datatype.FP32, (-1, 2)),), ())
TWO = Signature((TensorSpec("x", Datatype.INT64, (-1, 1)), TensorSpec("t", Datatype.BYTES, (-1,))), ())


def test_kinds_of_columns() -> None:
    """Each column keeps its name and becomes one of four kinds."""
    columns = read_columns(loans())
    assert [(column.name, column.kind) for column in columns] == [
        ("salary (EUR)", "float"),
        ("age", "integer"),
        ("owns home", "bool"),
        ("car", "text"),
    ]


def test_gaps() -> None:
    """A missing number is NaN, a missing text is empty, a whole column with gaps becomes float."""
    frame = with_gaps(loans(20))
    frame["age"] = frame["age"].astype("Int64").mask(frame.index == 3)
    frame["kind"] = frame["car"].astype("category")
    columns = {column.name: column for column in read_columns(frame)}
    assert np.isnan(columns["salary (EUR)"].tensor[0, 0])
    assert columns["age"].kind == "float"
    assert np.isnan(columns["age"].tensor[3, 0])
    assert columns["car"].tensor[0, 0] == ""
    assert (columns["kind"].kind, columns["kind"].tensor[0, 0]) == ("text", "")


def test_categories_of_numbers_are_numbers() -> None:
    """A categorical column of whole numbers is a column of whole numbers."""
    (column,) = read_columns(pd.DataFrame({"zip": pd.Categorical([1, 2, 1])}))
    assert (column.kind, column.tensor.ravel().tolist()) == ("integer", [1, 2, 1])


def test_matrix() -> None:
    """An array is one input of all its columns."""
    (column,) = read_columns(np.zeros((4, 3), np.float32))
    assert (column.name, column.kind, column.width) == ("input", "float", 3)
    fed = feed([column], [Datatype.FP32])
    assert fed["input"].dtype == np.float32


@pytest.mark.parametrize(
    ("texts", "name"),
    [
        (["a", "é"], "input"),
        (np.array(["a", "é"]), "input"),
        (pd.Series(["a", "é"]), "input"),
        (pd.Series(["a", "é"], name="said"), "said"),
    ],
)
def test_texts(texts: Any, name: str) -> None:
    """A list of texts, such as what counts words is fitted on, is one input, by the name that it has."""
    (column,) = read_columns(texts)
    assert (column.name, column.kind, column.tensor.tolist()) == (name, "text", [["a"], ["é"]])


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        (pd.DataFrame({0: [1.0]}), "column 0: wanted a name that is text, found int"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "'a' is there twice"),
        (pd.DataFrame({"when": pd.to_datetime(["2024-01-01"])}), "'when': wanted numbers"),
        (pd.DataFrame({"mixed": pd.Series(["a", 1], dtype=object)}), "found int 1 among objects"),
        (pd.DataFrame({"a": []}), "no rows"),
        (np.zeros(3), "2-D array"),
        (["a", None], "wanted texts, found None among them; fill it, or leave its row out"),
        (pd.Series(["a", np.nan]), "wanted texts, found nan among them"),
        ([1, 2], "2-D array of numbers or a list of texts, found list of shape"),
        ([], "2-D array"),
        (np.array([["a"]]), "2-D array of numbers"),
        ([["a", 1]], "2-D array of numbers"),
    ],
)
def test_unusable_references(reference: Any, said: str) -> None:
    """What cannot be fed is refused by the name of the column and what was found in it."""
    with pytest.raises(ReferenceDataError, match=said):
        read_columns(reference)


@pytest.mark.parametrize(
    "reference",
    [
        np.array([[1.0, 2.0]]),
        {"x": np.array([[1, 2]])},
        pd.DataFrame({"a": [1.0], "b": [2.0]}),
    ],
)
def test_one_matrix_input(reference: Any) -> None:
    """A graph with one input takes an array, a mapping, or the columns of a frame in their order."""
    fed = feed_graph(reference, ONE)
    assert fed["x"].dtype == np.float32
    assert fed["x"].tolist() == [[1.0, 2.0]]


def test_named_inputs() -> None:
    """A graph with several inputs takes the frame's columns by name, in the rank of each input."""
    fed = feed_graph(pd.DataFrame({"t": ["a"], "x": [1.0]}), TWO)
    assert (fed["x"].tolist(), fed["t"].tolist()) == ([[1]], ["a"])
    assert fed["x"].dtype == np.int64


@pytest.mark.parametrize(
    ("reference", "signature", "said"),
    [
        (np.zeros((1, 3)), ONE, "wanted shape"),
        (pd.DataFrame({"x": [1]}), TWO, "inputs are"),
        (pd.DataFrame({"x": [1.5], "t": ["a"]}), TWO, "wanted INT64"),
        ({"x": np.array([["a", "b"]])}, ONE, "wanted FP32"),
        (np.zeros((1, 2)), TWO, "has 2 inputs"),
        ({"x": np.zeros((0, 2))}, ONE, "no rows"),
    ],
)
def test_references_that_do_not_fit(reference: Any, signature: Signature, said: str) -> None:
    """Inputs without a column, columns without an input, and values of another type are refused."""
    with pytest.raises(ReferenceDataError, match=said):
        feed_graph(reference, signature)


def test_labels() -> None:
    """Labels are one value per row; a frame of one column will do."""
    assert read_labels(pd.DataFrame({"y": [1, 0]}), 2).tolist() == [1, 0]
    with pytest.raises(ReferenceDataError, match=r"one per reference row \(3\)"):
        read_labels([1, 0], 3)
