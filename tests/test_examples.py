"""The example clients, each run against a real server with the library it is for.

Libraries that are too heavy to be installed for this alone are used where they are there; where not, the same
requests are sent as bytes.
"""

import asyncio
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest

from rollouts.route import Route
from tests.gateway.grpc_port.ports import served as served_grpc
from tests.gateway.served import served
from tests.gateway.worlds import ROW, World
from tests.models import logistic

CLIENTS: Final = Path(__file__).parent.parent / "examples" / "clients"
PATIENCE: Final = 120.0


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`host:port` of a server whose one model `m` is logistic."""

    async def prepare(world: World) -> None:
        await world.publish("m", "1", logistic())
        await world.serve(Route(model="m", revision=1, stable="1"))

    with served(tmp_path_factory.mktemp("served"), prepare) as found:
        yield found


def run(*command: str) -> str:
    """What a client prints; it must end well."""
    environ = {**os.environ, "NO_PROXY": "127.0.0.1", "PYTHONWARNINGS": "ignore"}
    finished = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE, check=False, env=environ
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


def python(name: str, *arguments: str) -> str:
    """What a client in Python prints."""
    return run(sys.executable, str(CLIENTS / name), *arguments)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_speaks_every_protocol(place: str) -> None:
    """curl.sh gets an answer in each protocol."""
    printed = run("sh", str(CLIENTS / "curl.sh"), f"http://{place}", "m")
    assert printed.count('"predictions"') == 3
    assert printed.count('"model_name"') == 3
    assert '"model_stats"' in printed


def test_tritonclient_is_answered(place: str) -> None:
    """triton.py gets its predictions, its classes and its statistics."""
    printed = python("triton.py", place)
    assert "is_server_ready True" in printed
    assert printed.count("[[b'0.") == 1


async def test_tritonclient_is_answered_by_grpc(tmp_path: Path) -> None:
    """grpc_triton.py gets its predictions, its classes and its refusal."""
    async with served_grpc(tmp_path) as there:
        printed = await asyncio.to_thread(python, "grpc_triton.py", there.address)
    assert "is_server_ready True" in printed
    assert printed.count("[[b'0.") == 1
    assert "NOT_FOUND there is no model 'nobody' here" in printed


def test_a_sagemaker_call_is_answered(place: str) -> None:
    """sagemaker.py gets its attributes back, and the same answer in binary."""
    printed = python("sagemaker.py", f"http://{place}")
    assert printed.startswith("trace-7 ")
    assert "binary (0." in printed


def test_kserves_sdk_is_answered(place: str) -> None:
    """kserve_sdk.py gets its answers; without the SDK the requests it sends are sent as they are."""
    if importlib.util.find_spec("kserve") is not None:
        assert python("kserve_sdk.py", f"http://{place}").count("[[0.5") == 2
        return
    with httpx.Client(base_url=f"http://{place}") as client:
        assert client.get("/v2/health/ready").json()["ready"] is True
        assert client.get("/v2/models/m/ready").status_code == 200
        tensor = {"name": "x", "shape": [1, 30], "datatype": "FP32", "data": ROW}
        body = {"id": "7", "inputs": [tensor], "parameters": {"binary_data_output": False}}
        assert client.post("/v2/models/m/infer", json=body).json()["id"] == "7"
        assert client.get("/").json() == {"status": "alive"}
        assert client.get("/v1/models/m").json()["ready"] is True
        assert len(client.post("/v1/models/m:predict", json={"instances": [ROW]}).json()["predictions"]) == 1


def test_mlflows_client_is_answered(place: str) -> None:
    """mlflow_scoring.py gets its answers; without MLflow the requests it sends are sent as they are."""
    if importlib.util.find_spec("mlflow") is not None:
        assert python("mlflow_scoring.py", *place.split(":")).count('"predictions"') == 2
        return
    names = [f"x[{index}]" for index in range(30)]
    frame = {"dataframe_split": {"columns": names, "index": [0], "data": [ROW]}}
    with httpx.Client(base_url=f"http://{place}", headers={"Content-Type": "application/json"}) as client:
        assert client.get("/ping").status_code == client.get("/version").status_code == 200
        framed = client.post("/invocations", json=frame).json()
        listed = client.post("/invocations", json={"instances": [ROW], "params": {"unused": 1}}).json()
        assert list(framed["predictions"]) == ["label", "probabilities"]
        assert framed == listed
