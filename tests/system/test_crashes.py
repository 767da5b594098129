"""Versions that bring workers down: left out where they are stable, aborted where they are on trial."""

import asyncio
import os
import signal

import httpx
import pytest

from gateway.quarantine import CRASHES
from tests.facts import until
from tests.system import graphs
from tests.system.crew import PATH, failures, incarnations, post, until_back
from tests.system.load import Load, Plan
from tests.system.rig import Gateway

pytestmark = pytest.mark.system


async def test_a_stable_version_that_crashes_workers_is_left_out(gateway: Gateway) -> None:
    """The version that runs at every crash is not loaded for a while; the other model is served."""
    graphs.put(gateway.models, "bad", 1, graphs.slow())
    await until(lambda: loaded(gateway, "bad") == 2, "both workers have loaded it", seconds=60.0)
    rows = 2000
    tensor = {"name": "X", "datatype": "FP32", "shape": [rows, 4], "data": [0.1] * (4 * rows)}
    async with httpx.AsyncClient(trust_env=False, timeout=60.0) as client:
        for _ in range(CRASHES):
            doomed = asyncio.create_task(
                client.post(f"{gateway.http}/v2/models/bad/infer", json={"inputs": [tensor]})
            )
            await until(lambda: gateway.shown("driftgate_executing") > 0, "it is executing", seconds=60.0)
            before = incarnations(gateway)
            for pid in gateway.worker_pids():
                os.kill(pid, signal.SIGSEGV)
            with pytest.raises(httpx.TransportError):
                await doomed
            await until_back(gateway, before, all_new=True)
        await until(lambda: barred(gateway) == ["bad 1"], "the version is barred")
        gateway.signal_worker(0, signal.SIGKILL)
        gateway.signal_worker(1, signal.SIGKILL)
        answer = await answered(client, f"{gateway.http}/v2/models/bad/infer", {"inputs": [tensor]})
        assert answer.status_code == 503
        assert "is not loaded before" in answer.json()["error"]
    assert failures(await Load(Plan(gateway.http, PATH, rate=100, seconds=0.3)).run()) == []
    assert gateway.total("driftgate_worker_restarts_total", reason="crashed") >= 4


async def kill_in_load(gateway: Gateway, model: str, version: str, said: str) -> None:
    """End by a fatal signal whoever is loading this version, until the gateway has said this and serves."""

    def over() -> bool:
        return said in gateway.output() and gateway.shown("driftgate_workers_answering") == 2

    def loading() -> bool:
        return busy(gateway, "driftgate_loading", model, version) > 0

    while not over():
        await until(lambda: over() or loading(), "it is loading, or left out", seconds=60.0)
        if loading():
            before = incarnations(gateway)
            for pid in gateway.worker_pids():
                os.kill(pid, signal.SIGSEGV)
            await until(lambda old=before: not old & incarnations(gateway), "they are gone")  # type: ignore[misc]


async def test_a_version_that_kills_in_its_load_is_left_out(gateway: Gateway) -> None:
    """A stable version that brings workers down while they load it is not loaded; the other is served."""
    graphs.put(gateway.models, "bad", 1, graphs.slow_to_load())
    await kill_in_load(gateway, "bad", "1", "version-barred")
    assert failures(await Load(Plan(gateway.http, PATH, rate=100, seconds=0.3)).run()) == []
    tensor = {"name": "X", "datatype": "FP32", "shape": [1, 4], "data": [1.0] * 4}
    answer = await post(f"{gateway.http}/v2/models/bad/infer", json={"inputs": [tensor]})
    assert answer.status_code == 503
    assert "it was being loaded when" in answer.json()["error"]


async def test_a_candidate_that_kills_in_its_load_is_aborted(gateway: Gateway) -> None:
    """The second worker that dies while it loads the candidate aborts it; the stable version answers."""
    graphs.put(gateway.models, "m", 3, graphs.slow_to_load())
    spec = {"steps": [{"weight": 50, "hold": {"for": "1h"}}], "metrics": [{"name": "error-rate"}]}
    assert (await gateway.act("m", "start", candidate="3", spec=spec)).status_code == 200
    gateway.signal_worker(0, signal.SIGKILL)  # blames nobody; its successor loads the candidate
    await kill_in_load(gateway, "m", "3", "rollout-aborted")
    assert gateway.get("/v1/rollouts/m")["state"] == "rolled-back"
    last = gateway.get("/v1/rollouts/m/history")["history"][-1]
    assert (last["actor"], last["verb"]) == ("guard", "abort")
    assert failures(await Load(Plan(gateway.http, PATH, rate=100, seconds=0.3)).run()) == []


def barred(gateway: Gateway) -> list[str]:
    """The versions that are not loaded for a while."""
    return [f"{one['model']} {one['version']}" for one in gateway.get("/v1/workers")["barred"]]


def loaded(gateway: Gateway, model: str) -> int:
    """How many workers hold version 1 of this model."""
    return busy(gateway, "driftgate_version_loaded", model, "1")


def busy(gateway: Gateway, name: str, model: str, version: str) -> int:
    """A gauge of one version, over all workers."""
    wanted = (("model", model), ("version", version))
    return sum(
        value
        for slot in gateway.workers()
        for key, value in slot.series.items()
        if key.name == name and key.labels == wanted
    )


async def answered(client: httpx.AsyncClient, url: str, body: object) -> httpx.Response:
    """The first answer that comes, however often connections break before."""
    while True:
        try:
            return await client.post(url, json=body)
        except httpx.TransportError:
            await asyncio.sleep(0)
