"""Workers come and go under load: replaced, told to stop, fed with new settings."""

import asyncio
import os
import signal
import socket
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import msgspec
import pytest

from groundwork import open_files
from tests.counts import count
from tests.disks import fill, small_disk
from tests.facts import until
from tests.system import graphs
from tests.system.crew import PATH, failures, incarnations, post, until_back
from tests.system.load import Load, Plan, Shot
from tests.system.rig import Gateway

pytestmark = pytest.mark.system


async def under_way(load: Load, more: int = 300) -> None:
    """Wait until this many more requests have ended."""
    seen = len(load.shots)
    await until(lambda: len(load.shots) > seen + more, "the load is under way")


def replaced(gateway: Gateway, before: set[int]) -> bool:
    """Whether no worker of these is left, and two others answer."""
    now = set(gateway.worker_pids())
    return not now & before and len(now) == 2 and gateway.shown("driftgate_workers_answering") == 2


async def until_replaced(gateway: Gateway, before: set[int]) -> None:
    """Wait until no worker of these is left, and two others answer."""
    await until(lambda: replaced(gateway, before), "both are replaced", seconds=60.0)


def room_for_files(pid: int) -> int:
    """How many open files the kernel's table of this process holds before it grows."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    [held] = [int(line.split()[1]) for line in lines if line.startswith("FDSize")]
    return held


async def everything_is_logged_once(gateway: Gateway, shots: list[Shot]) -> None:
    """Client and log agree to the request."""
    answered = {shot.prediction_id for shot in shots}
    await until(lambda: answered <= set(gateway.logged()), "every answer is in the log")
    assert len(gateway.logged()) == len(shots)


async def test_connections_never_wait_for_the_kernel_s_table(gateway: Gateway) -> None:
    """A worker that answers has room for all files it may open, so that no connection makes the loop wait."""
    wanted = open_files.wanted(gateway.settings.limits.connections)
    for pid in gateway.worker_pids():
        assert room_for_files(pid) >= wanted


async def test_replacing_every_worker_loses_no_request(gateway: Gateway) -> None:
    """Under 500 requests/s each worker is followed by another first: all answered, all logged once."""
    load = Load(Plan(gateway.http, PATH, rate=500, seconds=600.0, resend=True))
    running = asyncio.create_task(load.run())
    rounds = count(2, 20)
    try:
        for _ in range(rounds):
            await under_way(load)
            before = set(gateway.worker_pids())
            answer = await post(f"{gateway.operator}/v1/workers/recycle")
            assert (answer.status_code, answer.json()) == (202, {"replacing": 2})
            await until_replaced(gateway, before)
            await until(lambda: not gateway.get("/v1/workers")["replacing"], "it is done")
    finally:
        load.stop()
        shots = await running
    assert failures(shots) == []
    await everything_is_logged_once(gateway, shots)
    assert gateway.total("driftgate_worker_restarts_total", reason="recycled") == 2 * rounds


async def test_stop_under_load_loses_no_request(gateway: Gateway) -> None:
    """SIGTERM at 500 requests/s, connections old and new: whoever was let in is answered; exit code 0."""
    for _ in range(count(2, 20)):
        load = Load(Plan(gateway.http, PATH, rate=400, seconds=600.0))
        comers = asyncio.create_task(keep_coming(gateway.http))
        running = asyncio.create_task(load.run())
        logged = len(gateway.logged())
        await under_way(load)
        pid = gateway.pid
        os.kill(pid, signal.SIGTERM)
        await until(lambda: gateway.code is not None, "the gateway has ended", seconds=60.0)
        load.stop()
        shots, (answered, broken) = await running, await comers
        assert gateway.code == 0, gateway.output()
        good = [shot for shot in shots if shot.status == 200]
        # A connection that nobody lets in, or that is parted with between two requests, is safe to try again.
        assert {shot.fault for shot in failures(shots)} <= {"ConnectionRefusedError", "IncompleteReadError"}
        assert broken == []
        assert len(gateway.logged()) - logged == len(good) + answered
        await gateway.start()


async def keep_coming(url: str) -> tuple[int, list[str]]:
    """Clients that each open a connection of their own, until nobody is let in.

    Returns how many were answered, and what happened to each that was let in and not answered.
    """
    parts = urlsplit(url)
    answered, broken = 0, list[str]()
    async with asyncio.timeout(60):
        while True:
            try:
                reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            except OSError:
                return answered, broken
            body = b'{"inputs":[{"name":"X","shape":[1,4],"datatype":"FP32","data":[1,2,3,4]}]}'
            head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
            try:
                writer.write(head.encode() + body)
                line = await reader.readline()
                if line.startswith(b"HTTP/1.1 200"):
                    answered += 1
                else:
                    broken.append(line.decode())
            except OSError as error:
                broken.append(type(error).__name__)
            writer.transport.abort()


async def test_readiness_fails_first_and_answers_go_on(tmp_path: Path) -> None:
    """For `stop.delay` a stopping gateway says that it is not ready, and answers."""
    gateway = Gateway(tmp_path, stop={"delay": 1.0})
    graphs.put(gateway.models, "m", 1, graphs.linear(1.0))
    await gateway.start()
    async with httpx.AsyncClient(base_url=gateway.http, trust_env=False, timeout=60.0) as client:
        assert (await client.get("/v2/health/ready")).status_code == 200
        os.kill(gateway.pid, signal.SIGTERM)
        async with asyncio.timeout(60):
            while (await client.get("/v2/health/ready")).status_code != 503:  # noqa: ASYNC110  it is asked
                await asyncio.sleep(0)
        shots = await Load(Plan(gateway.http, PATH, rate=100, seconds=0.2)).run()
        assert failures(shots) == []
    await until(lambda: gateway.code is not None, "the gateway has ended", seconds=60.0)
    assert gateway.code == 0
    await gateway.close()


async def test_settings_are_reloaded_under_load(gateway: Gateway) -> None:
    """SIGHUP takes up what can be; what wants a restart is refused by name and changes nothing."""
    load = Load(Plan(gateway.http, PATH, rate=300, seconds=600.0, resend=True))
    running = asyncio.create_task(load.run())
    try:
        await under_way(load)
        before = set(gateway.worker_pids())
        change(gateway, limits={"header_bytes": 2000}, data="elsewhere")
        answer = await post(f"{gateway.operator}/v1/config/reload")
        assert answer.status_code == 409
        assert answer.json()["error"] == "settings data need a restart; nothing was changed"
        assert set(gateway.worker_pids()) == before
        change(gateway, limits={"header_bytes": 2000})
        os.kill(gateway.pid, signal.SIGHUP)
        await until_replaced(gateway, before)
    finally:
        load.stop()
        shots = await running
    assert failures(shots) == []
    answer = await post(gateway.http + PATH, headers={"x-long": "x" * 3000})
    assert answer.status_code == 431
    await everything_is_logged_once(gateway, shots)


def change(gateway: Gateway, **settings: object) -> None:
    """Write the gateway's settings anew."""
    document = {**msgspec.to_builtins(gateway.settings), **settings}
    (gateway.folder / "settings.json").write_bytes(msgspec.json.encode(document))


async def test_connections_spread_over_workers(gateway: Gateway) -> None:
    """Of 16 connections each of two workers takes 6 to 10, also right after one of them was replaced."""
    for round_ in range(count(3, 50)):
        await shared_out(gateway)
        if round_ % 5 == 1:
            before = incarnations(gateway)
            gateway.signal_worker(round_ % 2, signal.SIGKILL)
            await until_back(gateway, before)
            await shared_out(gateway)


def all_ready(gateway: Gateway) -> bool:
    """Whether every worker takes connections, as the supervisor sees it."""
    return all(view["state"] == "ready" for view in gateway.get("/v1/workers")["workers"])


async def shared_out(gateway: Gateway) -> None:
    """Open 16 connections at once and see who has them."""
    await until(lambda: all_ready(gateway), "every worker takes connections", seconds=60.0)
    parts = urlsplit(gateway.http)
    assert parts.hostname is not None
    assert parts.port is not None
    await until(lambda: gateway.shown("driftgate_connections") == 0, "no connection is left")
    opened = [socket.create_connection((parts.hostname, parts.port)) for _ in range(16)]
    try:
        await until(lambda: gateway.shown("driftgate_connections") == 16, "all are taken")
        held = [
            value
            for slot in gateway.workers()
            for key, value in slot.series.items()
            if key.name == "driftgate_connections"
        ]
        assert sorted(held) == sorted([16 - held[0], held[0]])
        assert all(6 <= number <= 10 for number in held), held
    finally:
        for connection in opened:
            connection.close()


async def test_a_run_that_outlasts_the_stop_is_left_behind(tmp_path: Path) -> None:
    """A run that nobody can interrupt keeps no worker from ending in time, its log written; exit code 0."""
    gateway = Gateway(tmp_path, workers=1, stop={"limit": 1.0, "linger": 0.1})
    graphs.put(gateway.models, "m", 1, graphs.slow())
    try:
        await gateway.start()
        tensors = [
            {"name": "X", "datatype": "FP32", "shape": [rows, 4], "data": [0.1] * (4 * rows)}
            for rows in (1, 4000)
        ]
        short, endless = ({"inputs": [tensor]} for tensor in tensors)
        assert (await post(gateway.http + PATH, json=short)).status_code == 200
        doomed = asyncio.create_task(post(gateway.http + PATH, json=endless))
        await until(lambda: gateway.shown("driftgate_executing") > 0, "it is executing", seconds=60.0)
        assert await gateway.stop() == 0
        with pytest.raises(httpx.TransportError):
            await doomed
        assert "worker-killed" not in gateway.output()
        assert len(gateway.logged()) == 1
    finally:
        await gateway.close()


async def test_a_worker_comes_back_on_a_full_disk(tmp_path: Path) -> None:
    """With not a byte free a killed worker is followed by one that answers, and says that it logs nothing."""
    with small_disk(tmp_path / "data", 64):
        gateway = Gateway(tmp_path, log={"min_free_bytes": 1 << 20, "reserve_bytes": 1 << 20})
        graphs.put(gateway.models, "m", 1, graphs.linear(1.0))
        try:
            await gateway.start()
            assert failures(await Load(Plan(gateway.http, PATH, rate=100, seconds=0.3)).run()) == []
            fill(gateway.data / "neighbour", leave=0)
            before = incarnations(gateway)
            gateway.signal_worker(0, signal.SIGKILL)
            await until_back(gateway, before)
            assert gateway.shown("driftgate_version_unlogged") == 1
            assert failures(await Load(Plan(gateway.http, PATH, rate=100, seconds=0.5)).run()) == []
            (gateway.data / "neighbour").unlink()
            await until(
                lambda: gateway.shown("driftgate_version_unlogged") == 0, "it logs again", seconds=60.0
            )
        finally:
            await gateway.close()
