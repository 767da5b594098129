"""Vertex AI's prediction route."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.settings import GatewaySettings, PlatformSettings
from tests.gateway.protocols.test_sagemaker import binary
from tests.gateway.worlds import ROW, World, world

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
