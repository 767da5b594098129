"""The bytes of answers, and what is remembered of them."""

from types import SimpleNamespace

import pytest

from gateway.call import mentions
from gateway.paths import Target
from gateway.protocols.codec import JSON_LENGTH, MOST_JSON
from gateway.responses import JSON, Header, Response
from gateway.shortcut import LEAST_VIEWED, meaning_of, wire

_DATE: Header = (b"date", b"Sun, 06 Nov 1994 08:49:37 GMT")
_ID: Header = (b"x-prediction-id", b"0" * 32)


@pytest.mark.parametrize("headers", [(JSON,), (JSON, _ID), (JSON, (b"retry-after", b"1"), _ID)], ids=len)
@pytest.mark.parametrize("body", [b"", b"{}"])
def test_an_answer_has_all_of_its_headers_in_their_order(headers: tuple[Header, ...], body: bytes) -> None:
    """Status line, each header as it is, the length and the body; the same however often it is asked for."""
    lines = [b"HTTP/1.1 503 Service Unavailable"]
    lines += [b"%b: %b" % header for header in (_DATE, *headers)]
    lines += [b"content-length: %d" % len(body), b"", body]
    for _ in range(2):
        assert wire(Response(503, headers, body), _DATE) == b"\r\n".join(lines)


def test_answers_that_differ_in_their_last_header_only_differ_in_it() -> None:
    """What is remembered of an answer is never of the one that was before."""
    for number in (b"1", b"2", b"3"):
        assert b"\r\nx-prediction-id: %b\r\n" % number in wire(
            Response(200, (JSON, (_ID[0], number)), b""), _DATE
        )


@pytest.mark.parametrize(
    ("length", "size", "views", "wanted"),
    [
        (b"200", LEAST_VIEWED, True, True),
        (b"200", LEAST_VIEWED, False, False),
        (b"200", LEAST_VIEWED - 1, True, False),
        (b"0", LEAST_VIEWED, True, False),
        (b"-1", LEAST_VIEWED, True, False),
        (b"9" * 40, LEAST_VIEWED, True, False),
        (b"%d" % (MOST_JSON + 1), 2 * MOST_JSON, True, False),
        (None, LEAST_VIEWED, True, False),
    ],
)
def test_a_view_is_only_for_tensors_behind_a_short_json(
    *, length: bytes | None, size: int, views: bool, wanted: bool
) -> None:
    """Where the codec takes none, the length is no length, or the JSON is long, the body is copied."""
    target = Target(SimpleNamespace(leads=SimpleNamespace(views=views)))
    headers = {} if length is None else {JSON_LENGTH: length}
    known = meaning_of(b"head", "/path", target, headers, size)
    assert known.views is wanted
    assert known.size == len(b"head") + size


@pytest.mark.parametrize("kind", [bytes, memoryview])
def test_a_word_of_the_json_is_found_in_a_view_too(kind: type[bytes] | type[memoryview]) -> None:
    """A view compares numbers, not bytes: asked without care, it would mention nothing."""
    text = b'{"parameters": {"priority": 1}}'
    assert mentions(kind(text + bytes(LEAST_VIEWED)), b"priority")
    assert not mentions(kind(bytes(LEAST_VIEWED)), b"priority")
