"""The data port: a raw ASGI application that finds what a path and a method mean, and answers.

Rules:

1. An answer that is no success is JSON in the error shape of its protocol, mostly `{"error": ...}`. What is
   our own mistake is told to the operator in full and to the client in one line.
2. A request that was to be predicted and is refused is in the prediction log, whatever refused it.
   What the gate refuses (no key, not its scope, beyond its rate) is counted and told, never logged there: a
   stranger must not be able to fill a disk.
3. A request costs no framework: no router, no request object, no middleware (each measured at 1.3 to 5 times
   the cost of all the rest).
"""

import functools
import traceback
from collections.abc import Awaitable, Callable
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Final

from gateway.asgi import Scope, Send, coding_for, compressed, deliver, headers_of, read_body
from gateway.away import Away
from gateway.body_room import BodyRoom
from gateway.call import Call
from gateway.core import Core, Pending
from gateway.destinations import destinations_of, targets_of
from gateway.errors import NotFoundError, WrongMethodError
from gateway.pages.page import Exchange, Page, Premises, default_model, labelled_version
from gateway.parting import GoneError, Receive, unless_gone
from gateway.paths import Paths, Target
from gateway.protocols.codec import Headers
from gateway.repository import Repository
from gateway.responses import JSON, OK, Response, plain_fault, refused
from groundwork.denials import Denial
from groundwork.errors import DriftgateError
from groundwork.gate import OPEN, Gate, Pass
from groundwork.keys import INFER
from groundwork.logs import Log
from groundwork.ports import is_loopback

Exposition = Callable[[], bytes]

_INTERNAL: Final = "internal error; see the log"
_SLOTS: Final = Path("slots")
_READS: Final = ("GET", "HEAD")


class DataPort:
    """The ASGI application of the data port; `exposition` renders /metrics and is called in a thread.

    Everybody may ask without a `gate`. Statistics are read from `slots_folder`; without a `repository` there
    is no index and no command.
    """

    def __init__(
        self,
        core: Core,
        exposition: Exposition,
        log: Log,
        gate: Gate | None = None,
        *,
        slots_folder: Path = _SLOTS,
        repository: Repository | None = None,
    ) -> None:
        self._gate = gate
        self.core = core
        self._log = log
        self._requests = core.settings.requests
        self.room = BodyRoom(self._requests)
        self._local = is_loopback(core.settings.http.host)
        targets = targets_of(core.settings.platform)
        self.premises = Premises(
            core,
            exposition,
            installed_version("driftgate"),
            slots_folder,
            repository,
            lambda: self._local or self._keyed(),
            self._keyed,
            targets,
        )
        self.destinations = destinations_of(core.settings.platform, targets)
        self._paths = Paths(self.destinations)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request; other kinds of connection are not taken."""
        if scope["type"] != "http":
            raise NotImplementedError(f"the data port speaks HTTP, not {scope['type']}")
        target = self._paths.find(scope.get("raw_path") or scope["path"].encode())
        if target is not None and target.entry.beside is not None and scope["method"] in _READS:
            target = Target(target.entry.beside)
        headers: Headers = headers_of(scope["headers"])
        passed, gate = OPEN, self._gate
        if gate is not None and gate.keys.closed:
            admitted = gate.admit(headers, INFER if target is None else target.entry.scope, scope)
            if isinstance(admitted, Denial):
                await deliver(self._denied(admitted, target), send)
                return
            passed = admitted
        share = self.room.share()
        try:
            read = functools.partial(read_body, headers, receive, self._requests, share)
            answer = await self._answer(target, scope, headers, receive, passed, read)
        except GoneError:
            return
        except Exception:  # noqa: BLE001  a mistake of ours costs one request, not the connection
            answer = self._mistake(target, scope)
        finally:
            share.give_back()
            if gate is not None and passed.counted:
                gate.keys.leave(passed)
        accepts = headers.get(b"accept-encoding")
        if accepts is not None and answer.status == OK:
            is_page = target is not None and isinstance(target.entry.leads, Page)
            answer = await compressed(answer, accepts, self._requests, is_page=is_page)
        await deliver(answer, send, bodiless=scope["method"] == "HEAD")

    def quick(self, path: bytes) -> Target | None:
        """What a raw path leads to when that is a protocol's and names its model; None for all else."""
        target = self._paths.find(path)
        if target is None or isinstance(target.entry.leads, Page):
            return None
        return target if target.entry.named and target.label is None else None

    def predict(self, target: Target, headers: Headers, body: bytes, asked: Scope) -> Response | Pending:
        """Answer a POST whose body is here and is not compressed, just as `__call__` would; never raises.

        `target` came from `quick`; of `asked`, as of an ASGI scope, the client, the method and the path are
        used. A coroutine must be awaited: a key's share may be held until it ends. An `Away` may be awaited,
        or told of its run's end and then given to `ended`.
        """
        passed, gate = OPEN, self._gate
        if gate is not None and gate.keys.closed:
            admitted = gate.admit(headers, target.entry.scope, asked)
            if isinstance(admitted, Denial):
                return self._denied(admitted, target)
            passed = admitted
        try:
            answer = self.core.begin(Call(target.entry.leads, target.model, target.version, headers, body))
        except Exception:  # noqa: BLE001  a mistake of ours costs one request, not the connection
            answer = self._mistake(target, asked)
        accepts = headers.get(b"accept-encoding")
        if not isinstance(answer, Response):
            if accepts is None and not passed.counted and isinstance(answer, Away):
                return answer
            return self._later(answer, target, headers, passed, asked)
        if gate is not None and passed.counted:
            gate.keys.leave(passed)
        if accepts is None or answer.status != OK or coding_for(answer, accepts, self._requests) is None:
            return answer
        return compressed(answer, accepts, self._requests)

    def ended(self, away: Away, target: Target, asked: Scope) -> Response | Awaitable[Response] | None:
        """What `predict` would answer after such a run; None where the request was taken back."""
        try:
            return away.end()
        except Exception:  # noqa: BLE001  as in `predict`
            return self._mistake(target, asked)

    async def _answer(
        self,
        target: Target | None,
        scope: Scope,
        headers: Headers,
        receive: Receive,
        passed: Pass,
        read: Callable[[], Awaitable[bytes]],
    ) -> Response:
        if target is None:
            return refused(NotFoundError(f"there is nothing at {scope['path'][:200]!r}"))
        codec = target.entry.leads
        if isinstance(codec, Page):
            return await self._ask(codec, target, scope, headers, read, passed.name)
        core, model, version = self.core, target.model, target.version
        started = core.clock.monotonic()
        try:
            if scope["method"] != "POST":
                raise WrongMethodError(f"{scope['method']} is not for predictions; use POST", "POST")
            if not target.entry.named:
                model = default_model(core)
            if target.label is not None:
                version = labelled_version(core, model, target.label)
            body = await read()
        except DriftgateError as error:
            return core.refuse(error, model, version, started, codec.fault)
        answer = core.begin(Call(codec, model, version, headers, body))
        return answer if isinstance(answer, Response) else await unless_gone(answer, receive)

    async def _ask(
        self,
        page: Page,
        target: Target,
        scope: Scope,
        headers: Headers,
        read: Callable[[], Awaitable[bytes]],
        caller: str,
    ) -> Response:
        endpoint = page.methods.get(scope["method"])
        try:
            if endpoint is None:
                allow = ", ".join(page.methods)
                raise WrongMethodError(f"{scope['method']} does not work here; use {allow}", allow)
            asked = Exchange(
                self.premises,
                target.model,
                target.version,
                target.label,
                headers,
                scope.get("query_string", b""),
                read,
                caller,
            )
            return await endpoint(asked)
        except DriftgateError as error:
            return refused(error, page.fault)

    async def _later(
        self,
        pending: Pending,
        target: Target,
        headers: Headers,
        passed: Pass,
        asked: Scope,
    ) -> Response:
        try:
            answer = await pending
        except Exception:  # noqa: BLE001  as in `predict`
            answer = self._mistake(target, asked)
        finally:
            if self._gate is not None and passed.counted:
                self._gate.keys.leave(passed)
        accepts = headers.get(b"accept-encoding")
        if accepts is None or answer.status != OK:
            return answer
        return await compressed(answer, accepts, self._requests)

    def _mistake(self, target: Target | None, asked: Scope) -> Response:
        """Tell the operator in full what was just raised, and the client that it was ours."""
        self._log.error("request-failed", path=asked["path"], fault=traceback.format_exc())
        return refused(DriftgateError(_INTERNAL), plain_fault if target is None else target.entry.fault)

    def _denied(self, denial: Denial, target: Target | None) -> Response:
        """The refusal in its protocol's shape, where that is not the one of most."""
        if target is None or target.entry.fault is plain_fault:
            body = denial.body()
        else:
            body = target.entry.fault(denial.status, denial.code, denial.sentence)
        return Response(denial.status, (JSON, *denial.headers), body)

    def _keyed(self) -> bool:
        return self._gate is not None and self._gate.keys.closed
