"""Tests of groundwork.listing."""

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from groundwork.listing import with_root


async def nothing(_request: Request) -> Response:
    """A route that is never asked."""
    return Response()


async def test_the_root_lists_every_path_with_its_methods() -> None:
    """Each path stands once, in the order of the routes, with every method that it takes but HEAD."""
    routes = [Route("/v1/a", nothing), Route("/v1/b/{x}", nothing), Route("/v1/a", nothing, methods=["POST"])]
    transport = httpx.ASGITransport(Starlette(routes=with_root("monitor", routes)))
    async with httpx.AsyncClient(transport=transport, base_url="http://port") as client:
        answer = await client.get("/")
        assert (await client.head("/")).status_code == 200
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() == {
        "port": "monitor",
        "paths": {"/": ["GET"], "/v1/a": ["GET", "POST"], "/v1/b/{x}": ["GET"]},
    }
