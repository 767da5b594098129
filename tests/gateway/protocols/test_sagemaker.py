"""SageMaker's calls."""

import msgspec
import numpy as np
import pytest

from prediction_log.record import Kind
from tests.gateway.worlds import ROW, World, request

BINARY = "application/vnd.sagemaker-triton.binary+json"
BLOB = np.array([ROW], "<f4").tobytes()


def binary(**more: object) -> tuple[bytes, int]:
    """A request of the Open Inference Protocol with its tensor in binary, and the length of its JSON."""
    tensor = {
        "name": "x",
        "datatype": "FP32",
        "shape": [1, 30],
        "parameters": {"binary_data_size": len(BLOB)},
    }
    head = msgspec.json.encode({"inputs": [tensor], **more})
    return head + BLOB, len(head)


async def test_custom_attributes_come_back(here: World) -> None:
    """What the caller attaches is echoed, its inference id is recorded, and too much of it is refused."""
    headers = {"X_Amzn_SageMaker_Custom_Attributes": "trace-7", "X_Amzn_SageMaker_Inference_Id": "i-1"}
    response = await here.post(
        "/invocations", {"instances": [ROW]}, **headers, X_Amzn_SageMaker_Target_Variant="v"
    )
    assert response.headers["x-amzn-sagemaker-custom-attributes"] == "trace-7"
    assert here.frames(Kind.PREDICTION)[0].strings("client_id").tolist() == [b"i-1"]
    long = {"X_Amzn_SageMaker_Custom_Attributes": "x" * 1025}
    assert (await here.post("/invocations", {"instances": [ROW]}, **long)).status_code == 400


@pytest.mark.parametrize("media", [BINARY, "application/octet-stream"])
async def test_binary_tensors_by_the_content_type(here: World, media: str) -> None:
    """The length of the JSON part stands in the Content-Type, both ways."""
    body, size = binary(parameters={"binary_data_output": True})
    response = await here.post("/invocations", body, content_type=f"{media};json-header-size={size}")
    assert response.status_code == 200, response.text
    kind, _, length = response.headers["content-type"].partition(";json-header-size=")
    assert kind == media
    assert msgspec.json.decode(response.content[: int(length)])["outputs"][0]["name"] == "label"
    body, size = binary()
    plain = await here.post("/invocations", body, content_type=f"{media};json-header-size={size}")
    assert plain.headers["content-type"] == "application/json"
    assert plain.json()["model_name"] == "m"


@pytest.mark.parametrize("size", ["-1", "5", "many", "99999999999999999999", "\u00b2", ""])
async def test_a_size_that_lies_is_400(here: World, size: str) -> None:
    """A json-header-size that is none, or not this body's, is refused."""
    kind = f"{BINARY};json-header-size={size}".encode("latin-1")
    response = await here.client.post("/invocations", content=binary()[0], headers={b"content-type": kind})
    assert response.status_code == 400, response.text
    assert response.json()["error_code"] == "BAD_REQUEST"


async def test_tensors_of_the_open_protocol_in_json(here: World) -> None:
    """A list of named tensors is a request of the Open Inference Protocol, and so is its answer."""
    response = await here.post("/invocations", request(id="7"))
    assert response.json()["id"] == "7"
    assert response.json()["outputs"][0]["name"] == "label"
