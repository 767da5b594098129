"""A whole gateway whose graph takes long to open."""

from pathlib import Path

import httpx
import pytest

from tests.facts import until
from tests.system import graphs
from tests.system.load import ROW
from tests.system.rig import Gateway

pytestmark = pytest.mark.system


async def answered(gateway: Gateway) -> bytes:
    """What a row of the model gives."""
    async with httpx.AsyncClient(trust_env=False, timeout=60.0) as client:
        answer = await client.post(f"{gateway.http}/v2/models/m/infer", content=ROW)
    assert answer.status_code == 200, answer.text
    outputs: bytes = answer.json()["outputs"]
    return outputs


async def test_a_graph_that_opens_slowly_opens_from_its_copy_after_a_restart(tmp_path: Path) -> None:
    """The copy is made beside the workers, and what is opened from it answers the same."""
    gateway = Gateway(tmp_path, workers=1, cache={"optimised_above": 0.05})
    graphs.put(gateway.models, "m", 1, graphs.slow_to_load())
    try:
        await gateway.start()
        first = await answered(gateway)
        # Whoever makes it takes what others leave of the processors, which may be next to nothing.
        await until(lambda: "graph-optimised" in gateway.output(), "a copy is kept", seconds=600.0)
        published = gateway.get("/v1/models/m")["runs"]["1"]
        assert await gateway.stop() == 0
        await gateway.start()
        copied = gateway.get("/v1/models/m")["runs"]["1"]
        assert (published["copied"], copied["copied"]) == (False, True)
        assert copied["opening_seconds"] < published["opening_seconds"]
        assert await answered(gateway) == first
    finally:
        await gateway.close()
