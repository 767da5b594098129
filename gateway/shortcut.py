"""What spares a fast connection work: heads whose meaning is known, and how answers begin.

Rules: nothing here decides. What is remembered is bounded, and follows from bytes alone, so it is as true for
every connection of a port.
"""

import functools
from typing import Final

import msgspec
from uvicorn.protocols.http import httptools_impl

from gateway.digits import MOST_DIGITS
from gateway.endpoints import DataPort
from gateway.paths import Target
from gateway.protocols.codec import JSON_LENGTH, MOST_JSON, Headers
from gateway.responses import Header, Response

MOST_HEADS: Final = 1024
_MOST_LEADS: Final = 256
LEAST_VIEWED: Final = 4096
"""A body shorter than this is copied: a view of it costs more."""


class Known(msgspec.Struct, frozen=True, gc=False):
    """What a head means: its path and where that leads, its headers, the bytes of it and of its body.

    `views` says that the body need not be copied out of what was read.
    """

    head: bytes
    path: str
    target: Target
    headers: Headers
    size: int
    views: bool


class Shortcut:
    """What the connections of one port share."""

    def __init__(self, port: DataPort) -> None:
        self.port = port
        requests = port.core.settings.requests
        self.most_body = min(requests.inline_body_bytes, requests.max_body_bytes)
        self.heads: dict[bytes, Known] = {}

    def remember(self, known: Known) -> None:
        """The next request with this head is not parsed; at most MOST_HEADS are kept."""
        if len(self.heads) >= MOST_HEADS:
            self.heads.clear()
        self.heads[known.head] = known


def meaning_of(head: bytes, path: str, target: Target, headers: Headers, size: int) -> Known:
    """What the head of a request with a body of `size` bytes means."""
    length = headers.get(JSON_LENGTH, b"")
    plain = length.isdigit() and len(length) <= MOST_DIGITS and 0 < int(length) <= MOST_JSON
    views = plain and size >= LEAST_VIEWED and target.entry.leads.views
    return Known(head, path, target, headers, len(head) + size, views)


def wire(answer: Response, date: Header) -> bytes:
    """The bytes of an answer, in the words and the order in which uvicorn would write them."""
    headers, body = answer.headers, answer.body
    lead, (name, value) = _lead(answer.status, date, headers[:-1]), headers[-1]
    return b"%b%b: %b\r\ncontent-length: %d\r\n\r\n%b" % (lead, name, value, len(body), body)


@functools.lru_cache(maxsize=_MOST_LEADS)
def _lead(status: int, date: Header, headers: tuple[Header, ...]) -> bytes:
    """The status line and these headers: all but the last, an id, is the same in a second's answers."""
    lines = [b"%b: %b\r\n" % header for header in (date, *headers)]
    return b"".join((httptools_impl.STATUS_LINE[status], *lines))
