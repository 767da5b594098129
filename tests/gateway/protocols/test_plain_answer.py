"""The answer put together from pieces: byte for byte that of the general way."""

import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.inference import InferenceRequest, Wanted
from gateway.protocols import open_inference
from gateway.protocols.codec import Answer
from gateway.protocols.documents import OutputDocument, ResponseDocument
from gateway.protocols.plain_answer import PART, plain_answer
from gateway.tensors import Tensor
from registry_client.signature import Datatype, TensorSpec

ID = "0123456789abcdef" * 2


class Model:
    """As much of a loaded version as an answer shows."""

    def __init__(self, name: str, version: str, *datatypes: Datatype) -> None:
        """Outputs `out0`, `out1`, … of these datatypes."""
        self.name = name
        self.version = version
        specs = [TensorSpec(f'out"{place}', datatype, (-1, 2)) for place, datatype in enumerate(datatypes)]
        self.outputs = tuple(Tensor(spec) for spec in specs)
        self.answers: dict[str, Any] = {}


def general(model: Model, outputs: list[Any], known: str | None) -> bytes:
    """The body as one document."""
    documents = [
        OutputDocument(tensor.name, tensor.datatype, array.shape, None, tensor.to_json(array))
        for tensor, array in zip(model.outputs, outputs, strict=True)
    ]
    identity = {"prediction_id": ID, "arm": "stable"}
    return msgspec.json.encode(ResponseDocument(model.name, model.version, identity, documents, known))


def general_binary(model: Model, outputs: list[Any], known: str | None) -> tuple[int, bytes]:
    """The length of the JSON, and the body, of an answer in binary."""
    blobs = [array.tobytes() for array in outputs]
    documents = [
        OutputDocument(tensor.name, tensor.datatype, array.shape, {"binary_data_size": len(blob)})
        for tensor, array, blob in zip(model.outputs, outputs, blobs, strict=True)
    ]
    identity = {"prediction_id": ID, "arm": "stable"}
    head = msgspec.json.encode(ResponseDocument(model.name, model.version, identity, documents, known))
    return len(head), b"".join([head, *blobs])


def short(model: Any, outputs: list[Any], request: InferenceRequest) -> tuple[int | None, bytes] | None:
    """The body by the short way, and how much of it is JSON where not all is."""
    return plain_answer(request, Answer(model, "stable", ID, outputs))


@pytest.mark.parametrize("count", [PART - 2, PART, PART + 2, 3 * PART])
def test_a_long_output_is_written_in_parts(count: int) -> None:
    """However many parts it takes, they read as one list."""
    model = Model("m", "1", Datatype.FP64)
    outputs = [np.linspace(-1, 1, count).reshape(-1, 2)]
    found = short(model, outputs, InferenceRequest({}, count // 2))
    assert found == (None, general(model, outputs, None))


@given(
    name=st.text(max_size=20),
    version=st.text(max_size=5),
    known=st.none() | st.text(max_size=20),
    numbers=st.lists(st.floats() | st.integers(-(2**31), 2**31), max_size=6),
)
def test_both_ways_write_the_same(name: str, version: str, known: str | None, numbers: list[float]) -> None:
    """Whatever names, ids and numbers there are, NaN and infinities among them."""
    model = Model(name, version, Datatype.FP64, Datatype.FP32, Datatype.INT32)
    floats = np.array(numbers[: len(numbers) // 2 * 2], "<f8").reshape(-1, 2)
    finite = np.where(np.isfinite(floats), floats, 0).clip(-(2**31), 2**31 - 1).astype("<i4")
    with np.errstate(over="ignore"):
        outputs = [floats, floats.astype("<f4"), finite]
    for _ in range(2):
        found = short(model, outputs, InferenceRequest({}, 1, known))
        assert found == (None, general(model, outputs, known))
        found = short(model, outputs, InferenceRequest({}, 1, known, binary=True))
        assert found == general_binary(model, outputs, known)


@pytest.mark.parametrize(
    ("request_", "datatype"),
    [
        (InferenceRequest({}, 1, wanted=(Wanted("out"),)), Datatype.FP32),
        (InferenceRequest({}, 1, binary=True), Datatype.BYTES),
        (InferenceRequest({}, 1), Datatype.BYTES),
        (InferenceRequest({}, 1), Datatype.BF16),
    ],
)
def test_what_is_odd_is_left_to_the_general_way(request_: InferenceRequest, datatype: Datatype) -> None:
    """Chosen outputs, and outputs that are no plain numbers, in JSON or in binary."""
    assert short(Model("m", "1", datatype), [np.zeros((1, 2))], request_) is None


def test_arms_are_told_apart() -> None:
    """What is remembered of one arm's answers is not said of another's."""
    model: Any = Model("m", "1", Datatype.FP32)
    array = np.array([[math.pi, 1]], "<f4")
    for arm in ("stable", "candidate", "stable"):
        _, body = plain_answer(InferenceRequest({}, 1), Answer(model, arm, ID, [array])) or (None, b"")
        assert msgspec.json.decode(body)["parameters"] == {"prediction_id": ID, "arm": arm}


def test_it_is_used_for_what_is_plain() -> None:
    """The codec answers plain requests this way."""
    model: Any = Model("m", "1", Datatype.FP32)
    headers, body = open_inference.CODEC.encode(
        InferenceRequest({}, 1), Answer(model, "stable", ID, [np.ones((1, 2), "<f4")])
    )
    assert model.answers
    assert headers == ((b"content-type", b"application/json"),)
    assert msgspec.json.decode(body)["outputs"][0]["data"] == [1, 1]
