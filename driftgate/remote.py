"""Talking to the operator API and to the monitor's API over HTTP.

Rules: an answer that is not 2xx is a RemoteError with the API's own sentence; nobody at the address is an
UnreachableError that says what to start, somebody there who does not answer us one that says what to give.
Proxies of the environment are not used: our ports are reached directly. A request carries the key and
certificates of `driftgate.credentials`. What somebody typed is a `part` of a path or a value of the query, so
that it can lead to no other path.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Mapping
from typing import Any, Final

import httpx

from driftgate.credentials import Credentials, current
from driftgate.errors import CommandError, RemoteError, UnreachableError

SECONDS: Final = 30.0
SCHEMES: Final = ("http://", "https://")
NOT_THERE: Final = "Not Found"
"""What a port of ours says of a path that another port of ours has."""
REMEDIES: Final[Mapping[str, str]] = {
    "no-key": "; the command sends the one in DRIFTGATE_KEY, or `key:` of its client file",
}
"""What whoever types a verb can do about an API's code, where the API speaks to programs."""
_CUT: Final = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)
"""Somebody was there, and did not answer."""
_UNASKED: Final = (httpx.ConnectError, httpx.ConnectTimeout)
"""Nobody has heard what was asked."""
DOUBT: Final = "; it may be done all the same: look how things stand before you ask again"
"""What else is said of something that was to be done and had no answer."""
_PART: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""What names of models and ids of events and incidents are made of."""


class Api:
    """One API at one base URL; `what` names it in errors ("operator API")."""

    def __init__(
        self,
        what: str,
        url: str,
        *,
        credentials: Credentials | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        shown = current() if credentials is None else credentials
        if not url.startswith(SCHEMES):
            wanted = f"one that begins with {' or '.join(SCHEMES)}, such as http://{url.rpartition('/')[2]}"
            raise UnreachableError(f"{what}: {url!r} is not a URL: wanted {wanted}")
        self.what = what
        self.url = url.rstrip("/")
        try:
            self._client = httpx.Client(
                base_url=self.url,
                timeout=SECONDS,
                trust_env=False,
                transport=transport,
                headers={"user-agent": "driftgate", **shown.headers()},
                verify=shown.verify(),
            )
        except httpx.InvalidURL as error:
            raise UnreachableError(f"{what}: {url!r} is not a URL ({error})") from error

    def get(self, path: str, **query: Any) -> Any:
        """The JSON answer to a GET; query values that are None are left out."""
        return self._ask("GET", path, query=query)

    def post(self, path: str, body: Mapping[str, Any] | None = None, **query: Any) -> Any:
        """The JSON answer to a POST of `body` (an empty object when None); of the query as for `get`."""
        return self._ask("POST", path, query=query, body=body or {})

    def _ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any],
        body: Mapping[str, Any] | None = None,
    ) -> Any:
        given = {name: value for name, value in query.items() if value is not None}
        try:
            answer = self._client.request(method, path, params=given, json=body)
        except httpx.TransportError as error:
            doubt = "" if method == "GET" or isinstance(error, _UNASKED) else DOUBT
            raise UnreachableError(f"{self.what}: {_unreached(self.url, error)}{doubt}") from error
        except UnicodeEncodeError as error:
            found = error.object[error.start : error.end]
            raise CommandError(f"{found!r} cannot be sent: wanted text in UTF-8; type it again") from error
        if answer.is_success:
            return answer.json() if answer.content else None
        raise _refusal(self.what, answer)


def part(name: str) -> str:
    """What somebody typed as a model's name or as an id, as one part of a path.

    CommandError for what would lead to another path ("../models", "m/infer?").
    """
    if _PART.fullmatch(name) is None:
        raise CommandError(
            f"{name[:120]!r} is no name: wanted letters, digits, . _ - and a letter or digit first"
        )
    return name


def default_actor() -> str:
    """Who acts, when nobody says: the login name, or the user's number where there is none."""
    import getpass  # noqa: PLC0415  only acting verbs need it

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid-{os.getuid()}"


def _unreached(url: str, error: httpx.TransportError) -> str:
    """Why there is no answer, and what to do."""
    why = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error.__cause__, ssl.SSLError) or "SSL" in why:
        return f"no TLS with {url} ({why}); trust it by `driftgate --ca FILE …`, or ask by http:// without"
    if isinstance(error, httpx.ReadTimeout):
        return f"{url} has not answered for {SECONDS:g} s"
    if isinstance(error, _CUT):
        return (
            f"{url} ends the connection without an answer ({why}); ask again: by https:// where it has TLS, "
            "as `driftgate --cert FILE --key FILE …` where it wants a certificate"
        )
    return f"nobody answers at {url} ({why}); is `driftgate up` running there?"


def _refusal(what: str, answer: httpx.Response) -> RemoteError:
    """The API's own sentence where it gave one."""
    try:
        document = answer.json()
    except ValueError:
        document = {}
    found = document if isinstance(document, dict) else {}
    sentence = str(found.get("error", ""))
    if not sentence or sentence.endswith(NOT_THERE):
        said = f"{what}: {answer.request.url} answered {answer.status_code}"
        sentence = f"{said}, which is no answer of it; check the address, and what stands before it"
    code = str(found.get("code", ""))
    return RemoteError(f"{sentence}{REMEDIES.get(code, '')}", status=answer.status_code, remote_code=code)
