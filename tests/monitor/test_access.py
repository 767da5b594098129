"""Every route of the monitor's port, with no key, wrong keys, keys for something else, and the right one."""

import io
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from starlette.routing import Route

from groundwork.clock import FakeClock
from groundwork.logs import Log
from groundwork.ports import KeysSettings, TlsSettings
from monitor import api
from monitor.access import AccessControl
from monitor.desk import Desk
from tests.keys import Authority, bearer, one_key_per_scope
from tests.monitor import worlds
from tests.monitor.test_app import Running
from tests.routes import OPEN, check, filled

MONITOR = {
    "/": "read",
    "/healthz": OPEN,
    "/metrics": "read",
    "/v1/status": "read",
    "/v1/drift": "read",
    "/v1/schemas": "read",
    "/v1/schemas/{name}": "read",
    "/v1/config": "read",
    "/v1/incidents": "read",
    "/v1/incidents/{name}": "read",
    "/v1/webhooks": "read",
    "/v1/webhooks/test": "operate",
    "/v1/webhooks/{event}": "read",
    "/v1/webhooks/{event}/replay": "operate",
    "/v1/retrains": "read",
    "/v1/retrains/{event}": "operate",
}
"""The scope of every route, said a second time: a new one must be thought about here."""


async def test_every_route_asks_for_its_key(tmp_path: Path) -> None:
    """Every route of the table wants the scope it should, and what is not in it wants one as well."""
    # What a route does is not asked here: without a running monitor it fails, once it is reached.
    texts = one_key_per_scope(tmp_path / "keys.yaml")
    settings = worlds.settings(keys=KeysSettings(file=str(tmp_path / "keys.yaml")))
    access = AccessControl(settings, FakeClock(10**18), Log(io.StringIO(), FakeClock()))
    app = api.build(cast("Desk", object()), access.series)
    found = [route for route in app.routes if isinstance(route, Route)]
    assert {route.path for route in found} == set(MONITOR)
    assert len(found) == len(app.routes)
    served = access.server_config(app).loaded_app
    transport = httpx.ASGITransport(served, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://monitor.test") as client:
        for route in found:
            for method in route.methods or ():
                await check(client, filled(route.path), method, MONITOR[route.path], texts)
        for path in ("/", "/docs", "/healthz/", "/v1"):
            await check(client, path, "GET", "read", texts)
            await check(client, path, "POST", "operate", texts)
    assert sum(access.series().values()) > 100


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Who signs the certificates."""
    return Authority(tmp_path)


@pytest.fixture
def running(tmp_path: Path, authority: Authority) -> Iterator[Running]:
    """A monitor on every address, with keys and mutual TLS."""
    cert, key = authority.issue("server")
    one_key_per_scope(tmp_path / "other.yaml")
    changes: dict[str, Any] = {
        "host": "0.0.0.0",
        "keys": KeysSettings(file=str(tmp_path / "keys.yaml")),
        "tls": TlsSettings(cert=cert, key=key, client_ca=str(authority.file)),
    }
    made = Running(tmp_path, **changes)
    yield made
    if made.process is not None and made.process.poll() is None:
        assert made.stop() == 0


@pytest.mark.system
def test_keys_and_mutual_tls_on_a_monitor_that_runs(
    running: Running, authority: Authority, tmp_path: Path
) -> None:
    """Off loopback: without our certificate no TLS, without a key 401, with both an answer; all counted."""
    texts = one_key_per_scope(tmp_path / "keys.yaml")
    url = str(running.start().base_url).replace("0.0.0.0", "127.0.0.1")
    assert url.startswith("https://")
    context = ssl.create_default_context(cafile=str(authority.file))
    with pytest.raises(httpx.TransportError):
        httpx.get(url + "/healthz", verify=context, trust_env=False)
    context.load_cert_chain(*authority.issue("client"))
    with httpx.Client(base_url=url, verify=context, trust_env=False) as client:
        assert client.get("/healthz").json() == {"status": "ok"}
        assert client.get("/v1/status").status_code == 401
        assert client.get("/v1/status", headers=bearer(texts["read"])).status_code == 200
        assert client.get("/v1/status", headers={"x": "y" * 100_000}).status_code == 431
        text = client.get("/metrics", headers=bearer(texts["read"])).text
    assert 'driftgate_denied_total{port="monitor",reason="no-key",scope="read"} 1.0' in text
    assert 'driftgate_connections_refused_total{port="monitor",reason="large-headers"} 1.0' in text
