"""Whole gateways whose registry goes away."""

import signal

import httpx

from tests.facts import until
from tests.system.load import ROW
from tests.system.rig import Gateway


async def test_a_restarted_worker_serves_what_was_served_while_the_registry_is_gone(
    gateway: Gateway,
) -> None:
    """Workers that begin without the registry answer by the route they find, and say where that is from."""
    gateway.models.rename(gateway.folder / "away")
    before = set(gateway.worker_pids())
    gateway.signal_worker(0, signal.SIGKILL)
    gateway.signal_worker(1, signal.SIGKILL)

    def again() -> bool:
        now = set(gateway.worker_pids())
        return len(now) == 2 and not now & before and gateway.shown("driftgate_workers_answering") == 2

    await until(again, "two new workers answer")
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(f"{gateway.http}/v2/models/m/infer", content=ROW)
    assert (answer.status_code, answer.headers["x-model-version"]) == (200, "2")
    assert "comes from the copy in cache/" in gateway.get("/v1/models/m")["faults"]["2"]
    await until(lambda: "version-from-copy" in gateway.output(), "the log says so")
    (gateway.folder / "away").rename(gateway.models)
    await until(lambda: not gateway.get("/v1/models/m")["faults"], "what is back is no fault")
