"""The data port as a client sees it."""

from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from gateway.bulk import MOST_BINARY_ROWS, MOST_ROWS
from gateway.run_settings import RequestSettings
from gateway.settings import GatewaySettings
from groundwork.openmetrics import OPEN_CONTENT_TYPE
from prediction_log.record import Kind, Outcome
from tests.gateway.worlds import ROW, World, request, world
from tests.models import identity

TENSOR: dict[str, Any] = {"name": "x", "datatype": "FP32", "shape": [1, 30], "data": ROW}

MISTAKES: dict[str, tuple[Any, int]] = {
    "no JSON": (b"{", 400),
    "empty": (b"", 400),
    "not UTF-8": (b'{"inputs":[{"name":"\xff"}]}', 400),
    "a list": ([], 400),
    "no inputs": ({}, 400),
    "inputs null": ({"inputs": None}, 400),
    "inputs empty": ({"inputs": []}, 400),
    "bare NaN": (b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1,1],"data":[NaN]}]}', 400),
    "deep": (b'{"inputs":' + b"[" * 20_000, 400),
    "deep data": (b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1,30],"data":' + b"[" * 20_000, 400),
    "id a number": ({"inputs": [TENSOR], "id": 7}, 400),
    "parameters a list": ({"inputs": [TENSOR], "parameters": []}, 400),
    "wrong datatype": ({"inputs": [{**TENSOR, "datatype": "FP64"}]}, 400),
    "unknown datatype": ({"inputs": [{**TENSOR, "datatype": "FLOAT"}]}, 400),
    "shape a string": ({"inputs": [{**TENSOR, "shape": "1x30"}]}, 400),
    "shape huge": ({"inputs": [{**TENSOR, "shape": [2**40, 30]}]}, 400),
    "shape beyond 64 bits": ({"inputs": [{**TENSOR, "shape": [10**30, 30]}]}, 400),
    "shape negative": ({"inputs": [{**TENSOR, "shape": [-1, 30]}]}, 400),
    "rank": ({"inputs": [{**TENSOR, "shape": [30]}]}, 400),
    "too few values": ({"inputs": [{**TENSOR, "data": ROW[:29]}]}, 400),
    "too many values": ({"inputs": [{**TENSOR, "data": [*ROW, 1.0]}]}, 400),
    "strings for numbers": ({"inputs": [{**TENSOR, "data": ["0.1"] * 30}]}, 400),
    "no data": ({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 30]}]}, 400),
    "unknown input": ({"inputs": [{**TENSOR, "name": "z"}]}, 400),
    "extra input": ({"inputs": [TENSOR, {**TENSOR, "name": "z"}]}, 400),
    "input twice": ({"inputs": [TENSOR, TENSOR]}, 400),
    "unknown output": ({"inputs": [TENSOR], "outputs": [{"name": "z"}]}, 400),
    "output twice": ({"inputs": [TENSOR], "outputs": [{"name": "label"}, {"name": "label"}]}, 400),
    "classification": (
        {"inputs": [TENSOR], "outputs": [{"name": "label", "parameters": {"classification": -2}}]},
        400,
    ),
    "a parameter that is a list": ({"inputs": [TENSOR], "parameters": {"priority": [1]}}, 400),
    "an input's parameter": ({"inputs": [{**TENSOR, "parameters": {"content_type": {}}}]}, 400),
    "shared memory in": (
        {"inputs": [{**TENSOR, "data": None, "parameters": {"shared_memory_region": "r"}}]},
        400,
    ),
    "shared memory out": (
        {"inputs": [TENSOR], "outputs": [{"name": "label", "parameters": {"shared_memory_region": "r"}}]},
        400,
    ),
    "binary flag": ({"inputs": [TENSOR], "parameters": {"binary_data_output": "yes"}}, 400),
    "binary size without header": (
        {
            "inputs": [
                {"name": "x", "datatype": "FP32", "shape": [1, 30], "parameters": {"binary_data_size": 120}}
            ]
        },
        400,
    ),
}


def is_error(response: httpx.Response, status: int) -> bool:
    """Whether this is the one shape that errors have."""
    return (
        response.status_code == status
        and response.headers["content-type"] == "application/json"
        and list(response.json()) == ["error"]
        and "Traceback" not in response.text
        and "\n" not in response.json()["error"]
    )


@pytest.mark.parametrize("name", MISTAKES)
async def test_a_mistake_is_the_clients_and_in_the_log(here: World, name: str) -> None:
    """Whatever is wrong with a request, the answer is its 4xx in one line, and the log has it as a reject."""
    document, status = MISTAKES[name]
    response = await here.infer(document)
    assert is_error(response, status), response.text
    (found,) = here.frames(Kind.REJECT)
    assert found.rows == 1
    assert found.array("status").tolist() == [status]
    assert found.strings("model").tolist() == [b"m"]
    assert found.array("outcome").tolist() == [Outcome.REJECTED]
    assert found.array("id").tobytes().hex() == response.headers["x-prediction-id"]
    assert here.counted("driftgate_refusals_total", model="m") == 1
    assert here.counted("driftgate_requests_total") == 0


@pytest.mark.parametrize(
    ("model", "path", "headers", "status", "code"),
    [
        ("nobody", "infer", {}, 404, b"unknown-model"),
        ("%2e%2e%2fetc", "infer", {}, 404, b"unknown-model"),
        ("m", "versions/9/infer", {}, 404, b"unknown-version"),
        ("m", "versions/abc/infer", {}, 404, b"unknown-version"),
        ("m", "versions/-1/infer", {}, 404, b"unknown-version"),
        ("m", "infer", {"X-Driftgate-Version": "9"}, 404, b"unknown-version"),
        ("m", "infer", {"Content-Encoding": "br"}, 415, b"unsupported-encoding"),
        ("m", "infer", {"Content-Encoding": "gzip"}, 400, b"malformed"),
        ("m", "infer", {"Inference-Header-Content-Length": "-1"}, 400, b"malformed"),
        ("m", "infer", {"Inference-Header-Content-Length": "many"}, 400, b"malformed"),
        ("m", "infer", {"Inference-Header-Content-Length": "99999999999999999999"}, 400, b"malformed"),
        ("m", "infer", {"Inference-Header-Content-Length": "10"}, 400, b"malformed"),
    ],
)
async def test_what_cannot_be_predicted_is_in_the_log(
    here: World, model: str, path: str, headers: dict[str, str], status: int, code: bytes
) -> None:
    """An unknown model or version, and a header that lies, are refused and recorded with their code."""
    response = await here.infer(request(), model=model, path=path, headers=headers)
    assert is_error(response, status), response.text
    (found,) = here.frames(Kind.REJECT)
    assert found.strings("code").tolist() == [code]


async def test_an_oversized_body_is_refused_and_recorded(tmp_path: Path) -> None:
    """A body above the limit is 413, whether its length is announced or not."""
    settings = GatewaySettings(requests=RequestSettings(max_body_bytes=1000))
    async with world(tmp_path, settings) as here:

        async def chunks() -> Any:
            for _ in range(4):
                yield b" " * 300

        assert is_error(await here.infer(b" " * 1001), 413)
        assert is_error(await here.client.post("/v2/models/m/infer", content=chunks()), 413)
        assert (await here.infer(request())).status_code == 200
        (found,) = here.frames(Kind.REJECT)
        assert found.array("status").tolist() == [413, 413]


@pytest.mark.parametrize(("zeros", "length", "status"), [(5000, b"", 200), (5000, b"9" * 5000, 413)])
async def test_a_length_of_many_digits_is_a_length(
    here: World, zeros: int, length: bytes, status: int
) -> None:
    """However a client writes the length of its body, it is read as the number that it is."""
    body = msgspec.json.encode(request())
    announced = b"0" * zeros + (length or b"%d" % len(body))
    response = await here.client.post(
        "/v2/models/m/infer", content=body, headers={b"content-length": announced}
    )
    assert response.status_code == status, response.text


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (
            "/v2/models/v/infer",
            b'{"inputs":[{"name":"a","datatype":"INT8","shape":[%d],"data":[%b1]}]}'
            % (MOST_ROWS + 1, b"1," * MOST_ROWS),
        ),
        ("/v1/models/v:predict", b'{"instances":[%b1]}' % (b"1," * MOST_ROWS)),
        ("/v1/models/v:predict", b'{"inputs":[%b1]}' % (b"1," * MOST_ROWS)),
        ("/v2/models/v/infer", bytes(MOST_BINARY_ROWS + 1)),
    ],
    ids=["list", "instances", "inputs", "bare"],
)
async def test_too_many_rows_are_too_large(here: World, path: str, body: bytes) -> None:
    """A row may be one byte on the wire and costs hundreds: more than may be are 413, in any form."""
    await here.add("v", identity([("a", "INT8", [None])]))
    headers = {} if body.startswith(b"{") else {"Inference-Header-Content-Length": "0"}
    assert is_error(await here.client.post(path, content=body, headers=headers), 413)
    assert (await here.client.get("/v2/models/v/config")).json()["max_batch_size"] == MOST_BINARY_ROWS


async def test_a_wrong_method_names_those_that_work(here: World) -> None:
    """405 carries Allow, and on a path of predictions it is recorded."""
    response = await here.client.get("/v2/models/m/infer")
    assert is_error(response, 405)
    assert response.headers["allow"] == "POST"
    response = await here.client.post("/v2/health/live")
    assert is_error(response, 405)
    assert response.headers["allow"] == "GET, HEAD"
    (found,) = here.frames(Kind.REJECT)
    assert found.rows == 1


@pytest.mark.parametrize("path", ["/v3", "/v2/models", "/v2/models/m/infer/", "/v2/models/a%2Fb/c", "/%ff"])
async def test_an_unknown_path_is_an_error_in_json(here: World, path: str) -> None:
    """A path that means nothing is 404 in the one error shape."""
    assert is_error(await here.client.get(path), 404)


async def test_an_answer_names_who_gave_it(here: World) -> None:
    """Version, arm and prediction id are in headers and body; the client's own id comes back unchanged."""
    response = await here.infer(request(id="bestellung ü 7 \U0001f600"))
    body = response.json()
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-model-version"] == body["model_version"] == "1"
    assert response.headers["x-driftgate-arm"] == body["parameters"]["arm"] == "stable"
    assert response.headers["x-prediction-id"] == body["parameters"]["prediction_id"]
    assert body["model_name"] == "m"
    assert body["id"] == "bestellung ü 7 \U0001f600"
    assert [output["name"] for output in body["outputs"]] == ["label", "probabilities"]
    assert body["outputs"][1]["shape"] == [1, 2]


async def test_null_is_absent(here: World) -> None:
    """Fields that a client library writes as null are read as left out."""
    tensor = {**TENSOR, "parameters": None}
    response = await here.infer({"inputs": [tensor], "id": None, "parameters": None, "outputs": None})
    assert response.status_code == 200
    assert "id" not in response.json()


async def test_outputs_are_those_asked_for(here: World) -> None:
    """Only the outputs named are sent, in the order they were named."""
    wanted = [{"name": "probabilities"}, {"name": "label", "parameters": {"binary_data": False}}]
    response = await here.infer(request(outputs=wanted))
    assert [output["name"] for output in response.json()["outputs"]] == ["probabilities", "label"]


async def test_health_and_metadata(here: World) -> None:
    """Health names both facts, readiness decides the status, metadata is the signature."""
    get = here.client.get
    assert (await get("/v2/health/live")).json() == {"live": True, "ready": True}
    assert (await get("/v2/health/ready")).status_code == 200
    here.core.ready = False
    assert (await get("/v2/health/ready")).status_code == 503
    assert (await get("/v2/health/live")).status_code == 200
    assert (await get("/v2")).json()["extensions"] == [
        "binary_tensor_data",
        "classification",
        "model_configuration",
        "parameters",
        "schedule_policy",
        "statistics",
    ]
    assert (await get("/v2/models/m/ready")).json() == {"name": "m", "ready": True}
    assert (await get("/v2/models/m/versions/1/ready")).status_code == 200
    assert is_error(await get("/v2/models/m/versions/2/ready"), 404)
    assert is_error(await get("/v2/models/nobody"), 404)
    assert (await get("/v2/models/m")).json() == {
        "name": "m",
        "versions": ["1"],
        "platform": "onnx_onnxv1",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 30]}],
        "outputs": [
            {"name": "label", "datatype": "INT64", "shape": [-1]},
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, 2]},
        ],
    }


async def test_head_has_no_body(here: World) -> None:
    """HEAD answers as GET does, without its body."""
    response = await here.client.head("/v2/health/ready")
    assert response.status_code == 200
    assert response.content == b""


async def test_metrics_add_up(here: World) -> None:
    """What was answered and what was refused is in the exposition."""
    await here.infer(request())
    await here.infer(b"{")
    response = await here.client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'driftgate_requests_total{arm="stable",model="m",outcome="ok",version="1"} 1.0' in response.text
    assert 'driftgate_refusals_total{code="malformed",model="m"} 1.0' in response.text
    latency = 'driftgate_request_seconds_count{arm="stable",model="m",outcome="ok",version="1"} 1.0'
    assert latency in response.text
    response = await here.client.get("/metrics", headers={"accept": "application/openmetrics-text"})
    assert response.headers["content-type"] == OPEN_CONTENT_TYPE
    assert latency in response.text


async def test_our_own_mistake_costs_one_line(here: World) -> None:
    """What nobody foresaw is 500 in one line to the client and whole to the operator."""
    here.port.core = None  # type: ignore[assignment]  # the mistake
    response = await here.infer(request())
    assert is_error(response, 500)
    assert any("request-failed" in line for line in here.lines.written)


async def test_only_http_is_spoken(here: World) -> None:
    """A scope that is not HTTP is turned down."""
    with pytest.raises(NotImplementedError):
        await here.port({"type": "websocket"}, None, None)  # type: ignore[arg-type]  # never reached


async def test_a_client_that_leaves_is_not_answered(here: World) -> None:
    """When the client is gone before its body is whole, nothing is sent."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v2/models/m/infer", "headers": []}
    await here.port(scope, receive, send)
    assert sent == []


async def test_a_body_may_come_in_parts(here: World) -> None:
    """A body that arrives in pieces is read whole."""
    document = msgspec.json.encode(request())

    async def pieces() -> Any:
        yield document[:100]
        yield document[100:]

    response = await here.client.post("/v2/models/m/infer", content=pieces())
    assert response.status_code == 200
