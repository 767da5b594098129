"""A finished answer, and the one map from an error to the status a client sees.

Errors are `{"error": "..."}` with the content type `application/json` and nothing after it: released clients
drop the text when a charset follows.
"""

import functools
from collections.abc import Callable
from typing import Any, Final

import msgspec

from gateway.body_room import AnswerShare
from gateway.errors import (
    EncodingError,
    ExpiredError,
    ForbiddenError,
    LoadError,
    LogFullError,
    NotFoundError,
    NotOfferedError,
    NotReadyError,
    OverloadedError,
    Refusal,
    RunError,
    TooLargeError,
    UnanswerableError,
    UnknownModelError,
    UnknownVersionError,
    UnsupportedError,
    WrongMethodError,
)
from groundwork.errors import DriftgateError
from rollouts.errors import ConflictError, RouteError

Header = tuple[bytes, bytes]

JSON: Final[Header] = (b"content-type", b"application/json")
ANSWER_VERSION: Final = b"x-model-version"
ANSWER_ARM: Final = b"x-driftgate-arm"
PREDICTION_ID: Final = b"x-prediction-id"
"""Headers that say who answered, and under which id that is in the log."""
OK: Final = 200
FAILED: Final = 500
UNAVAILABLE: Final = 503

# The first class that fits decides, so the more special stand first.
STATUS: Final[tuple[tuple[type[DriftgateError], int], ...]] = (
    (UnknownModelError, 404),
    (UnknownVersionError, 404),
    (NotFoundError, 404),
    (WrongMethodError, 405),
    (TooLargeError, 413),
    (EncodingError, 415),
    (ForbiddenError, 403),
    (ConflictError, 409),
    (RouteError, 409),
    (NotOfferedError, 501),
    (UnsupportedError, 400),
    (Refusal, 400),
    (UnanswerableError, 400),
    (NotReadyError, 503),
    (OverloadedError, 503),
    (ExpiredError, 504),
    (LogFullError, 503),
    (LoadError, 503),
    (RunError, FAILED),
)

_encode = msgspec.json.Encoder().encode

ErrorBody = Callable[[int, str, str], bytes]
"""(status, code, sentence) to the body that a protocol has for an error; always JSON."""


def plain_fault(_status: int, _code: str, sentence: str, /) -> bytes:
    """The shape of most protocols: `{"error": sentence}`."""
    return _encode({"error": sentence})


class Response(msgspec.Struct, frozen=True, gc=False):
    """One answer as HTTP wants it; `headers` are complete but for content-length, which the edge adds.

    A large body has `room`, which whoever has the body keeps.
    """

    status: int
    headers: tuple[Header, ...]
    body: bytes
    room: AnswerShare | None = None


def status_of(error: DriftgateError) -> int:
    """The status a client sees for `error`: 4xx where the request is at fault, 5xx where we are."""
    kind: Any = type(error)  # mypy takes an exception's class for one that cannot be hashed
    return _status(kind)


@functools.cache
def _status(kind: type[DriftgateError]) -> int:
    return next((status for family, status in STATUS if issubclass(kind, family)), FAILED)


def refused(error: DriftgateError, fault: ErrorBody = plain_fault) -> Response:
    """The answer that tells a client about `error`; nothing but its one line leaves the process."""
    headers: tuple[Header, ...] = (JSON,)
    if isinstance(error, WrongMethodError):
        headers = (JSON, (b"allow", error.allow.encode()))
    elif status_of(error) == UNAVAILABLE:
        seconds = error.retry_after if isinstance(error, OverloadedError) else 1
        headers = (JSON, (b"retry-after", b"%d" % seconds))
    status = status_of(error)
    return Response(status, headers, fault(status, error.code, str(error)))


def document(value: Any, status: int = OK) -> Response:
    """An answer whose body is `value` as JSON."""
    return Response(status, (JSON,), _encode(value))
