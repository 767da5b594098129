"""Tests of monitor.api where no monitor is needed; the rest stands in test_app."""

from collections.abc import AsyncIterator
from typing import cast

import httpx
import pytest

from monitor import api
from monitor.desk import Desk


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """A client of an API whose monitor is not there: what a route does fails, once it is reached."""
    transport = httpx.ASGITransport(api.build(cast("Desk", object())), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://monitor.test") as made:
        yield made


@pytest.mark.parametrize(
    ("method", "path", "status", "code", "said"),
    [
        ("GET", "/docs", 404, "not-found", "GET /docs: Not Found"),
        ("GET", "/v1/nope", 404, "not-found", "GET /v1/nope: Not Found"),
        ("POST", "/v1/drift", 405, "wrong-method", "POST /v1/drift: Method Not Allowed"),
        ("GET", "/v1/retrains?limit=x", 400, "bad-request", "limit: wanted a whole number"),
        ("GET", "/v1/incidents?state=opened", 400, "bad-request", "state: wanted open or resolved, found"),
        ("GET", "/v1/incidents?state=", 400, "bad-request", "state: wanted open or resolved, found ''"),
        ("GET", "/v1/webhooks?state=lost", 400, "bad-request", "state: wanted pending or delivered or dead"),
        ("GET", "/v1/incidents?state=open", 500, "error", "GET /v1/incidents: internal error"),
        ("GET", "/v1/status", 500, "error", "GET /v1/status: internal error; the log says more"),
    ],
)
async def test_every_error_has_a_code(
    client: httpx.AsyncClient, method: str, path: str, status: int, code: str, said: str
) -> None:
    """A program tells by the code what went wrong, also where no route was reached."""
    answer = await client.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["error"].startswith(said)
    assert ("allow" in answer.headers) == (status == 405)


async def test_the_root_says_what_the_port_has(client: httpx.AsyncClient) -> None:
    """Who asks for `/` reads which port this is, and its paths with their methods."""
    listed = (await client.get("/")).json()
    assert listed["port"] == "monitor"
    assert listed["paths"]["/v1/retrains/{event}"] == ["POST"]
    assert listed["paths"]["/v1/drift"] == ["GET"]
