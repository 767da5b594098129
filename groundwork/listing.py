"""What a port answers who asks for its root: its name, and every path it has with the methods it takes.

    GET /    {"port": "monitor", "paths": {"/v1/status": ["GET"], …}}

Rules: the answer follows from the routes themselves, so none is left out and none told that is not there.
"""

from collections.abc import Sequence

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


def with_root(port: str, routes: Sequence[Route]) -> list[Route]:
    """The routes of a port, and before them its root, which lists them all in their order."""

    async def root(_request: Request) -> Response:
        return Response(body, media_type="application/json")

    listed = [Route("/", root), *routes]
    paths: dict[str, list[str]] = {}
    for route in listed:
        methods = paths.setdefault(route.path, [])
        methods += sorted({*(route.methods or ())} - {"HEAD", *methods})
    body = msgspec.json.encode({"port": port, "paths": paths})
    return listed
