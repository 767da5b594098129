"""Pages of the Open Inference Protocol."""

from collections.abc import Iterator

import pytest
from tritonclient.http import InferenceServerClient

from rollouts.route import Route
from tests.gateway.served import served
from tests.gateway.worlds import ROW, World, request
from tests.models import identity, logistic, lookup


async def test_a_configuration_is_the_signature(here: World) -> None:
    """Dimensions stand without the batch axis where there is one, else whole; no input is optional."""
    config = (await here.client.get("/v2/models/m/config")).json()
    assert config["input"] == [{"name": "x", "data_type": "TYPE_FP32", "dims": [30], "optional": False}]
    assert config["output"][1] == {"name": "probabilities", "data_type": "TYPE_FP32", "dims": [2]}
    assert config["max_batch_size"] == (64 << 20) // 120
    await here.add("f", identity([("a", "BYTES", [2])]))
    fixed = (await here.client.get("/v2/models/f/versions/1/config")).json()
    assert fixed["max_batch_size"] == 0
    assert fixed["input"] == [{"name": "a", "data_type": "TYPE_STRING", "dims": [2], "optional": False}]
    assert (await here.client.get("/v2/models/nobody/config")).status_code == 404


async def test_configured_dimensions_are_never_empty(here: World) -> None:
    """A vector is configured as the column that requests may send it as, for clients refuse to see none."""
    await here.add("v", identity([("a", "FP32", [None])]))
    vector = (await here.client.get("/v2/models/v/config")).json()
    assert vector["input"][0]["dims"] == [1]
    assert vector["output"][0]["dims"] == [1]
    assert vector["max_batch_size"] > 0
    column = {"name": "a", "datatype": "FP32", "shape": [2, 1], "data": [1, 2]}
    answer = (await here.infer({"inputs": [column]}, model="v")).json()
    assert answer["outputs"][0]["data"] == [1, 2]


async def test_statistics_count_requests_rows_and_time(here: World) -> None:
    """Answers, rows and failures are counted by version; the parts of the time make up its sum."""
    await here.add("k", lookup())
    await here.infer(request([ROW, ROW]))
    await here.infer(request([ROW]))
    keys = {"name": "keys", "datatype": "INT64", "shape": [1], "data": [9]}
    await here.infer({"inputs": [keys]}, model="k")
    (stats,) = (await here.client.get("/v2/models/m/stats")).json()["model_stats"]
    assert (stats["name"], stats["version"]) == ("m", "1")
    assert (stats["inference_count"], stats["execution_count"]) == (3, 2)
    parts = stats["inference_stats"]
    stages = ("queue", "compute_input", "compute_infer", "compute_output")
    assert parts["success"] == {"count": 2, "ns": sum(parts[stage]["ns"] for stage in stages)}
    assert parts["fail"]["count"] == 0
    everything = (await here.client.get("/v2/models/stats")).json()["model_stats"]
    assert [one["name"] for one in everything] == ["k", "m"]
    assert everything[0]["inference_stats"]["fail"]["count"] == 1
    assert (await here.client.get("/v2/models/m/versions/1/stats")).json()["model_stats"] == [stats]
    assert (await here.client.get("/v2/models/m/versions/9/stats")).status_code == 404


@pytest.fixture
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InferenceServerClient]:
    """Tritonclient's HTTP client of a server with the model `m`."""

    async def prepare(world: World) -> None:
        await world.publish("m", "1", logistic())
        await world.serve(Route(model="m", revision=1, stable="1"))

    with served(tmp_path_factory.mktemp("served"), prepare) as place:
        connected = InferenceServerClient(place)
        yield connected
        connected.close()


def test_a_released_client_reads_both(client: InferenceServerClient) -> None:
    """Tritonclient reads configuration and statistics."""
    assert client.get_model_config("m")["name"] == "m"
    assert client.get_inference_statistics("m", "1")["model_stats"][0]["version"] == "1"
    assert client.get_inference_statistics()["model_stats"][0]["name"] == "m"
