"""The bytes of answers, and what is remembered of them."""

import pytest

from gateway.responses import JSON, Header, Response
from gateway.shortcut import wire

_ID: Header = (b"x-prediction-id", b"0" * 32)


@pytest.mark.parametrize("headers", [(JSON,), (JSON, _ID), (JSON, (b"retry-after", b"1"), _ID)], ids=len)
@pytest.mark.parametrize("body", [b"", b"{}"])
def test_an_answer_has_all_of_its_headers_in_their_order(headers: tuple[Header, ...], body: bytes) -> None:
    """Status line, each header as it is, the length and the body; the same however often it is asked for."""
    lines = [b"HTTP/1.1 503 Service Unavailable"]
    lines += [b"%b: %b" % header for header in headers]
    lines += [b"content-length: %d" % len(body), b"", body]
    for _ in range(2):
        assert wire(Response(503, headers, body)) == b"\r\n".join(lines)


def test_answers_that_differ_in_their_last_header_only_differ_in_it() -> None:
    """What is remembered of an answer is never of the one that was before."""
    for number in (b"1", b"2", b"3"):
        assert b"\r\nx-prediction-id: %b\r\n" % number in wire(Response(200, (JSON, (_ID[0], number)), b""))
