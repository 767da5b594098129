"""Whole gateways whose registry goes away."""

import signal
from pathlib import Path

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
    async with httpx.AsyncClient(trust_env=False, timeout=60.0) as client:
        answer = await client.post(f"{gateway.http}/v2/models/m/infer", content=ROW)
    assert (answer.status_code, answer.headers["x-model-version"]) == (200, "2")
    assert "comes from the copy in cache/" in gateway.get("/v1/models/m")["faults"]["2"]
    await until(lambda: "version-from-copy" in gateway.output(), "the log says so")
    (gateway.folder / "away").rename(gateway.models)
    await until(lambda: not gateway.get("/v1/models/m")["faults"], "what is back is no fault")


async def test_a_first_start_without_a_registry_is_refused(tmp_path: Path) -> None:
    """Where nothing was ever served, a models folder that is not there ends the start in one line."""
    gateway = Gateway(tmp_path)
    gateway.models.rmdir()
    gateway.launch()
    await until(lambda: gateway.code is not None, "it has ended")
    await gateway.close()
    assert gateway.code == 1
    (line,) = gateway.output().splitlines()
    assert f"models folder {gateway.models}: not found; create it" in line
    assert not (tmp_path / "ready.json").exists()


async def test_a_whole_gateway_starts_again_while_the_registry_is_gone(gateway: Gateway) -> None:
    """Where something was served, a start without the registry serves it again, from copies."""
    assert await gateway.stop() == 0
    gateway.models.rename(gateway.folder / "away")
    await gateway.start()
    async with httpx.AsyncClient(trust_env=False, timeout=60.0) as client:
        answer = await client.post(f"{gateway.http}/v2/models/m/infer", content=ROW)
    assert (answer.status_code, answer.headers["x-model-version"]) == (200, "2")
    assert "registry-not-read" in gateway.output()
