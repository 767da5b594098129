"""What every protocol promises, whatever its words: one core, one log, its own errors."""

import tracemalloc
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from pkgutil import resolve_name
from types import MappingProxyType
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.bulk import MOST_LISTS
from gateway.errors import Refusal, RunError, TooLargeError
from gateway.model import LoadedModel
from gateway.protocols.codec import PLATFORM_PROTOCOLS, PROTOCOLS, Answer, Codec, Headers
from gateway.settings import GatewaySettings, PlatformSettings
from prediction_log.record import Kind, Outcome
from tests.counts import count
from tests.gateway.protocols.loading import opened
from tests.gateway.worlds import ROW, World, request, world
from tests.models import identity, lookup

CHOSEN = PlatformSettings(vertex_predict="/vertex:predict", azure_scoring="/score")
PLACES = {getattr(CHOSEN, name): target for name, target in PLATFORM_PROTOCOLS.items()}
PATHS: Mapping[str, str] = MappingProxyType({**PROTOCOLS, **PLACES})
CODECS = sorted(set(PATHS.values()))
GOOD: Mapping[str, Any] = MappingProxyType(
    {
        "gateway.protocols.open_inference:CODEC": request(),
        "gateway.protocols.kserve_v1:CODEC": {"instances": [ROW]},
        "gateway.protocols.sagemaker:CODEC": {"inputs": [ROW]},
        "gateway.protocols.vertex:CODEC": {"instances": [ROW]},
        "gateway.protocols.azure_ml:CODEC": {"input_data": [ROW]},
    }
)
FAILING: Mapping[str, Any] = MappingProxyType(
    {
        "gateway.protocols.open_inference:CODEC": {
            "inputs": [{"name": "keys", "datatype": "INT64", "shape": [1], "data": [9]}]
        },
        "gateway.protocols.kserve_v1:CODEC": {"instances": [9]},
        "gateway.protocols.sagemaker:CODEC": {"inputs": [9]},
        "gateway.protocols.vertex:CODEC": {"instances": [9]},
        "gateway.protocols.azure_ml:CODEC": {"input_data": [9]},
    }
)


def of(path: str, model: str = "m", version: str = "1") -> str:
    """A path of the table with its names filled in."""
    return path.format(model=model, version=version, label="stable")


def shaped(response: httpx.Response, path: str) -> bool:
    """Whether an error is in the shape of this path's protocol."""
    wanted = ["error_code", "message"] if path == "/invocations" else ["error"]
    return list(response.json()) == wanted and response.headers["content-type"] == "application/json"


@pytest.fixture
async def everywhere(tmp_path: Path) -> AsyncIterator[World]:
    """A worker whose platform paths are set, with the one model `m`."""
    async with world(tmp_path, GatewaySettings(platform=CHOSEN)) as made:
        yield made


def test_every_codec_has_its_example() -> None:
    """Whoever adds a protocol adds a request to this suite."""
    assert set(GOOD) == set(FAILING) == set(CODECS)


@pytest.mark.parametrize("path", PATHS)
async def test_an_answer_is_counted_recorded_and_named(everywhere: World, path: str) -> None:
    """Each path answers through the one core: a row in the log, a count, and the headers that say who."""
    response = await everywhere.post(of(path), GOOD[PATHS[path]])
    assert response.status_code == 200, response.text
    assert response.headers["x-model-version"] == "1"
    assert response.headers["x-driftgate-arm"] in {"stable", "pinned"}
    (found,) = everywhere.frames(Kind.PREDICTION)
    assert found.array("id").tobytes().hex() == response.headers["x-prediction-id"]
    assert everywhere.counted("driftgate_requests_total", outcome="ok") == 1


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"{}", b"null", b"\xff", b"[" * 10_000, b'{"inputs":' + b"[" * 10_000]
)
async def test_a_refusal_has_the_protocols_shape_and_is_in_the_log(
    everywhere: World, path: str, body: bytes
) -> None:
    """Whatever comes instead of a request is a 400 in the protocol's words, and a reject."""
    response = await everywhere.post(of(path), body)
    assert response.status_code == 400, response.text
    assert shaped(response, path)
    (found,) = everywhere.frames(Kind.REJECT)
    assert found.array("outcome").tolist() == [Outcome.REJECTED]
    assert found.array("id").tobytes().hex() == response.headers["x-prediction-id"]


@pytest.mark.parametrize("path", [path for path in PATHS if "{model}" in path])
async def test_an_unknown_model_is_not_found(everywhere: World, path: str) -> None:
    """A model that no route names is a 404 in the protocol's words, and a reject."""
    response = await everywhere.post(of(path, "nobody"), GOOD[PATHS[path]])
    assert response.status_code == 404
    assert shaped(response, path)
    assert everywhere.frames(Kind.REJECT)[0].rows == 1


@pytest.mark.parametrize("path", PATHS)
async def test_a_wrong_method_is_refused(everywhere: World, path: str) -> None:
    """Predictions are POST; anything else is 405 with Allow."""
    response = await everywhere.client.get(of(path))
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"
    assert shaped(response, path)


@pytest.mark.parametrize("path", PATHS)
async def test_a_model_that_fails_is_500_in_one_line(tmp_path: Path, path: str) -> None:
    """A failing run is told in the protocol's words, without a traceback."""
    async with world(tmp_path, GatewaySettings(platform=CHOSEN)) as here:
        here.core.lanes.table = MappingProxyType({})
        await here.add("k", lookup())
        response = await here.post(of(path, "k"), FAILING[PATHS[path]])
        assert response.status_code == 500, response.text
        assert shaped(response, path)
        assert "Traceback" not in response.text


@pytest.mark.parametrize("path", [path for path in PATHS if "{model}" not in path])
async def test_paths_without_a_model_ask_the_default_one(tmp_path: Path, path: str) -> None:
    """The only model is the default; of several a setting chooses; without one the request is refused."""
    settings = GatewaySettings(platform=msgspec.structs.replace(CHOSEN, default_model="m"))
    for chosen, models, status in (
        (CHOSEN, 0, 404),
        (CHOSEN, 1, 200),
        (CHOSEN, 2, 400),
        (settings.platform, 2, 200),
    ):
        folder = tmp_path / f"{status}-{models}-{chosen.default_model}"
        async with world(folder, GatewaySettings(platform=chosen)) as here:
            if models == 0:
                here.core.lanes.table = MappingProxyType({})
            if models == 2:
                await here.add("other", lookup())
            response = await here.post(path, GOOD[PATHS[path]])
            assert response.status_code == status, response.text
            assert status == 200 or shaped(response, path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
NAMED = st.dictionaries(st.sampled_from(["x", "s", "b64", "x[0]"]), JSON, max_size=3)
FIELDS = ("inputs", "instances", "dataframe_split", "dataframe_records", "input_data", "params", "parameters")
SPLITS = st.fixed_dictionaries(
    {},
    optional={
        "columns": st.lists(st.sampled_from(["x", "s", "z"]) | JSON, max_size=3) | JSON,
        "data": st.lists(st.lists(JSON, max_size=3), max_size=3) | JSON,
    },
)
VALUES = JSON | st.lists(JSON, max_size=3) | st.lists(NAMED, max_size=3) | NAMED | SPLITS
DOCUMENTS = st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=3)
TYPES = st.sampled_from(
    [
        b"",
        b"application/json",
        b"text/csv",
        b"application/json; charset=utf-8",
        b"application/octet-stream;json-header-size=3",
        b"application/vnd.vertex-ai-triton.binary+json;json-header-size=99999999999999999999",
        b"application/octet-stream;json-header-size=\xb2",
        b"application/octet-stream",
    ]
)
HEADERS: st.SearchStrategy[Headers] = st.fixed_dictionaries(
    {},
    optional={
        b"content-type": TYPES | st.binary(max_size=12),
        b"inference-header-content-length": st.sampled_from([b"0", b"2", b"-1", b"9" * 30]),
        b"ce-id": st.binary(max_size=3),
        b"ce-type": st.binary(max_size=3),
        b"x-amzn-sagemaker-custom-attributes": st.binary(max_size=3),
    },
)
BODIES = st.binary(max_size=64) | DOCUMENTS.map(msgspec.json.encode) | st.text(max_size=64).map(str.encode)


@pytest.fixture(scope="module", params=[("x", "s"), ("x",), ("s",)], ids="-".join)
def a_model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    """A model of a number, of a text, or of both."""
    kinds = {"x": ("x", "FP32", [None, 1]), "s": ("s", "BYTES", [None, 1])}
    return opened(tmp_path_factory.mktemp("model"), identity([kinds[name] for name in request.param]))


MANY = MOST_LISTS + 1
HUGE = (
    b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1,1],"data":[' + b"[]," * MANY + b"[]]}]}",
    b'{"inputs":[],"parameters":{"a":[' + b"{}," * MANY + b"{}]}}",
    b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1,1],"data":[1]}],"parameters":{"a":['
    + b"[]," * MANY
    + b"[]]}}",
    b'{"instances":[' + b"[]," * MANY + b"[]]}",
    b'{"input_data":[' + b"{}," * MANY + b"{}]}",
    b'{"dataframe_records":[' + b"{}," * MANY + b"{}]}",
)


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("body", HUGE, ids=range(len(HUGE)))
def test_a_body_is_not_turned_into_millions_of_lists(a_model: LoadedModel, name: str, body: bytes) -> None:
    """What would cost hundreds of times its bytes is refused before it is read."""
    tracemalloc.start()
    try:
        with pytest.raises(TooLargeError):
            resolve_name(name).decode(a_model, {}, body)
        assert tracemalloc.get_traced_memory()[1] < 2 * len(body)
    finally:
        tracemalloc.stop()


def test_a_table_is_not_turned_into_millions_of_rows(a_model: LoadedModel) -> None:
    """The same holds for CSV."""
    body = b"x\n" + b"1\n" * MANY
    with pytest.raises(TooLargeError):
        resolve_name("gateway.protocols.sagemaker:CODEC").decode(
            a_model, {b"content-type": b"text/csv"}, body
        )


def test_rows_that_leave_cells_out_are_not_filled_up_by_the_million(a_model: LoadedModel) -> None:
    """Records that each name a column of their own are refused before a table is made of them."""
    body = msgspec.json.encode({"dataframe_records": [{f"c{place}": 1} for place in range(2000)]})
    with pytest.raises(TooLargeError, match="leave out"):
        resolve_name("gateway.protocols.sagemaker:CODEC").decode(a_model, {}, body)


@pytest.mark.parametrize("name", CODECS)
@settings(max_examples=count(50, 7000))  # of five codecs and three models: 10^5 in all under `make torture`
@given(body=BODIES, headers=HEADERS)
@example(body=b'{"instances":[' + b"[" * 10_000, headers={})
@example(body=b'{"inputs":' + b'{"a":' * 10_000, headers={})
@example(body=b'{"instances":[1e999]}', headers={})
@example(body=b'{"instances":[' + b"9" * 5000 + b"]}", headers={})
@example(body=b"x\n" + b"9" * 5000, headers={b"content-type": b"text/csv"})
@example(body=b'x\n"' + b"9" * 200_000, headers={b"content-type": b"text/csv"})
@example(body=b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1099511627776,1],"data":[1]}]}', headers={})
def test_any_request_is_decoded_or_refused(
    a_model: LoadedModel, name: str, body: bytes, headers: Headers
) -> None:
    """Whatever comes, decoding gives tensors that fit the signature, which can be answered, or a Refusal."""
    codec: Codec = resolve_name(name)
    try:
        decoded = codec.decode(a_model, headers, body)
    except Refusal:
        return
    assert {array.shape for array in decoded.feeds.values()} == {(decoded.rows, 1)}
    try:
        outputs = a_model.session.run(decoded.feeds)
    except (Refusal, RunError):
        return
    told, written = codec.encode(decoded, Answer(a_model, "stable", "0" * 32, outputs))
    assert told[0][0] == b"content-type"
    assert written
