"""CloudEvents 1.0 in binary mode: the attributes of an event in headers, both ways.

A request with `ce-` attributes is answered by an event of its own, whose id is the prediction id and whose
`causationid` is the id of the request. Events in structured mode are not read.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import msgspec

from gateway.errors import MalformedError
from gateway.protocols.codec import Answer, Headers
from gateway.responses import Header
from groundwork.clock import SystemClock

STRUCTURED: Final = b"application/cloudevents"
TYPE: Final = b"io.kserve.inference.response"
_PREFIX: Final = b"ce-"
_REQUIRED: Final = (b"ce-specversion", b"ce-id", b"ce-source", b"ce-type")
_VERSIONS: Final = (b"1.0", b"0.3")
_NANOSECONDS: Final = 1e9


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


def answer_headers(
    event: Event | None, answer: Answer, now: Callable[[], int] = SystemClock.now
) -> tuple[Header, ...]:
    """The attributes of the answer, made at `now` (unix nanoseconds); none where the request was no event."""
    if event is None:
        return ()
    made = datetime.fromtimestamp(now() / _NANOSECONDS, UTC).isoformat(timespec="milliseconds")
    return (
        (b"ce-specversion", b"1.0"),
        (b"ce-id", answer.prediction_id.encode()),
        (b"ce-source", b"io.kserve.inference." + answer.model.name.encode()),
        (b"ce-type", TYPE),
        (b"ce-time", made.encode()),
        (b"ce-causationid", event.identifier),
    )
