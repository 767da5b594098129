"""The operator API over HTTP: paths, bodies, statuses. What it does is `gateway.console`.

    GET  /                          these paths and their methods
    GET  /v1/models, /v1/models/{model}
    GET  /v1/rollouts/{model}, /v1/rollouts/{model}/history?after=N, /v1/history?after=N
    POST /v1/rollouts/{model}/{start|set-weight|promote|pause|resume|abort|undo}
    GET  /v1/workers                who serves, since when, and which versions are not loaded for a while
    POST /v1/workers/recycle        replace every worker, one by one
    GET  /v1/config                 the settings in force: setting -> {"value", "source"}
    POST /v1/config/reload          take up changed settings; 202 where that has to wait
    GET  /metrics, /healthz

Every error is `{"error": "...", "code": "..."}`. `who` and `why` may also come as the headers X-Driftgate-Who
and X-Driftgate-Why, the expected revision as If-Match. Who may ask is decided before (`gateway.access`).
Where keys are asked for, history has the key's name before what `who` says.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.catalogue import Catalogue
from gateway.console import Console, Wish
from gateway.digits import is_number
from gateway.errors import LoadError, MalformedError, NotFoundError, TooLargeError, WrongMethodError
from gateway.line import BusyError, SupervisorError
from gateway.order import Verb
from gateway.reload import RestartError
from gateway.responses import status_of
from groundwork import decoders
from groundwork.errors import DriftgateError, LockedError, NoRoomError, SettingsError
from groundwork.gate import CALLER
from groundwork.listing import with_root
from groundwork.openmetrics import shown
from registry_client.errors import RegistryError
from rollouts.errors import ConflictError, RouteError, SpecError

VERBS: Final = ("start", "set-weight", "promote", "pause", "resume", "abort", "undo")
BODY_BYTES: Final = 1 << 20
WHO_CHARACTERS: Final = 200
WHY_CHARACTERS: Final = 4000
"""Of what is longer the beginning is kept: every screen shows it, and going back must find room for it."""
STATUS: Final[tuple[tuple[type[DriftgateError], int], ...]] = (
    (ConflictError, 409),
    (RouteError, 409),
    (SpecError, 400),
    (LoadError, 422),
    (BusyError, 409),
    (RestartError, 409),
    (SettingsError, 409),
    (SupervisorError, 503),
    (LockedError, 503),
    (NoRoomError, 507),
    (RegistryError, 502),
)
_CODES: Final = {404: NotFoundError.code, 405: WrongMethodError.code}
_JSON: Final = "application/json"

Endpoint = Callable[[Request], Awaitable[Response]]


class Supervised(Protocol):
    """Who is asked for what concerns all workers together; see `gateway.line.Line`."""

    async def ask(self, verb: Verb, who: str = "") -> Any:
        """The supervisor's answer."""
        ...


def build_operator(
    console: Console, catalogue: Catalogue, exposition: Callable[[], bytes], supervisor: Supervised
) -> Starlette:
    """The ASGI application of the operator port; `exposition` renders /metrics and is called in a thread."""

    async def metrics(request: Request) -> Response:
        accept = request.headers.get("accept", "")
        text, kind = await asyncio.to_thread(lambda: shown(exposition(), accept))
        return Response(text, headers={"content-type": kind})

    async def healthz(_request: Request) -> Response:
        return _answer({"status": "ok"})

    routes = [
        *_routes_of_models(catalogue),
        *_routes_of_rollouts(console),
        *_routes_of_workers(supervisor),
        Route("/metrics", metrics),
        Route("/healthz", healthz),
    ]
    return Starlette(
        routes=with_root("operator", routes),
        exception_handlers={DriftgateError: _refused, HTTPException: _misused, Exception: _broken},
    )


def _routes_of_models(catalogue: Catalogue) -> list[Route]:
    """What there is to answer with."""

    async def models(_request: Request) -> Response:
        return _answer(await asyncio.to_thread(catalogue.models))

    async def model(request: Request) -> Response:
        return _answer(await asyncio.to_thread(catalogue.model, request.path_params["model"]))

    return [Route("/v1/models", models), Route("/v1/models/{model}", model)]


def _routes_of_rollouts(console: Console) -> list[Route]:
    """What should answer: how it stands, how that came to be, and the verbs that change it."""

    async def status(request: Request) -> Response:
        return _answer(await console.status(request.path_params["model"]))

    async def history(request: Request) -> Response:
        return _answer(await console.history(request.path_params.get("model"), _after(request)))

    async def act(request: Request) -> Response:
        verb = request.path_params["verb"]
        if verb not in VERBS:
            raise NotFoundError(f"there is no verb {verb[:40]!r}; there are {', '.join(VERBS)}")
        wish, gone = await _wish(request), request.is_disconnected
        return _answer(await console.act(request.path_params["model"], verb, wish, gone))

    return [
        Route("/v1/history", history),
        Route("/v1/rollouts/{model}", status),
        Route("/v1/rollouts/{model}/history", history),
        Route("/v1/rollouts/{model}/{verb}", act, methods=["POST"]),
    ]


def _routes_of_workers(supervisor: Supervised) -> list[Route]:
    """What concerns all workers together."""

    async def workers(_request: Request) -> Response:
        return _answer(await supervisor.ask("workers"))

    async def recycle(request: Request) -> Response:
        return _answer(await supervisor.ask("recycle", (await _wish(request)).who), 202)

    async def config(_request: Request) -> Response:
        return _answer(await supervisor.ask("config"))

    async def reload(request: Request) -> Response:
        came = await supervisor.ask("reload", (await _wish(request)).who)
        return _answer(came, 202 if came.get("waits") else 200)

    return [
        Route("/v1/workers", workers),
        Route("/v1/workers/recycle", recycle, methods=["POST"]),
        Route("/v1/config", config),
        Route("/v1/config/reload", reload, methods=["POST"]),
    ]


async def _wish(request: Request) -> Wish:
    """The body and headers of an acting verb as one wish."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES:
            raise TooLargeError(f"a command has at most {BODY_BYTES} bytes")
    try:
        wish = decoders.json_of(Wish).decode(body or b"{}")
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise MalformedError(f"this is not a command: {error}") from None
    revision = wish.revision if wish.revision is not None else _revision(request.headers.get("if-match"))
    who = _cut(wish.who or _text(request, "x-driftgate-who"), WHO_CHARACTERS)
    who = _signed(request.scope.get(CALLER, ""), who)
    why = _cut(wish.why or _text(request, "x-driftgate-why"), WHY_CHARACTERS)
    return msgspec.structs.replace(wish, who=who, why=why, revision=revision)


def _text(request: Request, header: str) -> str:
    """A header's text, which starlette takes for Latin-1 and people write in UTF-8; "" without one."""
    return request.headers.get(header, "").encode("latin-1").decode("utf-8", "replace")


def _cut(said: str, most: int) -> str:
    return said if len(said) <= most else f"{said[: most - 1]}…"


def _signed(key: str, said: str) -> str:
    """Who acts, for history: a key's name is known, what a caller says is only said."""
    return said if key in ("", said) else f"{key} (for: {said})" if said else key


def _revision(tag: str | None) -> int | None:
    """The revision an If-Match header asks for: 7, "7" or "r7"."""
    if tag is None or tag.strip() == "*":
        return None
    digits = tag.strip().strip('"').removeprefix("r")
    if not is_number(digits):
        raise MalformedError(f'If-Match is {tag[:40]!r}, wanted a route\'s revision such as "7"')
    return int(digits)


def _after(request: Request) -> int:
    text = request.query_params.get("after", "0")
    if not is_number(text):
        raise MalformedError(f"after is {text[:40]!r}, wanted a history row's number such as 0")
    return int(text)


def _answer(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, headers={"content-type": _JSON})


async def _refused(_request: Request, error: Exception) -> Response:
    known = error if isinstance(error, DriftgateError) else DriftgateError(str(error))
    for kind, status in STATUS:
        if isinstance(known, kind):
            return _answer({"error": str(known), "code": known.code}, status)
    return _answer({"error": str(known), "code": known.code}, status_of(known))


async def _misused(request: Request, error: Exception) -> Response:
    misuse = error if isinstance(error, HTTPException) else HTTPException(400)
    code = _CODES.get(misuse.status_code, MalformedError.code)
    said = f"{request.method} {request.url.path}: {misuse.detail}"
    answer = _answer({"error": said, "code": code}, misuse.status_code)
    answer.headers.update(misuse.headers or {})
    return answer


async def _broken(_request: Request, _error: Exception) -> Response:
    return _answer({"error": "the gateway failed at this; its log says why", "code": "error"}, 500)
