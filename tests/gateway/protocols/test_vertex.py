"""Vertex AI's prediction route."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.settings import GatewaySettings, PlatformSettings
from tests.gateway.protocols.test_sagemaker import binary
from tests.gateway.worlds import ROW, World, request, world
from tests.models import identity

PREDICT = "/v1/endpoints/7/deployedModels/8:predict"
BINARY = "application/vnd.vertex-ai-triton.binary+json"


@pytest.fixture
async def vertex(tmp_path: Path) -> AsyncIterator[World]:
    """A worker as Vertex AI starts one."""
    chosen = PlatformSettings(vertex_predict=PREDICT, vertex_health="/v1/endpoints/7/deployedModels/8")
    async with world(tmp_path, GatewaySettings(platform=chosen)) as made:
        yield made


async def test_instances_have_predictions(vertex: World) -> None:
    """Each instance has one prediction; parameters are taken; the health route answers."""
    response = await vertex.post(PREDICT, {"instances": [ROW, ROW], "parameters": {"a": 1}})
    assert len(response.json()["predictions"]) == 2
    assert (await vertex.client.get("/v1/endpoints/7/deployedModels/8")).status_code == 200


async def test_instances_make_up_a_tensor_of_a_fixed_size(tmp_path: Path) -> None:
    """A model without a batch axis has a prediction for each instance of which its tensor is made."""
    chosen = PlatformSettings(vertex_predict=PREDICT, default_model="f")
    async with world(tmp_path, GatewaySettings(platform=chosen)) as here:
        await here.add("f", identity([("a", "FP32", [2, 2])]))
        response = await here.post(PREDICT, {"instances": [[1, 2], [3, 4]]})
        assert response.json() == {"predictions": [[1.0, 2.0], [3.0, 4.0]]}


@pytest.mark.parametrize(
    "document", [{}, {"instances": {}}, {"instances": []}, {"inputs": [ROW]}, {"instances": None}]
)
async def test_without_instances_it_is_400(vertex: World, document: Any) -> None:
    """A request is a list of instances."""
    response = await vertex.post(PREDICT, document)
    assert response.status_code == 400
    assert list(response.json()) == ["error"]


async def test_raw_predict_in_binary(vertex: World) -> None:
    """A binary body by Vertex's content type is the Open Inference Protocol's, both ways."""
    body, size = binary(parameters={"binary_data_output": True})
    response = await vertex.post(PREDICT, body, content_type=f"{BINARY};json-header-size={size}")
    assert response.headers["content-type"].startswith(f"{BINARY};json-header-size=")


@pytest.mark.parametrize("path", ["/v1/endpoints/7/deployedModels/8:predict", "/", "/serve"])
async def test_health_and_predictions_may_share_a_path(tmp_path: Path, path: str) -> None:
    """One path for the health route and the prediction route is read as the one, posted to as the other."""
    chosen = PlatformSettings(vertex_predict=path, vertex_health=path)
    async with world(tmp_path, GatewaySettings(platform=chosen)) as here:
        assert (await here.client.get(path)).text == "\n"
        assert (await here.client.head(path)).status_code == 200
        assert len((await here.post(path, {"instances": [ROW]})).json()["predictions"]) == 1
        assert (await here.client.put(path)).status_code == 405


async def test_a_prediction_route_leaves_the_page_on_its_path(tmp_path: Path) -> None:
    """Where predictions are sent to `/`, liveness is read there as before."""
    async with world(tmp_path, GatewaySettings(platform=PlatformSettings(vertex_predict="/"))) as here:
        assert (await here.client.get("/")).json() == {"status": "alive"}
        assert (await here.post("/", {"instances": [ROW]})).status_code == 200


async def test_routes_that_are_a_protocols_own_stay_its_own(tmp_path: Path) -> None:
    """What Triton's users give Vertex AI as its routes is answered in Triton's protocol."""
    chosen = PlatformSettings(vertex_predict="/v2/models/m/infer", vertex_health="/v2/health/ready")
    async with world(tmp_path, GatewaySettings(platform=chosen)) as here:
        assert (await here.client.get("/v2/health/ready")).json() == {"live": True, "ready": True}
        assert (await here.infer(request())).json()["model_name"] == "m"
