"""gRPC from real workers: a port they share, a client library that people use, deaths and stops."""

import asyncio
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import pandas as pd
import pytest
from tritonclient.grpc import InferenceServerClient, InferInput, aio
from tritonclient.utils import InferenceServerException

from gateway.listeners import ListenError, Listeners
from gateway.settings import GatewaySettings, GrpcSettings, PortSettings
from groundwork.errors import SettingsError
from prediction_log.record import Kind
from registry_client import publish as publish_pipeline
from registry_client.backends import open_registry
from tests.counts import count
from tests.facts import until
from tests.gateway.grpc_port.ports import CODES, HEALTH, Client, raw
from tests.gateway.protocols.test_open_inference_client import loans, pipeline
from tests.models import logistic, publish
from tests.system.rig import Gateway

pytestmark = pytest.mark.system
FREE = PortSettings(port=0)
NOT_SERVING = 2


class Served(Gateway):
    """A gateway with the graph `m`, and where it answers gRPC."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        super().__init__(folder, **settings)
        self.registry = open_registry(str(self.models), folder / "cache")
        publish(self.registry, "m", "1", logistic())

    @property
    def grpc(self) -> str:
        """The address, from the ready file."""
        return str(msgspec.json.decode((self.folder / "ready.json").read_bytes())["grpc"])


def column(frame: pd.DataFrame, name: str) -> InferInput:
    """One column as an input."""
    values = frame[[name]].to_numpy()
    words = values.dtype == object
    tensor = InferInput(name, list(values.shape), "BYTES" if words else "FP32")
    tensor.set_data_from_numpy(values if words else values.astype(np.float32))
    return tensor


def use(address: str) -> None:
    """What a person does with tritonclient."""
    frame = loans()
    sample, original = frame[:40], pipeline(frame)
    with InferenceServerClient(address) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("loans")
        assert not client.is_model_ready("nobody")
        names = [output.name for output in client.get_model_metadata("loans").outputs]
        result = client.infer("loans", [column(sample, name) for name in sample.columns], request_id="ü 1")
        assert result.get_response().id == "ü 1"
        labels = result.as_numpy(names[0]).ravel().tolist()
        assert [int(label) for label in labels] == original.predict(sample).tolist()
        assert np.allclose(result.as_numpy(names[1]), original.predict_proba(sample), atol=1e-4)
        with pytest.raises(InferenceServerException, match="has shape"):
            client.infer("m", [InferInput("x", [1, 29], "FP32").set_data_from_numpy(np.zeros((1, 29), "f4"))])
        client.unload_model("m")
        assert not client.is_model_ready("m")
        client.load_model("m")
        assert client.is_model_ready("m")


async def test_a_released_client_is_served(tmp_path: Path) -> None:
    """A pushed pipeline with words and numbers gives scikit-learn's own answers through tritonclient."""
    gateway = Served(tmp_path, workers=1)
    frame = loans()
    publish_pipeline(pipeline(frame), name="loans", reference=frame, registry=gateway.registry)
    try:
        await gateway.start()
        await asyncio.to_thread(use, gateway.grpc)
        assert await gateway.stop() == 0, gateway.output()
        assert len(gateway.logged()) == 40
        assert [frame.rows for frame in gateway.frames() if frame.kind == Kind.REJECT] == [1]
    finally:
        await gateway.close()


async def test_workers_share_the_port_and_outlive_one_another(tmp_path: Path) -> None:
    """Channels spread evenly over workers; when one is killed, all are answered again, on the same port."""
    gateway = Served(tmp_path)
    clients: list[Client] = []
    try:
        await gateway.start()
        clients = [Client(gateway.grpc) for _ in range(16)]
        answers = [(await client.infer(wait_for_ready=True)) for client in clients]
        assert {answer.code for answer in answers} == {CODES.OK}
        ids = [answer.metadata["x-prediction-id"] for answer in answers]
        shares = Counter(gateway.incarnation(found) for found in ids)
        assert len(shares) == 2
        assert min(shares.values()) >= 6
        gateway.signal_worker(0, signal.SIGKILL)
        for client in clients:
            await until_answered(client)
        await until(lambda: len(gateway.workers()) == 2, "there are two workers again")
        fresh = Client(gateway.grpc)
        clients.append(fresh)
        assert (await fresh.infer()).code is CODES.OK
    finally:
        await asyncio.gather(*(client.channel.close() for client in clients))
        await gateway.close()


async def until_answered(client: Client) -> None:
    """Ask until a call that broke off with its worker is answered by another one."""
    async with asyncio.timeout(60):
        code = None
        while code is not CODES.OK:
            code = (await client.infer(wait_for_ready=True)).code


OPTIONS = [("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]
"""A client that never tries again, with a connection of its own."""


class Asking:
    """Clients of one channel each that ask one after another until they are told to stop."""

    def __init__(self, address: str) -> None:
        self.answers: list[str] = []
        self._address = address
        self._stopping = False
        self._clients = [asyncio.create_task(self._ask()) for _ in range(8)]

    async def _ask(self) -> None:
        tensor = InferInput("x", [1, 30], "FP32").set_data_from_numpy(np.full((1, 30), 0.1, "f4"))
        async with aio.InferenceServerClient(self._address, channel_args=OPTIONS) as client:
            while not self._stopping:
                result = await client.infer("m", [tensor])
                self.answers.append(result.get_response().parameters["prediction_id"].string_param)

    async def under_way(self) -> None:
        """Until some hundred more answers have come; a client that was let down ends it."""
        wanted = len(self.answers) + 200
        await until(
            lambda: len(self.answers) > wanted or any(client.done() for client in self._clients),
            "clients are answered",
        )

    async def refused(self) -> set[str]:
        """Wait until every client was refused; with which codes."""
        faults = await asyncio.gather(*self._clients, return_exceptions=True)
        return {
            fault.status() if isinstance(fault, InferenceServerException) else repr(fault) for fault in faults
        }

    async def stop(self) -> list[str]:
        """The prediction ids; what a client was refused with is raised."""
        self._stopping = True
        await asyncio.gather(*self._clients)
        return self.answers


async def until_gone(gateway: Gateway, pids: set[int]) -> None:
    """Wait until none of these workers is left."""
    await until(lambda: not pids & set(gateway.worker_pids()), "others have taken their places", seconds=60.0)


async def test_replacing_every_worker_fails_no_call(tmp_path: Path) -> None:
    """Workers are replaced under load: clients that never try again see no failure, and all is logged."""
    gateway = Served(tmp_path)
    try:
        await gateway.start()
        asking = Asking(gateway.grpc)
        for _ in range(count(2, 20)):
            await asking.under_way()
            before = set(gateway.worker_pids())
            async with httpx.AsyncClient(trust_env=False, timeout=60.0) as operator:
                assert (await operator.post(f"{gateway.operator}/v1/workers/recycle")).status_code == 202
            await until_gone(gateway, before)
            await until(lambda: not gateway.get("/v1/workers")["replacing"], "it is done")
        await asking.under_way()
        ids = await asking.stop()
        await until(lambda: set(ids) <= set(gateway.logged()), "every answer is in the log")
        assert sorted(gateway.logged()) == sorted(ids)
    finally:
        await gateway.close()


async def test_a_stop_under_load_lets_nobody_down(tmp_path: Path) -> None:
    """SIGTERM under calls from many channels: each is answered and logged, or UNAVAILABLE and not logged."""
    gateway = Served(tmp_path)
    try:
        for _ in range(count(1, 20)):
            await gateway.start()
            logged = len(gateway.logged())
            asking = Asking(gateway.grpc)
            await asking.under_way()
            assert await gateway.stop() == 0, gateway.output()
            assert await asking.refused() == {"StatusCode.UNAVAILABLE"}
            assert sorted(gateway.logged()[logged:]) == sorted(asking.answers)
    finally:
        await gateway.close()


async def test_a_stop_finishes_what_is_in_flight(tmp_path: Path) -> None:
    """Every call that was begun before the stop is answered and logged; health says so first."""
    gateway = Served(tmp_path, workers=1, stop={"delay": 1.0})
    client = None
    try:
        await gateway.start()
        client = Client(gateway.grpc)
        first = client
        rows = np.zeros((2000, 30), "f4")
        assert (await first.infer()).code is CODES.OK
        calls = [asyncio.create_task(first.infer(raw(rows))) for _ in range(5)]
        stopping = asyncio.create_task(gateway.stop())
        async with asyncio.timeout(60):
            status = 0
            while status != NOT_SERVING:
                status = (await first.ask("Check", {}, of=HEALTH)).message.status
        assert {(await call).code for call in calls} == {CODES.OK}
        assert await stopping == 0, gateway.output()
        assert len(set(gateway.logged())) == 6
    finally:
        if client is not None:
            await client.channel.close()
        await gateway.close()


def test_a_port_of_another_gateway_is_refused() -> None:
    """A port that is reserved already, whether workers listen there yet or not, is named in the error."""
    one = Listeners.open(GatewaySettings(http=FREE, operator=FREE))
    port = int(str(one.place).rpartition(":")[2])
    with pytest.raises(ListenError, match=r"\(grpc\.port\): Address already in use"):
        Listeners.open(GatewaySettings(http=FREE, operator=FREE, grpc=GrpcSettings(port=port)))
    assert one.addresses(1).grpc == f"127.0.0.1:{port}"
    one.close()


def test_grpc_may_be_switched_off() -> None:
    """Without gRPC nothing is reserved and the ready file says null."""
    made = Listeners.open(GatewaySettings(http=FREE, operator=FREE, grpc=GrpcSettings(enabled=False)))
    assert (made.place, made.addresses(1).grpc) == (None, None)
    made.close()


def test_a_half_set_certificate_is_refused() -> None:
    """TLS of the gRPC port is checked with the other settings."""
    settings = msgspec.convert({"grpc": {"tls": {"key": "a.pem"}}}, GatewaySettings)
    with pytest.raises(SettingsError, match=r"grpc\.tls"):
        Listeners.open(settings)
