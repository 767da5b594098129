"""KServe v1 and TensorFlow Serving: rows, columns, labels, events."""

import base64
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from prediction_log.record import Kind
from tests.gateway.worlds import ROW, World
from tests.models import identity, reciprocal, renamed, vague

PREDICT = "/v1/models/m:predict"
STRUCTURED = "application/cloudevents+json"
AROUND = {"specversion": "1.0", "id": "ü-7", "source": "shop", "type": "order"}
EVENT = {"ce_specversion": "1.0", "ce_id": "e-7", "ce_source": "shop", "ce_type": "order"}


async def three(here: World) -> None:
    """A model of a number, a text and a whole number."""
    await here.add(
        "c", identity([("x", "FP32", [None, 1]), ("s", "BYTES", [None, 1]), ("n", "INT64", [None, 1])])
    )


async def test_rows_are_answered_by_rows(here: World) -> None:
    """Each instance has its prediction, an object where there are several outputs."""
    answer = (await here.post(PREDICT, {"instances": [ROW, ROW]})).json()
    assert [list(row) for row in answer["predictions"]] == [["label", "probabilities"]] * 2


async def test_an_output_of_unknown_shape_comes_apart_as_it_comes(here: World) -> None:
    """Rows are answered by rows where a graph says nothing of its output, though it passes for a scalar."""
    await here.add("v", vague())
    for rows in ([[1, 2]], [[1, 2], [3, 4], [5, 6]]):
        answer = await here.post("/v1/models/v:predict", {"instances": rows})
        assert answer.json() == {"predictions": rows}


async def test_columns_are_answered_by_columns(here: World) -> None:
    """Whole tensors, bare or named, have whole tensors as their answer."""
    bare = (await here.post(PREDICT, {"inputs": [ROW]})).json()
    named = (await here.post(PREDICT, {"inputs": {"x": [ROW]}})).json()
    assert bare == named
    assert list(bare["outputs"]) == ["label", "probabilities"]


async def test_one_output_is_bare(here: World) -> None:
    """A model of one input and one output takes and gives values without names."""
    await here.add("r", reciprocal())
    assert (await here.post("/v1/models/r:predict", {"instances": [2, [4]][:1]})).json() == {
        "predictions": [[0.5]]
    }
    assert (await here.post("/v1/models/r:predict", {"inputs": [[4.0]]})).json() == {"outputs": [[0.25]]}
    assert (await here.post("/v1/models/r:predict", {"instances": [0]})).json() == {"predictions": [[None]]}
    for missing in (b"null", b"NaN"):
        body = b'{"instances": [2, %b]}' % missing
        assert (await here.post("/v1/models/r:predict", body)).json() == {"predictions": [[0.5], [None]]}


async def test_named_tensors_and_text_in_base64(here: World) -> None:
    """Rows may name their inputs, write text as b64, and whole numbers stay exact."""
    await three(here)
    rows = [{"x": 1, "s": "a", "n": 2**53 + 1}, {"x": 2.5, "s": {"b64": "w7w="}, "n": -1}]
    answer = (await here.post("/v1/models/c:predict", {"instances": rows})).json()
    assert answer["predictions"][0] == {"x_out": [1.0], "s_out": ["a"], "n_out": [2**53 + 1]}
    assert answer["predictions"][1]["s_out"] == ["ü"]
    columns = {name: [[row[name]] for row in rows] for name in ("x", "s", "n")}
    assert (await here.post("/v1/models/c:predict", {"inputs": columns})).json()["outputs"]["n_out"] == [
        [2**53 + 1],
        [-1],
    ]


@pytest.mark.parametrize(
    "document",
    [
        {"instances": 5},
        {"instances": []},
        {"instances": [ROW], "inputs": [ROW]},
        {"instances": [ROW[:29]]},
        {"instances": [ROW, ROW[:29]]},
        {"instances": [ROW, 1]},
        {"instances": [["0.1"] * 30]},
        {"instances": [[[0.1]] * 30]},
        {"instances": [{"y": ROW}]},
        {"instances": [{"x": ROW}, ROW]},
        {"instances": [{"x": ROW}, {"x": ROW, "y": 1}]},
        {"instances": [ROW], "signature_name": "other"},
        {"instances": [ROW], "signature_name": 7},
        {"inputs": {"y": [ROW]}},
        {"inputs": {}},
        {"inputs": 7},
        {"inputs": None},
    ],
)
async def test_what_does_not_fit_is_400(here: World, document: Any) -> None:
    """What does not fit the protocol or the signature is told in one line."""
    response = await here.post(PREDICT, document)
    assert response.status_code == 400, response.text
    assert list(response.json()) == ["error"]


@pytest.mark.parametrize("text", [{"b64": "!"}, {"b64": 7}, {"b64": "", "x": 1}, 7, None])
async def test_text_is_text(here: World, text: Any) -> None:
    """A string is a string, or its bytes in base64."""
    await here.add("t", identity([("s", "BYTES", [None])]))
    assert (await here.post("/v1/models/t:predict", {"instances": [text]})).status_code == 400


async def test_an_output_named_bytes_is_written_in_base64(here: World) -> None:
    """As in TensorFlow Serving an output whose name ends in _bytes is {"b64": ...}."""
    await here.add("t", renamed())
    answer = (await here.post("/v1/models/t:predict", {"instances": ["ü", {"b64": "/w=="}]})).json()
    assert answer == {"predictions": [{"b64": "w7w="}, {"b64": "/w=="}]}


async def test_the_colon_may_be_escaped(here: World) -> None:
    """%3Apredict is :predict, and nothing is no name; a known word that is not offered is 501."""
    assert (await here.post("/v1/models/m%3Apredict", {"instances": [ROW]})).status_code == 200
    assert (await here.post("/v1/models/m:explain", {"instances": [ROW]})).status_code == 501
    assert (await here.post("/v1/models/:predict", {"instances": [ROW]})).status_code == 404


async def test_versions_and_labels_are_pinned(here: World) -> None:
    """A version, or the label of one, is asked for itself; a label that names nothing is 404."""
    for path in ("versions/1", "labels/stable"):
        answer = await here.post(f"/v1/models/m/{path}:predict", {"instances": [ROW]})
        assert answer.headers["x-driftgate-arm"] == "pinned"
    for path in ("versions/9", "versions/abc", "labels/candidate", "labels/other"):
        assert (await here.post(f"/v1/models/m/{path}:predict", {"instances": [ROW]})).status_code == 404
    assert here.frames(Kind.REJECT)[0].rows == 4


async def test_an_event_is_answered_by_an_event(here: World) -> None:
    """A CloudEvent in binary mode comes back as one, and its id is recorded; half of one is refused."""
    response = await here.post(PREDICT, {"instances": [ROW]}, **EVENT)
    assert response.headers["ce-specversion"] == "1.0"
    assert response.headers["ce-id"] == response.headers["x-prediction-id"]
    assert response.headers["ce-causationid"] == "e-7"
    assert response.headers["ce-source"] == "io.kserve.inference.m"
    assert response.headers["ce-type"] == "io.kserve.inference.response"
    assert datetime.fromisoformat(response.headers["ce-time"]).tzinfo is UTC
    assert here.frames(Kind.PREDICTION)[0].strings("client_id").tolist() == [b"e-7"]
    assert "ce-id" not in (await here.post(PREDICT, {"instances": [ROW]})).headers
    for broken in ({"ce_id": "e-7"}, {**EVENT, "ce_specversion": "2"}, {**EVENT, "ce_type": ""}):
        assert (await here.post(PREDICT, {"instances": [ROW]}, **broken)).status_code == 400


async def test_an_event_around_its_data_comes_back_so(here: World) -> None:
    """A CloudEvent in structured mode is answered by one in structured mode; its data may be in base64."""
    plain = (await here.post(PREDICT, {"instances": [ROW]})).json()
    data = {"instances": [ROW]}
    coded = base64.b64encode(msgspec.json.encode(data)).decode()
    forms: list[dict[str, Any]] = [{"data": data}, {"data_base64": coded, "time": "2026-01-01T00:00:00Z"}]
    for carried in forms:
        response = await here.post(PREDICT, {**AROUND, **carried}, content_type=STRUCTURED)
        assert response.headers["content-type"] == STRUCTURED
        event = response.json()
        assert event["data"] == plain
        assert event["id"] == response.headers["x-prediction-id"]
        assert (event["causationid"], event["source"]) == ("ü-7", "io.kserve.inference.m")
        assert event["datacontenttype"] == "application/json"
        assert here.frames(Kind.PREDICTION)[0].strings("client_id").tolist()[-1] == "ü-7".encode()


@pytest.mark.parametrize(
    "event",
    [
        AROUND,
        {**AROUND, "data": {"instances": [ROW]}, "data_base64": "e30="},
        {**AROUND, "data": {}},
        {**AROUND, "data": None},
        {**AROUND, "data_base64": "%"},
        {**AROUND, "data": {"instances": [ROW]}, "specversion": "2"},
        {**AROUND, "data": {"instances": [ROW]}, "id": ""},
        {"data": {"instances": [ROW]}},
        [],
    ],
)
async def test_half_an_event_is_refused(here: World, event: Any) -> None:
    """What is said to be an event and is none, or carries no request, is 400; a batch of them is 415."""
    assert (await here.post(PREDICT, event, content_type=STRUCTURED)).status_code == 400
    batch = await here.post(PREDICT, [event], content_type="application/cloudevents-batch+json")
    assert batch.status_code == 415


@pytest.mark.parametrize(
    ("shape", "instances", "predictions"),
    [
        ([1, 2], [[1, 2]], [[1.0, 2.0]]),
        ([1, 2], [{"a": [1, 2]}], [[1.0, 2.0]]),
        ([1, 2], [[[1, 2]]], [[1.0, 2.0]]),
        ([1, 1], [1], [[1.0]]),
        ([2, 2], [[1, 2], [3, 4]], [[1.0, 2.0], [3.0, 4.0]]),
        ([2, 2], [[[1, 2], [3, 4]]], [[[1.0, 2.0], [3.0, 4.0]]]),
        ([2, 2], [[1, 2]], None),
        ([1, 2], [[1, 2], [3, 4]], None),
        ([1, 2], [], None),
        ([2], [[]], None),
    ],
)
async def test_rows_make_up_tensors_of_a_fixed_size(
    here: World, shape: list[int], instances: list[Any], predictions: Any
) -> None:
    """Without a batch axis instances are put together as TensorFlow Serving does, or one is all of it."""
    await here.add("f", identity([("a", "FP32", shape)]))
    answer = await here.post("/v1/models/f:predict", {"instances": instances})
    assert answer.status_code == (400 if predictions is None else 200), answer.text
    assert answer.json().get("predictions") == predictions


async def test_a_model_without_rows_takes_one_at_a_time(here: World) -> None:
    """Where the signature has no batch axis a request is one row."""
    await here.add("f", identity([("a", "FP32", [2])]))
    assert (await here.post("/v1/models/f:predict", {"instances": [[1, 2]]})).json() == {
        "predictions": [[1.0, 2.0]]
    }
    assert (await here.post("/v1/models/f:predict", {"instances": [[1, 2], [3, 4]]})).status_code == 400
    assert (await here.post("/v1/models/f:predict", {"inputs": [1, 2]})).json() == {"outputs": [1.0, 2.0]}
    await here.add("s", identity([("a", "FP32", [])]))
    assert (await here.post("/v1/models/s:predict", {"instances": [5]})).json() == {"predictions": [5.0]}
    assert (await here.post("/v1/models/s:predict", {"inputs": 5})).json() == {"outputs": 5.0}
    assert (await here.post("/v1/models/s:predict", {"inputs": [5]})).status_code == 400
