"""Pages that belong to no protocol but ours: labels, metrics, the description of this port."""

import asyncio
from importlib.resources import files
from typing import Final
from urllib.parse import parse_qs

from gateway import labels
from gateway.errors import MalformedError
from gateway.openapi import describe
from gateway.pages.page import Exchange, get, post
from gateway.responses import OK, Response, document
from groundwork.openmetrics import shown

_HTML: Final = (b"content-type", b"text/html; charset=utf-8")
# The page runs one script of its own and asks this port only.
_POLICY: Final = (
    b"content-security-policy",
    b"default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'",
)

_TRUTH: Final = ("true", "false")


async def _labels(asked: Exchange) -> Response:
    return await labels.take(asked.premises.core, asked.model, await asked.body())


async def _metrics(asked: Exchange) -> Response:
    accept = asked.headers.get(b"accept", b"").decode("latin-1")

    def page() -> tuple[bytes, str]:
        return shown(asked.premises.exposition(), accept)

    text, kind = await asyncio.get_running_loop().run_in_executor(None, page)
    return Response(OK, ((b"content-type", kind.encode()),), text)


async def _openapi(asked: Exchange) -> Response:
    here = asked.premises
    wished = parse_qs(asked.query.decode("latin-1"))
    names, operator = wished.get("model", []), wished.get("operator", ["false"])[0]
    if operator not in _TRUTH:
        raise MalformedError(f"operator: wanted true or false, found {operator!r}")
    model = await here.core.find(names[0], None) if names else None
    told = describe(here.targets, here.version, model, keyed=here.keyed(), operator=operator == "true")
    return document(told)


async def _docs(_: Exchange) -> Response:
    page = await asyncio.to_thread(files("gateway.pages").joinpath("docs.html").read_bytes)
    return Response(OK, (_HTML, _POLICY), page)


LABELS: Final = post(_labels)
METRICS: Final = get(_metrics)
OPENAPI: Final = get(_openapi)
DOCS: Final = get(_docs)
