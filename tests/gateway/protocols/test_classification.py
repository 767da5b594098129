"""The classification extension."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.errors import InvalidInputError, UnsupportedError
from gateway.protocols.classification import classify, wanted
from tests.gateway.protocols.loading import opened
from tests.gateway.worlds import ROW, World, request
from tests.models import identity, logistic


def asked(most: Any, name: str = "probabilities") -> dict[str, Any]:
    """A request for the highest values of an output."""
    return request([ROW, ROW], outputs=[{"name": name, "parameters": {"classification": most}}])


async def test_the_highest_come_first(here: World) -> None:
    """Each row has its k highest values with their places; k above their number means all."""
    (output,) = (await here.infer(asked(1))).json()["outputs"]
    assert (output["datatype"], output["shape"]) == ("BYTES", [2, 1])
    (output,) = (await here.infer(asked(99))).json()["outputs"]
    assert output["shape"] == [2, 2]
    values = [line.split(":") for line in output["data"]]
    assert [place for _, place in values] == ["0", "1", "0", "1"]
    assert float(values[0][0]) > float(values[1][0])
    (output,) = (await here.infer(asked(3, "label"))).json()["outputs"]
    assert output["data"] == ["0:0", "0:0"]


@pytest.mark.parametrize("most", [-1, 0.5, "2", True, [1]])
async def test_a_number_of_classes_is_a_whole_number(here: World, most: Any) -> None:
    """Anything else is refused."""
    assert (await here.infer(asked(most))).status_code == 400


def test_classes_have_names_and_ties_their_order(tmp_path: Path) -> None:
    """Classes that the model names are told; equal values keep their order, and NaN comes last."""
    model = opened(tmp_path, logistic(), classes=("no", "yes"))
    tensor = model.outputs[1]
    array = np.array([[0.5, 0.5], [np.nan, 0.1]], np.float32)
    _, found = classify(model, tensor, array, 2)
    assert found.tolist() == [["0.500000:0:no", "0.500000:1:yes"], ["0.100000:1:yes", "nan:0:no"]]


def test_text_has_no_highest_value(tmp_path: Path) -> None:
    """An output of text is refused; no classes are asked for by nothing or 0."""
    tensor = opened(tmp_path, identity([("s", "BYTES", [None])])).outputs[0]
    assert wanted(tensor, None) == wanted(tensor, 0) == 0
    with pytest.raises(UnsupportedError):
        wanted(tensor, 1)
    with pytest.raises(InvalidInputError):
        wanted(tensor, -1)


@pytest.mark.parametrize(
    ("datatype", "values", "places"),
    [
        ("INT64", [2**53, 2**53 + 1, -(2**63), 2**63 - 1], [3, 1, 0, 2]),
        ("UINT64", [0, 2**64 - 1, 2**64 - 2, 2**64 - 1], [1, 3, 2, 0]),
        ("UINT8", [0, 255, 1], [1, 2, 0]),
        ("FP64", [math.nan, -math.inf, 1.0, math.inf], [3, 2, 1, 0]),
    ],
)
def test_neighbours_are_told_apart(
    tmp_path: Path, datatype: str, values: list[Any], places: list[int]
) -> None:
    """Whole numbers are compared exactly, to the ends of their range; NaN comes after all numbers."""
    model = opened(tmp_path, identity([("v", datatype, [None, len(values)])]))
    (tensor,) = model.outputs
    _, found = classify(model, tensor, np.array([values], tensor.dtype), 9)
    assert [int(text.split(":")[1]) for text in found[0]] == places


def test_no_rows_have_no_classes(tmp_path: Path) -> None:
    """An output that came out without rows, or without values in a row, is an empty tensor of strings."""
    model = opened(tmp_path, logistic())
    for shape, wanted_shape in (((0, 2), (0, 2)), ((3, 0), (3, 0))):
        found, made = classify(model, model.outputs[1], np.zeros(shape, np.float32), 5)
        assert (made.shape, found.datatype) == (wanted_shape, "BYTES")
