"""CloudEvents 1.0 in binary mode: the attributes of an event in headers, both ways.

A request with `ce-` attributes is answered by an event of its own, whose id is the prediction id and whose
`causationid` is the id of the request. Events in structured mode are not read.
"""

from typing import Final

import msgspec

from gateway.errors import MalformedError
from gateway.protocols.codec import Answer, Headers
from gateway.responses import Header

STRUCTURED: Final = b"application/cloudevents"
TYPE: Final = b"io.kserve.inference.response"
_PREFIX: Final = b"ce-"
_REQUIRED: Final = (b"ce-specversion", b"ce-id", b"ce-source", b"ce-type")
_VERSIONS: Final = (b"1.0", b"0.3")


class Event(msgspec.Struct, frozen=True):
    """What an answer needs to know of the event that asked."""

    identifier: bytes


def event_of(headers: Headers) -> Event | None:
    """The event that a request is; None when it is none. MalformedError when it is half of one."""
    found = [name for name in _REQUIRED if name in headers]
    if not found:
        return None
    for name in _REQUIRED:
        if not headers.get(name):
            raise MalformedError(
                f"the request is a CloudEvent without {name.decode()}; send all of its attributes"
            )
    if headers[b"ce-specversion"] not in _VERSIONS:
        raise MalformedError(f"ce-specversion is {headers[b'ce-specversion'][:20]!r}, wanted '1.0'")
    return Event(headers[b"ce-id"])


def answer_headers(event: Event | None, answer: Answer) -> tuple[Header, ...]:
    """The attributes of the answer; none where the request was no event."""
    if event is None:
        return ()
    return (
        (b"ce-specversion", b"1.0"),
        (b"ce-id", answer.prediction_id.encode()),
        (b"ce-source", b"io.kserve.inference." + answer.model.name.encode()),
        (b"ce-type", TYPE),
        (b"ce-causationid", event.identifier),
    )
