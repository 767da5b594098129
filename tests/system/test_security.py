"""A running gateway whose ports ask for keys and speak TLS, and clients that mean harm."""

import asyncio
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from registry_client.directory import DirectoryRegistry
from tests.counts import count
from tests.facts import until
from tests.gateway.worlds import request
from tests.keys import Authority, bearer, one_key, one_key_per_scope
from tests.models import logistic, publish
from tests.system.rig import Gateway

pytestmark = pytest.mark.system
SLOW = count(50, 1000)
SLACK_BYTES = 32 << 20
MOST_BYTES = 150_000
"""Memory that a slow client may cost: three times what its TLS and what it has sent so far do."""


class Fortress:
    """A gateway with keys and TLS on both ports; mutual TLS on the operator's."""

    def __init__(self, folder: Path, **more: Any) -> None:
        self.authority = Authority(folder)
        self.texts = one_key_per_scope(folder / "keys.yaml")
        cert, key = self.authority.issue("server")
        tls = {"cert": cert, "key": key}
        mutual = {**tls, "client_ca": str(self.authority.file)}
        self.gateway = Gateway(
            folder,
            http={"port": 0, "tls": tls},
            operator={"port": 0, "host": "0.0.0.0", "tls": mutual},
            keys={"file": str(folder / "keys.yaml")},
            **more,
        )
        publish(DirectoryRegistry(str(self.gateway.models), None), "m", "1", logistic())
        self.context = ssl.create_default_context(cafile=str(self.authority.file))

    def client(self, scope: str = "infer") -> httpx.AsyncClient:
        """A client with the key of a scope."""
        return httpx.AsyncClient(
            verify=self.context, trust_env=False, headers=bearer(self.texts[scope]), timeout=60.0
        )

    async def infer(self, client: httpx.AsyncClient) -> httpx.Response:
        """A good request."""
        return await client.post(f"{self.gateway.http}/v2/models/m/infer", json=request())

    def peer(self) -> tuple[str, int]:
        """Host and port of the data port."""
        url = httpx.URL(self.gateway.http)
        return url.host, url.port or 0

    async def refused(self, reason: str) -> float:
        """How many connections of the data port were refused for it."""
        async with self.client("read") as client:
            text = (await client.get(f"{self.gateway.http}/metrics")).text
        name = f'driftgate_connections_refused_total{{port="http",reason="{reason}"}} '
        return sum(float(line.removeprefix(name)) for line in text.splitlines() if line.startswith(name))


@pytest.fixture
async def fortress(tmp_path: Path) -> AsyncIterator[Fortress]:
    """One that runs."""
    made = Fortress(tmp_path, limits={"header_time": 1.0, "body_time": 1.0})
    await made.gateway.start()
    yield made
    assert await made.gateway.stop() == 0


async def test_keys_and_tls_from_end_to_end(fortress: Fortress, tmp_path: Path) -> None:
    """TLS on the data port, mutual TLS on the operator's, keys on both; the command reaches them."""
    gateway = fortress.gateway
    assert gateway.http.startswith("https://")
    async with fortress.client() as client:
        assert (await fortress.infer(client)).status_code == 200
        assert (await client.get(f"{gateway.http}/metrics")).status_code == 403
        with pytest.raises(httpx.TransportError):
            await client.get(f"{gateway.operator}/v1/models")
    cert, key = fortress.authority.issue("client")
    command = [
        *(
            sys.executable,
            "-m",
            "driftgate",
            "--ca",
            str(fortress.authority.file),
            "--cert",
            cert,
            "--key",
            key,
        ),
        *("models", "list", "--json", "--operator", gateway.operator),
    ]
    for text, code in ((fortress.texts["read"], 0), (fortress.texts["infer"], 1), ("", 1)):
        environ = {"DRIFTGATE_KEY": text, "HOME": str(tmp_path)}
        done = await asyncio.to_thread(subprocess.run, command, env=environ, capture_output=True, text=True)
        assert done.returncode == code, done.stderr
        assert ('"name": "m"' in done.stdout) == (code == 0)
    assert "denied" in gateway.output()
    assert fortress.texts["infer"].split("_")[2] not in gateway.output()


async def test_keys_and_certificates_change_without_a_restart(fortress: Fortress, tmp_path: Path) -> None:
    """A revoked key is refused, a new one let in, and a renewed certificate shown, in every worker."""
    old = fortress.texts["infer"]
    fortress.texts["infer"] = one_key(tmp_path / "keys.yaml", "infer")
    fortress.authority.issue("server")

    async def statuses(text: str) -> set[int]:
        found = set()
        for _ in range(8):
            async with httpx.AsyncClient(
                verify=fortress.context, trust_env=False, headers=bearer(text), timeout=60.0
            ) as one:
                found.add((await fortress.infer(one)).status_code)
        return found

    async with asyncio.timeout(30):
        while await statuses(old) != {401} or await statuses(fortress.texts["infer"]) != {200}:
            pass

    def renewed() -> int:
        lines = fortress.gateway.output().splitlines()
        return sum("certificate-reloaded" in line and "port=http.tls" in line for line in lines)

    await until(lambda: renewed() == 2, "both workers have taken it up")
    assert await statuses(fortress.texts["infer"]) == {200}


async def let_in(fortress: Fortress, pair: tuple[str, str]) -> bool:
    """Whether the operator port talks to whoever shows this certificate."""
    context = ssl.create_default_context(cafile=str(fortress.authority.file))
    context.load_cert_chain(*pair)
    async with httpx.AsyncClient(
        verify=context, trust_env=False, headers=bearer(fortress.texts["read"]), timeout=60.0
    ) as one:
        try:
            return (await one.get(f"{fortress.gateway.operator}/v1/workers")).is_success
        except httpx.TransportError:
            return False


async def test_another_authority_of_clients_is_taken_up_by_new_workers(
    fortress: Fortress, tmp_path: Path
) -> None:
    """A reload takes up another `client_ca`, and replaced workers a changed file; others are shut out."""
    gateway, other = fortress.gateway, Authority(tmp_path, "other")
    old, new = fortress.authority.issue("client"), other.issue("newcomer")

    async def replaced_by(number: signal.Signals) -> None:
        before = set(gateway.worker_pids())
        os.kill(gateway.pid, number)
        await until(
            lambda: not before & set(gateway.worker_pids()) and len(gateway.worker_pids()) == 2,
            "both are replaced",
            seconds=60.0,
        )

    assert (await let_in(fortress, old), await let_in(fortress, new)) == (True, False)
    settings = msgspec.to_builtins(gateway.settings)
    settings["operator"]["tls"]["client_ca"] = str(other.file)
    (gateway.folder / "settings.json").write_bytes(msgspec.json.encode(settings))
    await replaced_by(signal.SIGHUP)
    assert (await let_in(fortress, old), await let_in(fortress, new)) == (False, True)
    other.file.write_bytes(fortress.authority.file.read_bytes())
    await replaced_by(signal.SIGUSR1)
    assert (await let_in(fortress, old), await let_in(fortress, new)) == (True, False)
    async with fortress.client() as client:
        assert (await fortress.infer(client)).status_code == 200


async def test_slow_and_half_open_clients_hurt_nobody(fortress: Fortress) -> None:
    """Clients that never speak TLS or finish what they send are ended and cost little; others are served."""
    host, port = fortress.peer()
    head = b"POST /v2/models/m/infer HTTP/1.1\r\nhost: t\r\n"
    key = f"authorization: Bearer {fortress.texts['infer']}\r\n".encode()
    pieces = [b"GET / HT", head, head + key + b"content-length: 999\r\n\r\n{"]
    before = fortress.gateway.resident()
    mute = [await asyncio.open_connection(host, port) for _ in range(SLOW // 5)]
    slow = []
    for number in range(SLOW - len(mute)):
        reader, writer = await asyncio.open_connection(host, port, ssl=fortress.context)
        writer.write(pieces[number % 3])
        slow.append((reader, writer))
    async with fortress.client() as client:
        for _ in range(20):
            assert (await fortress.infer(client)).status_code == 200
    assert fortress.gateway.resident() - before < SLOW * MOST_BYTES + SLACK_BYTES
    for reader, writer in slow:
        async with asyncio.timeout(30):
            text = await reader.read()
        assert text.startswith(b"HTTP/1.1 408 ")
        writer.close()
    for reader, writer in mute:
        async with asyncio.timeout(30):
            assert await reader.read() == b""
        writer.close()
    assert await fortress.refused("slow-headers") + await fortress.refused("slow-body") == len(slow)
    assert await fortress.refused("no-tls") == len(mute)


async def test_more_connections_than_a_worker_may_hold(tmp_path: Path) -> None:
    """Above the limit a client is told so, and below it everything goes on."""
    gateway = Gateway(tmp_path, workers=1, limits={"connections": 4})
    publish(DirectoryRegistry(str(gateway.models), None), "m", "1", logistic())
    await gateway.start()
    url = httpx.URL(gateway.http)
    held = [await asyncio.open_connection(url.host, url.port) for _ in range(4)]
    reader, writer = await asyncio.open_connection(url.host, url.port)
    async with asyncio.timeout(10):
        assert (await reader.read()).startswith(b"HTTP/1.1 503 ")
    writer.close()
    for _, one in held:
        one.close()
    await until(
        lambda: httpx.get(f"{gateway.http}/v2", trust_env=False, timeout=60.0).status_code == 200,
        "it answers again",
    )
    assert await gateway.stop() == 0
