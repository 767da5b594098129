"""The monitor's HTTP API, on its own port. Who may ask is decided before (`monitor.access`).

    GET  /                          these paths and their methods
    GET  /healthz  /metrics
    GET  /v1/config                 the settings in force: setting -> {"value", "source"}
    GET  /v1/status  /v1/drift[?model=&version=]  /v1/schemas[/TYPE]
    GET  /v1/incidents[?model=&state=&limit=]  /v1/incidents/ID
    GET  /v1/webhooks[?state=&limit=]  /v1/webhooks/EVENT
    POST /v1/webhooks/EVENT/replay[?endpoint=]  /v1/webhooks/test {"endpoint": NAME}
    GET  /v1/retrains[?limit=]
    POST /v1/retrains/EVENT {"state": "running|succeeded|failed", …}

Rules: answers are JSON, in the forms of `monitor.views`; an error is {"error": one line, "code": …} with the
right status and never a traceback; what costs file access runs in a thread; reading uses a read-only
connection of its own.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from groundwork import decoders
from groundwork.errors import DriftgateError, NoRoomError
from groundwork.listing import with_root
from groundwork.metrics import render
from groundwork.openmetrics import shown
from groundwork.series import SeriesKey
from monitor import access, events, metrics, outbox, reports, status, store, views
from monitor.desk import Desk
from monitor.errors import RequestError, UnknownError
from monitor.incidents import STATES as INCIDENT_STATES

T = TypeVar("T")
_MOST: Final = 1_000
_LARGEST_BODY: Final = 65_536
_STATUS: Final = {RequestError.code: 400, UnknownError.code: 404, NoRoomError.code: 507}
_CODES: Final = {404: UnknownError.code, 405: "wrong-method"}


def untold() -> Any:
    """Where nobody said what is to be told of the settings; UnknownError."""
    raise UnknownError("whoever started this monitor did not say where its settings came from; its flags do")


def build(
    desk: Desk,
    refusals: Callable[[], Mapping[SeriesKey, int]] = dict,
    in_force: Callable[[], Any] = untold,
) -> Starlette:
    """The application over one running monitor.

    `refusals` counts what never came this far; `in_force` tells of the settings in force (blocking).
    """
    api = Api(desk, refusals)

    async def config(_request: Request) -> Response:
        return _json(await asyncio.to_thread(in_force))

    routes = [
        Route("/healthz", api.healthz),
        Route("/metrics", api.metrics),
        Route("/v1/config", config),
        Route("/v1/status", api.status),
        Route("/v1/drift", api.drift),
        Route("/v1/schemas", api.schemas),
        Route("/v1/schemas/{name}", api.schema),
        Route("/v1/incidents", api.incidents),
        Route("/v1/incidents/{name}", api.incident),
        Route("/v1/webhooks", api.webhooks),
        Route("/v1/webhooks/test", api.test, methods=["POST"]),
        Route("/v1/webhooks/{event}", api.webhook),
        Route("/v1/webhooks/{event}/replay", api.replay, methods=["POST"]),
        Route("/v1/retrains", api.retrains),
        Route("/v1/retrains/{event}", api.report, methods=["POST"]),
    ]
    return Starlette(
        routes=with_root("monitor", routes),
        exception_handlers={DriftgateError: _refused, HTTPException: _failed, Exception: _broken},
    )


class Api:
    """The routes; each reads what it needs and answers."""

    def __init__(self, desk: Desk, refusals: Callable[[], Mapping[SeriesKey, int]]) -> None:
        self._desk = desk
        self._refusals = refusals
        self._one_reader = asyncio.Lock()

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        async with self._one_reader:
            return await asyncio.to_thread(work, self._desk.reading)

    async def healthz(self, request: Request) -> Response:
        """200 while the pipeline goes round."""
        del request
        problem = self._desk.problem()
        return _json(
            {"status": "failing", "problem": problem} if problem else {"status": "ok"},
            503 if problem else 200,
        )

    async def metrics(self, request: Request) -> Response:
        """Prometheus text, or OpenMetrics where it is asked for."""
        accept = request.headers.get("accept", "")
        totals = dict(self._desk.shown.series)
        deliveries = await self._read(outbox.counts)
        totals.update(self._desk.series(deliveries, await asyncio.to_thread(self._desk.behind)))
        totals.update(self._refusals())
        instruments = (*metrics.INSTRUMENTS, *access.INSTRUMENTS)
        text, kind = await asyncio.to_thread(lambda: shown(render(instruments, totals), accept))
        return Response(text, headers={"content-type": kind})

    async def status(self, request: Request) -> Response:
        """Everything at a glance."""
        del request
        document = status.status(self._desk.shown)
        incidents = await self._read(lambda db: store.load_incidents(db, state="open"))
        health = await asyncio.to_thread(self._desk.health)
        told = {"labels": await self._labels(), "incidents": [*map(views.incident, incidents)]}
        return _json({**document, **health, **told})

    async def drift(self, request: Request) -> Response:
        """Every signal: evidence, threshold, effect; and how far the log has been read."""
        model, version = request.query_params.get("model"), request.query_params.get("version")
        versions = await asyncio.to_thread(self._desk.drift, model, version)
        if model and not versions and not await asyncio.to_thread(self._desk.pipeline.knows, model, version):
            named = f"model {model[:100]!r}" + (f" version {version[:100]!r}" if version else "")
            raise UnknownError(f"there is no {named} in the registry, and the monitor has seen no rows of it")
        labels = await self._labels(model)
        lag = await asyncio.to_thread(self._desk.lag)
        return _json({"versions": versions, "labels": labels, "lag": lag})

    async def _labels(self, model: str | None = None) -> list[dict[str, Any]]:
        waiting = await self._read(store.load_waiting)
        return status.labels(self._desk.shown.series, waiting, model)

    async def schemas(self, request: Request) -> Response:
        """JSON schemas of the data of every event type."""
        del request
        return _json(events.schemas())

    async def schema(self, request: Request) -> Response:
        """One of them."""
        name = request.path_params["name"]
        found = events.schemas().get(name)
        if found is None:
            raise UnknownError(f"no event type {name!r}; there are {', '.join(events.DATA)}")
        return _json(found)

    async def incidents(self, request: Request) -> Response:
        """The newest first."""
        query, limit, state = request.query_params, _limit(request), _state(request, INCIDENT_STATES)
        found = await self._read(
            lambda db: store.load_incidents(db, model=query.get("model"), state=state, limit=limit)
        )
        return _json({"incidents": [*map(views.incident, found)]})

    async def incident(self, request: Request) -> Response:
        """One by id."""
        name = request.path_params["name"]
        found = await self._read(lambda db: store.load_incident(db, name))
        if found is None:
            raise UnknownError(f"no incident {name!r}; GET /v1/incidents lists them")
        return _json(views.incident(found))

    async def webhooks(self, request: Request) -> Response:
        """Endpoints, and deliveries, newest first."""
        state, limit = _state(request, outbox.STATES), _limit(request)
        found = await self._read(lambda db: outbox.listed(db, state=state, limit=limit))
        switched_off = await self._read(outbox.switched_off)
        deliveries = [*map(views.delivery, found)]
        return _json({"endpoints": self._desk.endpoints(switched_off), "deliveries": deliveries})

    async def webhook(self, request: Request) -> Response:
        """One event: its body, and every delivery of it with every attempt."""
        event = request.path_params["event"]
        found = await self._read(lambda db: outbox.listed(db, event=event))
        content = await self._read(lambda db: outbox.body_of(db, event))
        if content is None:
            raise UnknownError(f"no event {event!r}; GET /v1/webhooks lists deliveries")
        return _json({"event": msgspec.Raw(content), "deliveries": [*map(views.delivery, found)]})

    async def replay(self, request: Request) -> Response:
        """Deliver an event again, with the same id."""
        event, endpoint = request.path_params["event"], request.query_params.get("endpoint")
        again = await self._desk.dispatcher.replay(event, endpoint)
        if not again:
            raise UnknownError(
                f"nothing to replay for event {event!r}: it is not there, or is pending already"
            )
        return _json({"event": event, "deliveries": again})

    async def test(self, request: Request) -> Response:
        """Send a signed test now; says what the receiver answered."""
        asked = await _body(request, reports.TestOrder)
        return _json(await self._desk.send_test(asked))

    async def retrains(self, request: Request) -> Response:
        """Requests to retrain, newest first, with what was reported of them."""
        limit = _limit(request)
        return _json({"retrains": await self._read(lambda db: reports.listed(db, limit))})

    async def report(self, request: Request) -> Response:
        """A training job says how it goes."""
        event = request.path_params["event"]
        told = await _body(request, reports.Report)
        await self._desk.report(event, told)
        return _json({"event": event, "state": told.state})


def _limit(request: Request) -> int:
    text = request.query_params.get("limit", "100")
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:9]) <= _MOST):
        raise RequestError(f"limit: wanted a whole number from 1 to {_MOST}, found {text[:40]!r}")
    return int(text)


def _state(request: Request, states: Sequence[str]) -> str | None:
    """The one asked for, None for any; a state that nothing is ever in would look like good news."""
    state = request.query_params.get("state")
    if state is not None and state not in states:
        raise RequestError(f"state: wanted {' or '.join(states)}, found {state[:40]!r}")
    return state


async def _body(request: Request, kind: type[T]) -> T:
    content = b""
    async for piece in request.stream():
        content += piece
        if len(content) > _LARGEST_BODY:
            raise RequestError(f"the body is larger than {_LARGEST_BODY} bytes; send less")
    try:
        return decoders.json_of(kind).decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RequestError(f"the body cannot be read: {error}") from None


def _json(document: Any, code: int = 200) -> Response:
    return Response(msgspec.json.encode(document), code, media_type="application/json")


async def _refused(request: Request, error: Exception) -> Response:
    del request
    code = error.code if isinstance(error, DriftgateError) else "error"
    return _json({"error": str(error), "code": code}, _STATUS.get(code, 503))


async def _failed(request: Request, error: Exception) -> Response:
    misuse = error if isinstance(error, HTTPException) else HTTPException(400)
    answer = _fault(
        request, misuse.detail, _CODES.get(misuse.status_code, RequestError.code), misuse.status_code
    )
    answer.headers.update(misuse.headers or {})
    return answer


async def _broken(request: Request, error: Exception) -> Response:
    del error
    return _fault(request, "internal error; the log says more", DriftgateError.code, 500)


def _fault(request: Request, said: str, code: str, status: int) -> Response:
    return _json({"error": f"{request.method} {request.url.path}: {said}", "code": code}, status)
