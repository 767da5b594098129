"""Open Inference Protocol v2: binary tensors, and documents that mean harm."""

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Refusal
from gateway.meters import ModelMeters
from gateway.model import LoadedModel
from gateway.protocols.open_inference import CODEC
from gateway.session import Session
from gateway.warmup import UNKNOWN
from groundwork.counters import Counters
from registry_client.manifest import Manifest, digest_of
from tests.gateway.worlds import ROW, World, request
from tests.models import identity

OCTETS = np.array([ROW], "<f4").tobytes()
LENGTH = "Inference-Header-Content-Length"


def binary(blob: bytes = OCTETS, size: Any = None, **more: Any) -> tuple[bytes, dict[str, str]]:
    """A request whose one tensor follows its JSON, and the header that says where."""
    parameters = {"binary_data_size": len(blob) if size is None else size}
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 30], "parameters": parameters}
    head = msgspec.json.encode({"inputs": [tensor], **more})
    return head + blob, {LENGTH: str(len(head))}


async def test_binary_in_json_out(here: World) -> None:
    """A tensor sent as bytes is answered like the same one sent as JSON."""
    body, headers = binary()
    response = await here.infer(body, headers=headers)
    assert response.status_code == 200
    assert response.json()["outputs"] == (await here.infer(request())).json()["outputs"]
    assert LENGTH.lower() not in response.headers


async def test_binary_out(here: World) -> None:
    """Outputs travel as bytes when the request says so, but for those that say otherwise."""
    wanted = [{"name": "label", "parameters": {"binary_data": False}}, {"name": "probabilities"}]
    response = await here.infer(request(outputs=wanted, parameters={"binary_data_output": True}))
    assert response.headers["content-type"] == "application/octet-stream"
    size = int(response.headers[LENGTH])
    head = msgspec.json.decode(response.content[:size])
    label, probabilities = head["outputs"]
    assert label["data"] == [0]
    assert probabilities["parameters"] == {"binary_data_size": 8}
    assert "data" not in probabilities
    assert len(np.frombuffer(response.content[size:], "<f4")) == 2


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        binary(OCTETS + b"\0", size=120),
        binary(OCTETS[:-1], size=120),
        binary(size=119),
        binary(size=121),
        binary(size=-1),
        binary(size="120"),
        binary(size=True),
        binary(size=2**70),
        (binary()[0], {LENGTH: "0"}),
        (binary()[0], {LENGTH: "5"}),
        (binary()[0], {LENGTH: str(2**64)}),
    ],
)
async def test_lengths_that_lie(here: World, body: bytes, headers: dict[str, str]) -> None:
    """Where lengths, sizes and bytes do not agree the request is refused."""
    response = await here.infer(body, headers=headers)
    assert response.status_code == 400
    assert list(response.json()) == ["error"]


async def test_data_and_bytes_exclude_each_other(here: World) -> None:
    """An input with both data and bytes is refused."""
    document = request()
    document["inputs"][0]["parameters"] = {"binary_data_size": 0}
    body = msgspec.json.encode(document)
    response = await here.infer(body, headers={LENGTH: str(len(body))})
    assert response.status_code == 400


async def test_data_that_is_null_is_absent(here: World) -> None:
    """A client library that writes null beside binary data is answered; null alone is no data."""
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 30], "data": None}
    head = msgspec.json.encode({"inputs": [{**tensor, "parameters": {"binary_data_size": len(OCTETS)}}]})
    response = await here.infer(head + OCTETS, headers={LENGTH: str(len(head))})
    assert response.status_code == 200, response.text
    response = await here.infer({"inputs": [tensor]})
    assert "neither data nor binary_data_size" in response.json()["error"]


@given(body=st.binary(max_size=200))
def test_any_bytes_are_a_refusal(a_model: LoadedModel, body: bytes) -> None:
    """Whatever the body is, decoding gives a request or a Refusal, and nothing else."""
    with pytest.raises(Refusal):
        CODEC.decode(a_model, {}, body)
    with pytest.raises(Refusal):
        CODEC.decode(a_model, {LENGTH.lower().encode(): b"%d" % (len(body) // 2)}, body)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
TENSORS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["x", "s"]) | JSON,
        "datatype": st.sampled_from(["FP32", "BYTES"]) | JSON,
        "shape": st.lists(st.integers(-1, 3), max_size=3) | JSON,
        "data": st.lists(JSON, max_size=3) | JSON,
        "parameters": st.dictionaries(st.sampled_from(["binary_data_size", "x"]), JSON, max_size=2) | JSON,
    },
)
DOCUMENTS = st.fixed_dictionaries(
    {"inputs": st.lists(TENSORS, max_size=3)}, optional={"outputs": JSON, "id": JSON}
)


@given(document=DOCUMENTS, headed=st.booleans())
def test_any_document_is_decoded_or_refused(a_model: LoadedModel, document: Any, *, headed: bool) -> None:
    """Whatever a document says, decoding gives a request that fits the signature, or a Refusal."""
    body = msgspec.json.encode(document)
    headers = {LENGTH.lower().encode(): b"%d" % len(body)} if headed else {}
    try:
        decoded = CODEC.decode(a_model, headers, body)
    except Refusal:
        return
    assert {array.shape for array in decoded.feeds.values()} == {(decoded.rows, 1)}


@pytest.fixture(scope="module")
def a_model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    """A model of one number and one text input."""
    folder = tmp_path_factory.mktemp("model")
    (folder / "model.onnx").write_bytes(identity([("x", "FP32", [None, 1]), ("s", "BYTES", [None, 1])]))
    manifest = Manifest(name="m", version="1", digest=digest_of(b""), size=0)
    meters = ModelMeters(Counters.create(folder / "counters"), "m", "1")
    return LoadedModel(manifest, Session.open(folder / "model.onnx", title="m"), meters, UNKNOWN, -1)


@pytest.mark.parametrize("shape", [[2], [2, 1]])
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("wanted", [[None], [None, 1]])
async def test_a_column_is_a_vector(
    here: World, wanted: list[int | None], shape: list[int], *, nested: bool
) -> None:
    """Whichever of the two model and client have, flat or nested, the answer has the model's shape."""
    await here.add("v", identity([("x", "FP32", wanted)]))
    data = [[1.5], [2.5]] if nested else [1.5, 2.5]
    tensor = {"name": "x", "datatype": "FP32", "shape": shape, "data": data}
    answer = await here.infer({"inputs": [tensor]}, model="v")
    assert answer.status_code == 200
    (output,) = answer.json()["outputs"]
    assert (output["shape"], output["data"]) == ([2, 1][: len(wanted)], [1.5, 2.5])
