"""Azure ML's scoring route."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.settings import GatewaySettings, PlatformSettings
from tests.gateway.worlds import ROW, World, world

CHOSEN = PlatformSettings(azure_scoring="/score", azure_liveness="/live", azure_readiness="/ready")


@pytest.fixture
async def azure(tmp_path: Path) -> AsyncIterator[World]:
    """A worker with Azure's routes."""
    async with world(tmp_path, GatewaySettings(platform=CHOSEN)) as made:
        yield made


@pytest.mark.parametrize(
    "data",
    [{"columns": [f"x[{index}]" for index in range(30)], "index": [0], "data": [ROW]}, [ROW], {"x": [ROW]}],
)
async def test_input_data_has_bare_predictions(azure: World, data: Any) -> None:
    """A table, rows or columns under input_data are answered without a wrapper."""
    response = await azure.post("/score", {"input_data": data})
    assert list(response.json()) == ["label", "probabilities"]
    assert list((await azure.post("/score", {"instances": [ROW]})).json()) == ["predictions"]


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"input_data": 7},
        {"input_data": [ROW], "inputs": [ROW]},
        {"input_data": {"data": 7}},
        {"input_data": {"data": [7]}},
    ],
)
async def test_what_does_not_fit_is_400(azure: World, document: Any) -> None:
    """What is no request is told in one line."""
    response = await azure.post("/score", document)
    assert response.status_code == 400, response.text
    assert list(response.json()) == ["error"]


async def test_probes(azure: World) -> None:
    """Liveness lives on while readiness does not."""
    azure.core.ready = False
    assert (await azure.client.get("/live")).status_code == 200
    assert (await azure.client.get("/ready")).status_code == 503
