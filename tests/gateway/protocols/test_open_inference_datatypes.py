"""Open Inference Protocol v2: every datatype by a released client, over a real socket."""

import base64
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

import httpx
import ml_dtypes  # what tritonclient wants BF16 in; comes with onnx
import numpy as np
import pytest
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

from registry_client.signature import Datatype
from rollouts.route import Route
from tests.gateway.served import served
from tests.gateway.worlds import World
from tests.models import identity

VALUES: Mapping[Datatype, Any] = MappingProxyType(
    {
        Datatype.BOOL: np.array([[True, False]]),
        Datatype.UINT8: np.array([[0, 255]], np.uint8),
        Datatype.UINT16: np.array([[0, 2**16 - 1]], np.uint16),
        Datatype.UINT32: np.array([[0, 2**32 - 1]], np.uint32),
        Datatype.UINT64: np.array([[2**53 + 1, 2**64 - 1]], np.uint64),
        Datatype.INT8: np.array([[-128, 127]], np.int8),
        Datatype.INT16: np.array([[-(2**15), 2**15 - 1]], np.int16),
        Datatype.INT32: np.array([[-(2**31), 2**31 - 1]], np.int32),
        Datatype.INT64: np.array([[-(2**63), 2**53 + 1]], np.int64),
        Datatype.FP16: np.array([[0.5, -65504]], np.float16),
        Datatype.BF16: np.array([[0.5, -3.0]], ml_dtypes.bfloat16),
        Datatype.FP32: np.array([[0.1, -3.4e38]], np.float32),
        Datatype.FP64: np.array([[0.1, 1.7e308]], np.float64),
        Datatype.BYTES: np.array([["", "ü\0\U0001f600"]], dtype=object),
    }
)
BINARY_ONLY = (Datatype.FP16, Datatype.BF16)


def name_of(datatype: Datatype) -> str:
    """The model whose one tensor has this datatype."""
    return f"id_{datatype.lower()}"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with a model for each datatype."""

    async def prepare(world: World) -> None:
        for datatype in VALUES:
            await world.publish(name_of(datatype), "1", identity([("a", datatype.value, [None, 2])]))
            await world.serve(Route(model=name_of(datatype), revision=1, stable="1"))

    with served(tmp_path_factory.mktemp("served"), prepare) as found:
        yield found


@pytest.fixture
def client(place: str) -> Iterator[InferenceServerClient]:
    """Tritonclient's HTTP client."""
    connected = InferenceServerClient(place)
    yield connected
    connected.close()


def tensor(datatype: Datatype, *, binary: bool) -> Any:
    """The values of a datatype as the client sends them."""
    made = InferInput("a", [1, 2], datatype.value)
    made.set_data_from_numpy(VALUES[datatype], binary_data=binary)
    return made


def test_every_datatype_is_tried() -> None:
    """A datatype that is added is added here."""
    assert set(VALUES) == set(Datatype)


@pytest.mark.parametrize("coding", [None, "gzip", "deflate"])
@pytest.mark.parametrize("datatype", VALUES)
def test_binary_is_exact(client: InferenceServerClient, datatype: Datatype, coding: str | None) -> None:
    """Every datatype comes back bit for bit in binary, plain or compressed both ways."""
    result = client.infer(
        name_of(datatype),
        [tensor(datatype, binary=True)],
        request_compression_algorithm=coding,
        response_compression_algorithm=coding,
    )
    found = result.as_numpy("a_out")
    if datatype is Datatype.BYTES:
        assert [item.decode() for item in found.ravel()] == VALUES[datatype].ravel().tolist()
    else:
        assert found.tobytes() == VALUES[datatype].tobytes()


@pytest.mark.parametrize("datatype", [datatype for datatype in VALUES if datatype not in BINARY_ONLY])
def test_json_is_exact(client: InferenceServerClient, datatype: Datatype) -> None:
    """Every other datatype comes back exactly in JSON."""
    wanted = InferRequestedOutput("a_out", binary_data=False)
    result = client.infer(name_of(datatype), [tensor(datatype, binary=False)], outputs=[wanted])
    found = result.as_numpy("a_out")
    assert found.tolist() == VALUES[datatype].tolist()


@pytest.mark.parametrize("datatype", BINARY_ONLY)
def test_half_precision_is_not_json(client: InferenceServerClient, place: str, datatype: Datatype) -> None:
    """FP16 and BF16 in JSON are refused both ways, with a word about binary."""
    wanted = InferRequestedOutput("a_out", binary_data=False)
    with pytest.raises(InferenceServerException, match="binary"):
        client.infer(name_of(datatype), [tensor(datatype, binary=True)], outputs=[wanted])
    document = {"inputs": [{"name": "a", "datatype": datatype, "shape": [1, 2], "data": [1, 2]}]}
    response = httpx.post(f"http://{place}/v2/models/{name_of(datatype)}/infer", json=document)
    assert response.status_code == 400
    assert "binary" in response.json()["error"]


@pytest.mark.parametrize(
    "datatype", [datatype for datatype in VALUES if datatype.startswith(("INT", "UINT"))]
)
@pytest.mark.parametrize("beyond", [2**64, -(2**63) - 1, 10**30, 0.5, True, "1", None])
def test_a_whole_number_must_fit(place: str, datatype: Datatype, beyond: Any) -> None:
    """A whole number outside its range, or what is none, is refused and never wrapped."""
    document = {"inputs": [{"name": "a", "datatype": datatype, "shape": [1, 2], "data": [1, beyond]}]}
    response = httpx.post(f"http://{place}/v2/models/{name_of(datatype)}/infer", json=document)
    assert response.status_code == 400, response.text


@pytest.mark.parametrize("datatype", [datatype for datatype in VALUES if datatype is not Datatype.BYTES])
def test_a_bare_body_is_the_tensor(place: str, datatype: Datatype) -> None:
    """A body without JSON is the tensor; its rows follow from its length, and the answer is binary."""
    blob = VALUES[datatype].tobytes()
    url = f"http://{place}/v2/models/{name_of(datatype)}/infer"
    headers = {"Inference-Header-Content-Length": "0"}
    response = httpx.post(url, content=blob * 3, headers=headers)
    assert response.status_code == 200, response.text
    assert response.content[int(response.headers["inference-header-content-length"]) :] == blob * 3
    for wrong in (b"", blob + b"\0", blob[:-1]):
        assert httpx.post(url, content=wrong, headers=headers).status_code == 400


RAW: Final = (b"\xff\xd8\x00", b"", "ü".encode(), b"\xed\xa0\x80", "\U0010ff80".encode(), bytes(range(256)))
"""Strings that are no text, and some that are."""


@pytest.mark.parametrize("one", RAW)
def test_bytes_need_not_be_text(client: InferenceServerClient, place: str, one: bytes) -> None:
    """Any bytes come back in binary and in base64; JSON without base64 carries those that are text."""
    sent = InferInput("a", [1, 2], "BYTES")
    sent.set_data_from_numpy(np.array([[one, b"a"]], dtype=object))
    assert client.infer("id_bytes", [sent]).as_numpy("a_out").tolist() == [[one, b"a"]]
    tensor = {"name": "a", "datatype": "BYTES", "shape": [1, 2], "parameters": {"content_type": "base64"}}
    tensor["data"] = [base64.b64encode(part).decode() for part in (one, b"a")]
    outputs = [{"name": "a_out", "parameters": {"content_type": "base64"}}]
    url = f"http://{place}/v2/models/id_bytes/infer"
    (found,) = httpx.post(url, json={"inputs": [tensor], "outputs": outputs}).json()["outputs"]
    assert found["data"] == tensor["data"]
    assert found["parameters"] == {"content_type": "base64"}
    response = httpx.post(url, json={"inputs": [tensor]})
    try:
        text = one.decode()
    except UnicodeDecodeError:
        assert response.status_code == 400
        assert "binary" in response.json()["error"]
    else:
        assert response.json()["outputs"][0]["data"] == [text, "a"]


@pytest.mark.parametrize("data", [["%", "a"], ["YQ", "a"], ["ü", "YQ=="]])
def test_what_is_not_base64_is_refused(place: str, data: list[str]) -> None:
    """Strings that are said to be in base64 and are not are 400."""
    tensor = {"name": "a", "datatype": "BYTES", "shape": [1, 2], "parameters": {"content_type": "base64"}}
    url = f"http://{place}/v2/models/id_bytes/infer"
    response = httpx.post(url, json={"inputs": [{**tensor, "data": data}]})
    assert response.status_code == 400
    assert "base64" in response.json()["error"]
