"""Errors as a client sees them."""

import pytest

from gateway import errors
from gateway.responses import refused, status_of
from groundwork.errors import DriftgateError


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.MalformedError("x"), 400),
        (errors.InvalidInputError("x"), 400),
        (errors.UnsupportedError("x"), 400),
        (errors.UnknownModelError("x"), 404),
        (errors.UnknownVersionError("x"), 404),
        (errors.NotFoundError("x"), 404),
        (errors.WrongMethodError("x", "GET"), 405),
        (errors.TooLargeError("x"), 413),
        (errors.EncodingError("x"), 415),
        (errors.RunError("x"), 500),
        (errors.NotReadyError("x"), 503),
        (errors.LogFullError("x"), 503),
        (errors.LoadError("x"), 503),
        (errors.IncompatibleSignatureError("x"), 503),
        (DriftgateError("x"), 500),
    ],
)
def test_each_error_has_its_status(error: DriftgateError, status: int) -> None:
    """One table says which status an error is; what it does not name is our fault."""
    answer = refused(error)
    assert status_of(error) == answer.status == status
    assert answer.headers[0] == (b"content-type", b"application/json")
    assert answer.body == b'{"error":"x"}'
    assert dict(answer.headers).get(b"allow") == (b"GET" if status == 405 else None)
    assert (b"retry-after" in dict(answer.headers)) == (status == 503)


def test_codes_are_unique() -> None:
    """No two errors of the gateway share a code."""
    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, DriftgateError)
    ]
    codes = [kind.code for kind in kinds]
    assert len(set(codes)) == len(codes)
