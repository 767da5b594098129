"""The tensors of a request by their names."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.errors import InvalidInputError
from gateway.inference import InferenceRequest, Wanted
from gateway.model import LoadedModel
from gateway.protocols.codec import Answer
from gateway.protocols.naming import (
    OutputChoice,
    check_complete,
    checked_parameters,
    chosen_outputs,
    fitted,
    flag,
    input_named,
    wanted_outputs,
)
from gateway.tensors import Tensor
from registry_client.signature import Datatype, TensorSpec
from tests.gateway.protocols.loading import opened
from tests.models import identity


@pytest.fixture
def model(tmp_path: Path) -> LoadedModel:
    """A model of a number and of a text."""
    return opened(tmp_path, identity([("x", "FP32", [None, 1]), ("s", "BYTES", [None, 1])]))


@pytest.mark.parametrize(
    ("name", "datatype", "given", "said"),
    [
        ("y", "FP32", (), "'y' is unknown; the model has x, s"),
        ("x", "FP32", ("x",), "'x' is twice"),
        ("x", "FP64", (), "'x' has datatype 'FP64', wanted 'FP32'"),
    ],
)
def test_an_input_is_known_and_given_once(
    model: LoadedModel, name: str, datatype: str, given: tuple[str, ...], said: str
) -> None:
    """What is wrong with a name is told with the name and with what is wanted."""
    assert input_named(model, "x", "FP32", ("s",)) is model.inputs["x"]
    with pytest.raises(InvalidInputError, match=said):
        input_named(model, name, datatype, given)


@pytest.mark.parametrize(
    ("wanted", "given", "shape"),
    [
        ((-1,), [5, 1], [5]),
        ((-1, 1), [5], [5, 1]),
        ((), [1], []),
        ((-1, 2), [5], [5]),
        ((-1,), [5, 2], [5, 2]),
        ((-1,), [5, 1, 1], [5, 1, 1]),
        ((-1,), [], []),
        ((-1, 2), [5, 2, 1], [5, 2, 1]),
        ((-1, 2), [1, 5, 2], [1, 5, 2]),
    ],
)
def test_a_column_is_a_vector(wanted: tuple[int, ...], given: list[int], shape: list[int]) -> None:
    """One of n values and one of n rows of one value are the same; no other number of dimensions is."""
    assert fitted(Tensor(TensorSpec("x", Datatype.FP32, wanted)), given) == shape


def test_no_input_is_missing(model: LoadedModel) -> None:
    """The first of the model's inputs that a request leaves out is named."""
    check_complete(model, ("s", "x"))
    with pytest.raises(InvalidInputError, match="'s' is missing; wanted x, s"):
        check_complete(model, ("x",))


@pytest.mark.parametrize("value", [1, "true", 0.0])
def test_a_flag_is_true_or_false(value: Any) -> None:
    """A flag that is not there is None; anything else is refused and named."""
    assert (flag({}, "a"), flag({"a": None}, "a"), flag({"a": False}, "a")) == (None, None, False)
    with pytest.raises(InvalidInputError, match="'a'"):
        flag({"a": value}, "a")


@pytest.mark.parametrize("value", [[], {}])
def test_a_parameter_is_no_list_and_no_object(value: Any) -> None:
    """Parameters are strings, numbers and truth values."""
    with pytest.raises(InvalidInputError, match="'a'"):
        checked_parameters({"b": 1, "a": value})


def test_headers_may_be_an_object() -> None:
    """MLServer's types keep the headers of HTTP in a parameter, which nothing reads."""
    assert checked_parameters({"headers": {"accept": "*/*"}}) == {"headers": {"accept": "*/*"}}
    with pytest.raises(InvalidInputError, match="'headers'"):
        checked_parameters({"headers": ["accept"]})


def test_outputs_are_asked_for_once(model: LoadedModel) -> None:
    """Each choice is kept in its order with what it says; unknown and repeated names are refused."""
    found = wanted_outputs(
        model,
        [OutputChoice("s_out", {"content_type": "base64"}), OutputChoice("x_out", {"binary_data": True})],
    )
    assert found == (Wanted("s_out", None, 0, base64=True), Wanted("x_out", binary=True))
    for names in (["x_out", "x_out"], ["z"]):
        with pytest.raises(InvalidInputError, match=names[0]):
            wanted_outputs(model, [OutputChoice(name) for name in names])


def test_an_output_that_only_the_candidate_has_is_left_out(model: LoadedModel) -> None:
    """Where stable answers in a candidate's place, what it has is sent."""
    outputs = [np.ones((1, 1), "<f4"), np.array([["ü"]], dtype=object)]
    request = InferenceRequest({}, 1, wanted=(Wanted("gone"), Wanted("s_out", None, 0, base64=True)))
    ((tensor, array, binary),) = chosen_outputs(model, request, Answer(model, "stable", "0" * 32, outputs))
    assert (tensor.name, array.tolist(), binary) == ("s_out", [["w7w="]], False)
