"""The data port: a raw ASGI application that finds what a path and a method mean, and answers.

Rules:

1. Whatever is asked, the answer is JSON (metrics apart), and `{"error": ...}` where it is no success. What is
   our own mistake is told to the operator in full and to the client in one line.
2. A request that was to be predicted and is refused is in the prediction log, whatever refused it.
   What the gate refuses (no key, not its scope, beyond its rate) is counted and told, never logged there: a
   stranger must not be able to fill a disk.
3. A request costs no framework: no router, no request object, no middleware (each measured at 1.3 to 5 times
   the cost of all the rest).
"""

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from importlib.metadata import version as installed_version
from pkgutil import resolve_name
from types import MappingProxyType
from typing import Any, Final

import msgspec

from gateway import labels
from gateway.admission import data_scope
from gateway.call import Call
from gateway.core import Core
from gateway.errors import EncodingError, NotFoundError, TooLargeError, WrongMethodError
from gateway.model import LoadedModel
from gateway.paths import Paths, Target
from gateway.protocols.codec import PROTOCOLS, Codec, Headers
from gateway.responses import FAILED, OK, Response, document, refused
from gateway.tensors import Tensor
from groundwork.denials import Denial
from groundwork.errors import DriftgateError
from groundwork.gate import OPEN, Gate, deny
from groundwork.keys import INFER
from groundwork.logs import Log
from groundwork.metrics import CONTENT_TYPE

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Exposition = Callable[[], bytes]

NOT_READY: Final = 503
PLATFORM: Final = "onnx_onnxv1"
EXTENSIONS: Final = ("binary_tensor_data",)
_INTERNAL: Final = Response(
    FAILED, refused(DriftgateError()).headers, b'{"error":"internal error; see the log"}'
)


class Exchange(msgspec.Struct, frozen=True, gc=False):
    """One request as an endpoint sees it."""

    model: str
    version: str | None
    headers: Headers
    receive: Receive


Endpoint = Callable[["DataPort", Exchange], Awaitable[Response]]
Methods = Mapping[str, Endpoint]


class Route(msgspec.Struct, frozen=True, gc=False):
    """What a template leads to: a codec for predictions, or endpoints by method; and the scope it wants."""

    scope: str | None
    leads: Codec | Methods


class GoneError(Exception):
    """The client left before its request was whole; nobody is there to be answered."""


class DataPort:
    """The ASGI application; `exposition` renders /metrics and is called in a thread."""

    def __init__(self, core: Core, exposition: Exposition, log: Log, gate: Gate | None) -> None:
        self._gate = gate
        self.core = core
        self.exposition = exposition
        self.version = installed_version("driftgate")
        self._log = log
        self._limit = core.settings.requests.max_body_bytes
        codecs: dict[str, Codec | Methods] = {path: resolve_name(name) for path, name in PROTOCOLS.items()}
        entries = {**codecs, **_ENDPOINTS}
        self.routes = {path: Route(data_scope(path), entry) for path, entry in entries.items()}
        self._paths = Paths(self.routes)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one HTTP request; other kinds of connection are not taken."""
        if scope["type"] != "http":
            raise NotImplementedError(f"the data port speaks HTTP, not {scope['type']}")
        target = self._paths.find(scope.get("raw_path") or scope["path"].encode())
        headers: Headers = dict(scope["headers"])
        passed, gate = OPEN, self._gate
        if gate is not None and gate.keys.closed:
            admitted = gate.admit(headers, INFER if target is None else target.entry.scope, scope)
            if isinstance(admitted, Denial):
                await deny(admitted, send)
                return
            passed = admitted
        try:
            answer = await self._answer(target, scope, headers, receive)
        except GoneError:
            return
        except Exception:  # noqa: BLE001  a mistake of ours costs one request, not the connection
            self._log.error("request-failed", path=scope["path"], fault=traceback.format_exc())
            answer = _INTERNAL
        finally:
            if gate is not None and passed.counted:
                gate.keys.leave(passed)
        body = answer.body
        told = [*answer.headers, (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": answer.status, "headers": told})
        await send({"type": "http.response.body", "body": body if scope["method"] != "HEAD" else b""})

    async def body(self, headers: Headers, receive: Receive) -> bytes:
        """The whole body.

        Raises:
            TooLargeError: it is longer than the limit; what was read is forgotten.
            EncodingError: it is compressed.
            GoneError: the client left.
        """
        length = headers.get(b"content-length", b"0")
        if b"content-encoding" in headers and headers[b"content-encoding"] != b"identity":
            raise EncodingError("compressed bodies are not read here; send it without Content-Encoding")
        if length.isdigit() and int(length) > self._limit:
            raise self._too_large()
        message = await receive()
        if message["type"] != "http.request":
            raise GoneError
        first: bytes = message.get("body", b"")
        if not message.get("more_body", False):
            if len(first) > self._limit:
                raise self._too_large()
            return first
        return await self._rest(first, receive)

    async def _answer(
        self, target: Target | None, scope: MutableMapping[str, Any], headers: Headers, receive: Receive
    ) -> Response:
        if target is None:
            return refused(NotFoundError(f"there is nothing at {scope['path'][:200]!r}"))
        codec = target.entry.leads
        if isinstance(codec, Mapping):
            return await self._ask(target, scope, headers, receive)
        core = self.core
        started = core.clock.monotonic()
        try:
            if scope["method"] != "POST":
                raise WrongMethodError(f"{scope['method']} is not for predictions; use POST", "POST")
            body = await self.body(headers, receive)
        except DriftgateError as error:
            return core.refuse(error, target.model, target.version, started)
        answer = core.begin(Call(codec, target.model, target.version, headers, body))
        return answer if isinstance(answer, Response) else await answer

    async def _ask(
        self, target: Target, scope: MutableMapping[str, Any], headers: Headers, receive: Receive
    ) -> Response:
        methods: Methods = target.entry.leads
        endpoint = methods.get(scope["method"])
        try:
            if endpoint is None:
                allow = ", ".join(methods)
                raise WrongMethodError(f"{scope['method']} does not work here; use {allow}", allow)
            return await endpoint(self, Exchange(target.model, target.version, headers, receive))
        except DriftgateError as error:
            return refused(error)

    async def _rest(self, first: bytes, receive: Receive) -> bytes:
        parts, size, more = [first], len(first), True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                raise GoneError
            part = message.get("body", b"")
            size += len(part)
            if size > self._limit:
                raise self._too_large()
            parts.append(part)
            more = message.get("more_body", False)
        return b"".join(parts)

    def _too_large(self) -> TooLargeError:
        return TooLargeError(f"the body is longer than {self._limit} bytes; send fewer rows at a time")


def build_asgi(core: Core, exposition: Exposition, log: Log, gate: Gate | None = None) -> DataPort:
    """The ASGI application of the data port; `exposition` renders /metrics and is called in a thread.

    Everybody may ask without a `gate`.
    """
    return DataPort(core, exposition, log, gate)


async def _server(port: DataPort, _: Exchange) -> Response:
    return document({"name": "driftgate", "version": port.version, "extensions": EXTENSIONS})


async def _live(port: DataPort, _: Exchange) -> Response:
    return document({"live": True, "ready": port.core.ready})


async def _ready(port: DataPort, _: Exchange) -> Response:
    ready = port.core.ready
    return document({"live": True, "ready": ready}, OK if ready else NOT_READY)


async def _model(port: DataPort, exchange: Exchange) -> Response:
    model = await port.core.find(exchange.model, exchange.version)
    versions = port.core.table[model.name].versions
    return document(describe(model, sorted({*versions, model.version}, key=int)))


async def _model_ready(port: DataPort, exchange: Exchange) -> Response:
    model = await port.core.find(exchange.model, exchange.version)
    return document({"name": model.name, "ready": True})


async def _labels(port: DataPort, exchange: Exchange) -> Response:
    body = await port.body(exchange.headers, exchange.receive)
    return await labels.take(port.core, exchange.model, body)


async def _metrics(port: DataPort, _: Exchange) -> Response:
    text = await asyncio.get_running_loop().run_in_executor(None, port.exposition)
    return Response(OK, ((b"content-type", CONTENT_TYPE.encode()),), text)


def describe(model: LoadedModel, versions: list[str]) -> dict[str, Any]:
    """The metadata document of a version; `versions` are those in memory."""
    return {
        "name": model.name,
        "versions": versions,
        "platform": PLATFORM,
        "inputs": [_tensor(tensor) for tensor in model.inputs.values()],
        "outputs": [_tensor(tensor) for tensor in model.outputs],
    }


def _tensor(tensor: Tensor) -> dict[str, Any]:
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}


def _get(endpoint: Endpoint) -> Methods:
    return MappingProxyType({"GET": endpoint, "HEAD": endpoint})


_ENDPOINTS: Final[Mapping[str, Methods]] = MappingProxyType(
    {
        "/v2": _get(_server),
        "/v2/health/live": _get(_live),
        "/v2/health/ready": _get(_ready),
        "/v2/models/{model}": _get(_model),
        "/v2/models/{model}/ready": _get(_model_ready),
        "/v2/models/{model}/versions/{version}": _get(_model),
        "/v2/models/{model}/versions/{version}/ready": _get(_model_ready),
        "/v2/models/{model}/labels": MappingProxyType({"POST": _labels}),
        "/metrics": _get(_metrics),
    }
)
