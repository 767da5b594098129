"""Open Inference Protocol v2 with a released client, over a real socket."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

from registry_client import publish
from rollouts.route import Route
from tests.gateway.served import served
from tests.gateway.worlds import ROW, World
from tests.models import logistic


def loans() -> pd.DataFrame:
    """Reference rows with numeric and categorical columns."""
    generator = np.random.default_rng(3)
    return pd.DataFrame(
        {
            "salary": generator.normal(50_000, 9_000, 300).astype(np.float32),
            "age": generator.integers(20, 80, 300).astype(np.float32),
            "car": generator.choice(["none", "small", "großer Wagen"], 300),
        }
    )


def pipeline(frame: pd.DataFrame) -> Pipeline:
    """A fitted classifier over those columns."""
    columns = ColumnTransformer(
        [
            ("numbers", StandardScaler(), ["salary", "age"]),
            ("words", OneHotEncoder(handle_unknown="ignore"), ["car"]),
        ]
    )
    labels = ((frame["salary"] > 50_000) ^ (frame["car"] == "none")).astype(int)
    return Pipeline([("columns", columns), ("model", LogisticRegression())]).fit(frame, labels)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with a pushed pipeline `loans` and the graph `m`."""
    frame = loans()

    async def prepare(world: World) -> None:
        publish(pipeline(frame), name="loans", reference=frame, registry=world.registry)
        await world.publish("m", "1", logistic())
        for name in ("loans", "m"):
            await world.serve(Route(model=name, revision=1, stable="1"))
        world.core.ready = True

    with served(tmp_path_factory.mktemp("served"), prepare) as place:
        yield place


@pytest.fixture
def client(url: str) -> Iterator[InferenceServerClient]:
    """Tritonclient's HTTP client."""
    connected = InferenceServerClient(url)
    yield connected
    connected.close()


def tensors(frame: pd.DataFrame, *, binary: bool) -> list[Any]:
    """One input per column."""
    made = []
    for name in frame.columns:
        column = frame[[name]].to_numpy()
        words = column.dtype == object
        tensor = InferInput(name, list(column.shape), "BYTES" if words else "FP32")
        tensor.set_data_from_numpy(column if words else column.astype(np.float32), binary_data=binary)
        made.append(tensor)
    return made


@pytest.mark.parametrize("binary", [False, True])
def test_a_pushed_pipeline_answers_as_the_original(client: InferenceServerClient, *, binary: bool) -> None:
    """A pipeline with categorical columns, called in JSON and in binary, gives scikit-learn's own answers."""
    frame = loans()
    sample, original = frame[:40], pipeline(frame)
    outputs = [output["name"] for output in client.get_model_metadata("loans")["outputs"]]
    wanted = [InferRequestedOutput(name, binary_data=binary) for name in outputs]
    result = client.infer("loans", tensors(sample, binary=binary), outputs=wanted, request_id="ü 1")
    assert result.get_response()["id"] == "ü 1"
    labels = result.as_numpy(outputs[0]).ravel().tolist()
    assert [int(label) for label in labels] == original.predict(sample).tolist()
    assert np.allclose(result.as_numpy(outputs[1]), original.predict_proba(sample), atol=1e-4)


def test_the_client_finds_its_way(client: InferenceServerClient) -> None:
    """Liveness, readiness and metadata are what the client expects."""
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("m")
    assert client.is_model_ready("m", "1")
    assert not client.is_model_ready("m", "2")
    assert not client.is_model_ready("nobody")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]


def test_without_outputs_the_client_gets_binary(client: InferenceServerClient) -> None:
    """A client that names no outputs asks for all in binary, and reads them."""
    tensor = InferInput("x", [1, 30], "FP32")
    tensor.set_data_from_numpy(np.array([ROW], np.float32))
    result = client.infer("m", [tensor], model_version="1")
    assert result.as_numpy("probabilities").shape == (1, 2)
    assert result.get_response()["parameters"]["arm"] == "pinned"


def test_the_client_reads_our_errors(client: InferenceServerClient) -> None:
    """What is refused reaches the client's exception as our one line."""
    tensor = InferInput("x", [1, 29], "FP32")
    tensor.set_data_from_numpy(np.zeros((1, 29), np.float32), binary_data=False)
    with pytest.raises(InferenceServerException, match="has shape"):
        client.infer("m", [tensor])


@pytest.mark.parametrize("missing", [[0], [1, 29]])
def test_a_missing_number_travels_in_json(url: str, missing: list[int]) -> None:
    """What the client writes for NaN in JSON, which is no JSON, means what it means in binary."""
    rows = np.array([ROW, ROW], np.float32)
    rows[1, missing] = np.nan
    answers = []
    with InferenceServerClient(url) as client:
        for binary in (True, False):
            given = InferInput("x", [2, 30], "FP32")
            given.set_data_from_numpy(rows, binary_data=binary)
            answer = client.infer("m", [given]).as_numpy("probabilities")
            assert answer is not None
            answers.append(answer)
    assert np.array_equal(answers[0], answers[1], equal_nan=True)
    assert np.isnan(answers[1][1]).all()
