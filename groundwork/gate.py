"""Who may: every request is asked for its key before anything of its body is read.

    no key, wrong key, expired key     401 with WWW-Authenticate
    a key without the scope            403
    a key beyond its rate or its share 429 with Retry-After

Rules:
1. Without keys the gate stands open, and the port must then be on loopback (`groundwork.ports`), but for the
   data port.
2. A key comes as `Authorization: Bearer dg_…` or as `X-API-Key: dg_…`. An Authorization without the word
   Bearer, in whatever case, shows no key, though it may be one.
3. The bytes of a header that was found good are remembered (at most REMEMBERED of them), which makes the next
   request one look-up. What is not known takes the way of constant time: a look-up tells an attacker
   nothing, for it compares bytes only after their keyed 64-bit hashes have matched.
4. A changed set of keys forgets all that, so a key that was revoked is refused from then on.

Cost: about 0.3 µs for a remembered key, 0.1 µs where there are no keys, 3 µs for one that was not seen yet.
"""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final

import msgspec
from starlette.requests import ClientDisconnect

from groundwork import denials
from groundwork.allowance import NANOSECONDS, Allowance
from groundwork.clock import Clock
from groundwork.denials import Audit, Denial
from groundwork.keys import OPERATE, READ, Key, KeyBook, parse

REMEMBERED: Final = 1024
CALLER: Final = "driftgate.caller"
"""Where an ASGI scope has the name of the key that opened; "" where none was asked for."""
_AUTHORIZATION: Final = b"authorization"
_API_KEY: Final = b"x-api-key"
_BEARER: Final = b"bearer "
_MOST_TEXT: Final = 256
_NEVER: Final = 2**63

Headers = Mapping[bytes, bytes]
Message = MutableMapping[str, Any]
Asgi = Callable[
    [MutableMapping[str, Any], Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Any
]
ScopeOf = Callable[[str, str], str | None]
"""(method, path) to the scope that is wanted; None where no key is."""


def api_scope(method: str, path: str) -> str | None:
    """The scope that a request to an API for operators wants; what is not known wants one too."""
    if path == "/healthz":
        return None
    return READ if method in ("GET", "HEAD") else OPERATE


class Pass(msgspec.Struct, frozen=True, gc=False):
    """One key that was found good, ready to be asked about; `counted` ones must be given back to `leave`."""

    id: str
    name: str
    scopes: frozenset[str]
    expires: int
    index: int
    interval: int
    burst: int
    most: int
    limited: bool
    counted: bool


OPEN: Final = Pass("", "", frozenset(), _NEVER, 0, 0, 0, 0, limited=False, counted=False)
"""What a request without a key passes by, where none is asked for."""


def pass_of(key: Key, index: int) -> Pass:
    """A key as the gate holds it; a bucket holds one second's worth, and one request at least."""
    interval = 0 if key.rate is None else int(NANOSECONDS / key.rate)
    return Pass(
        id=key.id,
        name=key.name,
        scopes=frozenset(key.scopes),
        expires=_NEVER if key.expires is None else int(key.expires.timestamp() * NANOSECONDS),
        index=index,
        interval=interval,
        burst=max(1, int(key.rate or 1)),
        most=key.concurrency or 0,
        limited=key.rate is not None or key.concurrency is not None,
        counted=key.concurrency is not None,
    )


class Keys:
    """The keys in force in this process and what is remembered of them; one for all of its ports."""

    def __init__(self, allowance: Allowance, clock: Clock) -> None:
        """Without keys until `use` is called."""
        self.closed = False
        self._allowance = allowance
        self._clock = clock
        self._book = KeyBook(())
        self._passes: dict[str, Pass] = {}
        self._bearers: dict[bytes, Pass] = {}
        self._bare: dict[bytes, Pass] = {}

    def use(self, book: KeyBook) -> None:
        """From now on exactly these keys are good, and none is not."""
        self._book = book
        self._passes = {key.id: pass_of(key, index) for index, key in enumerate(book.keys)}
        self._bearers, self._bare = {}, {}
        self.closed = True

    def admit(self, headers: Headers, scope: str) -> Pass | Denial:
        """The key's pass, counted where it has a concurrency; or why not."""
        bearer = headers.get(_AUTHORIZATION)
        found = self._bearers.get(bearer) if bearer else self._bare.get(headers.get(_API_KEY, b""))
        if found is None:
            verified = self._verify(headers)
            if isinstance(verified, Denial):
                return verified
            found = verified
        if found.expires != _NEVER and self._clock.now() >= found.expires:
            return denials.EXPIRED_KEY
        if scope not in found.scopes:
            return denials.wrong_scope(scope)
        return self._limit(found) if found.limited else found

    def leave(self, used: Pass) -> None:
        """A request that passed has ended; to be called where `counted`."""
        self._allowance.leave(used.index)

    def subject(self, headers: Headers, peer: str) -> str:
        """Whom a refusal is filed under: the id of a key that exists, else the address."""
        for text in _texts(headers):
            parts = parse(text)
            if parts is not None and self._book.known(parts[0]):
                return f"key {parts[0]}"
        return f"address {peer}"

    def _limit(self, found: Pass) -> Pass | Denial:
        if found.interval:
            now = int(self._clock.monotonic() * NANOSECONDS)
            wait = self._allowance.take(found.index, found.interval, found.burst, now)
            if wait:
                return denials.too_fast(wait / NANOSECONDS)
        if found.counted and not self._allowance.enter(found.index, found.most):
            return denials.TOO_MANY
        return found

    def _verify(self, headers: Headers) -> Pass | Denial:
        """The pass of the first good key that is shown, found in constant time; or why there is none."""
        authorized, bare = _texts(headers)
        if not authorized and not bare:
            return denials.NO_KEY
        ways = ((authorized, self._bearers, _AUTHORIZATION), (bare, self._bare, _API_KEY))
        for text, remembered, header in ways:
            key = self._book.find(text)
            if key is not None:
                if len(remembered) >= REMEMBERED:
                    remembered.clear()
                return remembered.setdefault(headers[header], self._passes[key.id])
        return denials.BAD_KEY


class Gate:
    """The gate of one port: the keys of the process, and the port's own audit."""

    def __init__(self, keys: Keys, audit: Audit) -> None:
        self.keys = keys
        self._audit = audit

    def admit(self, headers: Headers, scope: str | None, asked: MutableMapping[str, Any]) -> Pass | Denial:
        """As `Keys.admit`; None wants no key. `asked` is the ASGI scope, for the audit."""
        keys = self.keys
        if scope is None or not keys.closed:
            return OPEN
        found = keys.admit(headers, scope)
        if type(found) is Denial:
            client = asked.get("client")
            subject = keys.subject(headers, str(client[0]) if client else "unknown")
            facts = {"method": asked["method"][:16], "path": asked["path"][:200]}
            self._audit.denied(found, scope, subject, facts)
        return found


class Guarded:
    """An ASGI application behind a gate; nothing of it runs for a request that is refused."""

    def __init__(self, app: Asgi, gate: Gate, scope_of: ScopeOf) -> None:
        self.app = app
        self._gate = gate
        self._scope_of = scope_of

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[Any]],
        send: Callable[[Any], Awaitable[None]],
    ) -> None:
        """Ask for the key, then hand over."""
        if scope["type"] != "http":
            raise NotImplementedError(f"this port speaks HTTP, not {scope['type']}")
        wanted = self._scope_of(scope["method"], scope["path"])
        found = self._gate.admit(dict(scope["headers"]), wanted, scope)
        if isinstance(found, Denial):
            await deny(found, send)
            return
        scope[CALLER] = found.name
        try:
            await self.app(scope, receive, send)
        except ClientDisconnect:
            return  # it left, or was parted with, before its body was whole
        finally:
            if found.counted:
                self._gate.keys.leave(found)


async def deny(denial: Denial, send: Callable[[Any], Awaitable[None]]) -> None:
    """Tell the client, as ASGI wants it."""
    body = denial.body()
    headers = [
        (b"content-type", b"application/json"),
        *denial.headers,
        (b"content-length", b"%d" % len(body)),
    ]
    await send({"type": "http.response.start", "status": denial.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _texts(headers: Headers) -> tuple[bytes, bytes]:
    """The key's text in Authorization and in X-API-Key, cut to a length that no key has; empty: none."""
    authorization = headers.get(_AUTHORIZATION, b"")[:_MOST_TEXT].strip()
    is_bearer = authorization[: len(_BEARER)].lower() == _BEARER
    bearer = authorization[len(_BEARER) :].strip() if is_bearer else b""
    return bearer, headers.get(_API_KEY, b"")[:_MOST_TEXT].strip()
