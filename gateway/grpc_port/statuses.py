"""A finished answer in gRPC's words: a status code, a sentence, and metadata beside them.

Rule: what a client can do is never INTERNAL. The one map from an error to an HTTP status
(`gateway.responses`) is the map from an error to a code too.
"""

from types import MappingProxyType
from typing import Final

import grpc

from gateway.responses import OK, Header

CODES: Final = MappingProxyType(
    {
        OK: grpc.StatusCode.OK,
        400: grpc.StatusCode.INVALID_ARGUMENT,
        401: grpc.StatusCode.UNAUTHENTICATED,
        403: grpc.StatusCode.PERMISSION_DENIED,
        404: grpc.StatusCode.NOT_FOUND,
        408: grpc.StatusCode.DEADLINE_EXCEEDED,
        409: grpc.StatusCode.FAILED_PRECONDITION,
        413: grpc.StatusCode.RESOURCE_EXHAUSTED,
        415: grpc.StatusCode.INVALID_ARGUMENT,
        429: grpc.StatusCode.RESOURCE_EXHAUSTED,
        499: grpc.StatusCode.CANCELLED,
        500: grpc.StatusCode.INTERNAL,
        501: grpc.StatusCode.UNIMPLEMENTED,
        503: grpc.StatusCode.UNAVAILABLE,
        504: grpc.StatusCode.DEADLINE_EXCEEDED,
    }
)
_MOST_SENTENCE: Final = 1024
# What HTTP says about the body it sends, and of its methods.
_LEFT_OUT: Final = frozenset({b"content-type", b"allow"})

Metadata = tuple[tuple[str, str], ...]


def code_of(status: int) -> grpc.StatusCode:
    """The code for an HTTP status; one that is not in the map is INTERNAL."""
    return CODES.get(status, grpc.StatusCode.INTERNAL)


def sentence_of(body: bytes) -> str:
    """The body of a refused answer as the details of its status, cut to what metadata has room for."""
    return body.decode("utf-8", "replace")[:_MOST_SENTENCE]


def metadata_of(headers: tuple[Header, ...]) -> Metadata:
    """An answer's headers as trailing metadata."""
    return tuple(
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in headers if name not in _LEFT_OUT
    )
