"""More requests than can be answered, each with a deadline: what is answered stays as much, and in time."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from loadtests.overload import LEAST_SHARE, overload
from tests.counts import count
from tests.system.graphs import WIDTH, put, slow
from tests.system.rig import Gateway

pytestmark = pytest.mark.system

ROWS = 300
DEADLINE = 1.0


async def test_overload_keeps_goodput(tmp_path: Path) -> None:
    """At three times the peak nine tenths of it are answered, in time; the rest is told at once."""
    gateway = Gateway(tmp_path, workers=1, runs={"pool": 1})
    put(gateway.models, "m", 1, slow())
    tensor = {"name": "X", "shape": [ROWS, WIDTH], "datatype": "FP32", "data": [0.0] * (ROWS * WIDTH)}
    try:
        await gateway.start()
        url, body = f"{gateway.http}/v2/models/m/infer", msgspec.json.encode({"inputs": [tensor]})
        seconds = count(2, 10)
        found = await asyncio.to_thread(
            overload, url, body, times=3.0, deadline=DEADLINE, seconds=float(seconds)
        )
        assert found.served >= count(70, round(100 * LEAST_SHARE)) / 100 * found.peak, found
        assert found.p99 <= found.deadline, found
        assert found.refused > found.peak, found
        assert gateway.total("driftgate_refusals_total", code="too-late") > 0
        assert await gateway.stop() == 0
    finally:
        await gateway.close()
