"""What happens between gRPC's server and the core: one call, from its bytes and metadata to its status.

Rules:

1. Keys come first, before the message is read (`gateway.grpc_port.incoming`); metadata are HTTP's headers.
2. A message is parsed here (a large one where large bodies are), never by gRPC, which would call a
   malformed one an error of ours.
3. A request that was to be predicted and is refused is in the prediction log, as on the data port.
4. A client that leaves takes its call back: gRPC cancels the task that answers it, and the core knows what
   has not begun yet.
5. What is our own mistake is told to the operator in full and to the client in one line.
"""

import asyncio
import contextlib
import traceback
from collections.abc import Awaitable, Callable
from typing import Any, Final

from google.protobuf.message import DecodeError
from grpc.aio import AbortError

from gateway import asgi
from gateway.call import Call
from gateway.core import Core
from gateway.errors import MalformedError, TooLargeError, UnsupportedError
from gateway.grpc_port.codec import InferCodec, WireCodec, parse
from gateway.grpc_port.incoming import Incomings
from gateway.grpc_port.methods import Asked, Rpc
from gateway.grpc_port.relay import address_of
from gateway.grpc_port.schema import Method, Schema
from gateway.grpc_port.statuses import code_of, metadata_of, sentence_of
from gateway.grpc_port.wire import addressed
from gateway.pages.page import Premises
from gateway.protocols.codec import Headers
from gateway.responses import OK, Response, refused
from groundwork.denials import Denial
from groundwork.errors import DriftgateError
from groundwork.gate import OPEN, Gate, Pass
from groundwork.keys import INFER
from groundwork.logs import Log

Context = Any
"""grpc.aio.ServicerContext; grpcio publishes no types."""
Handler = Callable[[Any, Context], Awaitable[bytes]]
STREAM_SECONDS: Final = 1.0
"""How long a stream that is refused may keep its first request to itself."""
_INTERNAL: Final = "internal error; see the log"


class Calls:
    """Answers calls; owned by one worker's loop."""

    def __init__(
        self, premises: Premises, gate: Gate | None, schema: Schema, log: Log, incomings: Incomings
    ) -> None:
        """`gate` None asks nobody for a key; messages are those of `incomings`."""
        self._incomings = incomings
        self.premises = premises
        self.schema = schema
        self._core: Core = premises.core
        self._gate = gate
        self._log = log
        self._inline = self._core.settings.requests.inline_body_bytes
        self._response = schema.messages["ModelInferResponse"]

    async def infer(self, _messages: Any, context: Context) -> bytes:
        """ModelInfer: the serialized answer, or an abort."""
        started = self._core.clock.monotonic()
        headers = headers_of(context)
        passed = await self.admit(INFER, "ModelInfer", headers, context)
        try:
            body = await self._incomings.read(context, headers, most=None)
            answer = self._begin(body, headers, context.time_remaining(), started)
            if not isinstance(answer, Response):
                answer = await answer
        except DriftgateError as error:
            answer = self._core.refuse(error, "", None, started, InferCodec.fault)
        except Exception:  # noqa: BLE001  a mistake of ours costs one call, not the worker
            answer = self._mistake("ModelInfer")
        finally:
            self._incomings.answered(headers)
            self.leave(passed)
        if answer.status == OK:
            context.set_trailing_metadata(metadata_of(answer.headers))
            if answer.room is not None:
                answer.room.hold(0)  # it counts with its connection's from now on
            return self._incomings.made(headers, answer.body)
        return await _abort(context, answer)

    def handler(self, name: str, method: Method, rpc: Rpc) -> Handler:
        """What answers a method that is not inference."""

        async def answer(_messages: Any, context: Context) -> bytes:
            headers = headers_of(context)
            passed = await self.admit(rpc.scope, name, headers, context)
            try:
                body = await self._incomings.read(context, headers)
                asked = Asked(self.premises, _message(method, name, body), passed.name)
                told = bytes(method.answered(**await rpc.answers(asked)).SerializeToString())
                return self._incomings.made(headers, told)
            except DriftgateError as error:
                long = rpc.longer and isinstance(error, TooLargeError)
                fault = refused(UnsupportedError(rpc.longer) if long else error, InferCodec.fault)
            except Exception:  # noqa: BLE001  as in `infer`
                fault = self._mistake(name)
            finally:
                self._incomings.answered(headers)
                self.leave(passed)
            return await _abort(context, fault)

        return answer

    async def stream(self, _messages: Any, context: Context) -> None:
        """ModelStreamInfer is not offered, and says so: a client that waits would wait for ever.

        It says so to the first request. A released client whose stream has ended before raises, at that
        request, that its stream is not valid, and tells nobody why.
        """
        headers = headers_of(context)
        passed = await self.admit(INFER, "ModelStreamInfer", headers, context)
        try:
            with contextlib.suppress(DriftgateError):
                await self._incomings.read(context, headers, most=None, seconds=STREAM_SECONDS)
        finally:
            self.leave(passed)
        sentence = b"streams are not offered; send each request with ModelInfer"
        await _abort(context, Response(501, (), sentence))

    async def admit(self, scope: str | None, name: str, headers: Headers, context: Context) -> Pass:
        """The pass of the caller's key, to be given to `leave`; aborts the call where there is none."""
        gate = self._gate
        if gate is None or scope is None or not gate.keys.closed:
            return OPEN
        address = address_of(context.peer())
        path = f"/{self.schema.service}/{name}"
        found = gate.admit(headers, scope, {"client": (address, 0), "method": "POST", "path": path})
        if isinstance(found, Denial):
            await _abort(context, Response(found.status, found.headers, found.sentence.encode()))
        else:
            return found
        raise AssertionError  # an abort never returns

    def leave(self, passed: Pass) -> None:
        """Give back what a key's share was taken from."""
        if self._gate is not None and passed.counted:
            self._gate.keys.leave(passed)

    def _begin(
        self, body: bytes, headers: Headers, left: float | None, started: float
    ) -> Response | Awaitable[Response]:
        if len(body) > self._inline:
            return self._begin_away(body, headers, left, started)
        try:
            message = parse(self.schema, body)
        except DriftgateError as error:
            return self._core.refuse(error, "", None, started, InferCodec.fault)
        return self._core.begin(self._call(message, headers, left, body))

    async def _begin_away(
        self, body: bytes, headers: Headers, left: float | None, started: float
    ) -> Response:
        try:
            model, version = await asyncio.to_thread(addressed, body)
        except DriftgateError as error:
            return self._core.refuse(error, "", None, started, InferCodec.fault)
        answer = self._core.begin(Call(WireCodec(), model, version or None, headers, body, left))
        return answer if isinstance(answer, Response) else await answer

    def _call(self, message: Any, headers: Headers, left: float | None, body: bytes) -> Call:
        codec = InferCodec(message, self._response)
        version = message.model_version or None
        return Call(codec, message.model_name, version, headers, body, left)

    def _mistake(self, name: str) -> Response:
        self._log.error("request-failed", path=f"/{self.schema.service}/{name}", fault=traceback.format_exc())
        return refused(DriftgateError(_INTERNAL), InferCodec.fault)


def headers_of(context: Context) -> dict[bytes, bytes]:
    """A call's metadata as headers: lower-case names, several of one name with commas between them."""
    return asgi.headers_of(
        [
            (name.encode(), value.encode() if isinstance(value, str) else value)
            for name, value in context.invocation_metadata() or ()
        ]
    )


def _message(method: Method, name: str, body: bytes) -> Any:
    try:
        return method.asked.FromString(body)
    except DecodeError:
        raise MalformedError(f"the {len(body)} bytes sent are no request of {name}") from None


async def aborted(context: Context, error: DriftgateError) -> bytes:
    """End the call with an error's status; never returns."""
    return await _abort(context, refused(error, InferCodec.fault))


async def _abort(context: Context, answer: Response) -> bytes:
    """End the call with an answer's status; never returns."""
    await context.abort(code_of(answer.status), sentence_of(answer.body), metadata_of(answer.headers))
    raise AbortError
