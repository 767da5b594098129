"""CloudEvents 1.0 over HTTP, both ways: attributes in headers (binary mode) or around the body (structured).

    ce-id: 7, ce-source: …, and the body                 →  the same, and the answer
    {"id": "7", "source": …, "data": the body}           →  {"id": …, "data": the answer}

A request that is an event is answered by an event of its own, in the same mode, whose id is the prediction id
and whose `causationid` is the id of the request. A structured one is known by its content type,
application/cloudevents+json; batches of events are not read.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import msgspec

from gateway.errors import EncodingError, MalformedError
from gateway.protocols.codec import Answer, Headers
from gateway.protocols.tabular import read
from gateway.responses import Header
from gateway.text import bytes_of, from_base64
from groundwork import decoders
from groundwork.clock import SystemClock

STRUCTURED: Final = "application/cloudevents+json"
TYPE: Final = b"io.kserve.inference.response"
_FAMILY: Final = b"application/cloudevents"
_REQUIRED: Final = (b"ce-specversion", b"ce-id", b"ce-source", b"ce-type")
_VERSIONS: Final = ("1.0", "0.3")
_NANOSECONDS: Final = 1e9
_NOTHING: Final = msgspec.Raw(b"")


class Envelope(msgspec.Struct, gc=False):
    """An event in structured mode; its data are JSON, or JSON in base64."""

    specversion: str
    id: str
    source: str
    type: str
    data: msgspec.Raw = _NOTHING
    data_base64: str | None = None


class Event(msgspec.Struct, frozen=True):
    """What an answer needs to know of the event that asked."""

    identifier: bytes
    structured: bool = False


_DECODER: Final = decoders.json_of(Envelope)
_encode: Final = msgspec.json.Encoder().encode


def opened(headers: Headers, body: bytes) -> tuple[Event | None, bytes]:
    """The event that a request is, None when it is none, and the body that it carries.

    Raises:
        MalformedError: it is half of an event.
        EncodingError: it is an event in a form that is not read.
    """
    kind = headers.get(b"content-type", b"").lower()
    if not kind.startswith(_FAMILY):
        return _in_headers(headers), body
    media = kind.partition(b";")[0].strip().decode("latin-1")
    if media != STRUCTURED:
        raise EncodingError(f"Content-Type is {media[:80]!r}; wanted {STRUCTURED}, or ce- headers")
    envelope = read(_DECODER, body, "a CloudEvent")
    if not (envelope.id and envelope.source and envelope.type):
        raise MalformedError("the CloudEvent has an empty id, source or type; send all of its attributes")
    _check_version(envelope.specversion)
    data = bytes(envelope.data)
    if (envelope.data_base64 is None) == (not data):
        raise MalformedError("the CloudEvent wants either data or data_base64, and one of them only")
    if envelope.data_base64 is not None:
        data = bytes_of(from_base64(envelope.data_base64))
    return Event(envelope.id.encode(), structured=True), data


def closed(
    event: Event | None,
    answer: Answer,
    body: bytes,
    kind: Header,
    now: Callable[[], int] = SystemClock.now,
) -> tuple[tuple[Header, ...], bytes]:
    """Headers and body of the answer to `event`; `body` is of the content type `kind`.

    `now` gives unix nanoseconds.
    """
    if event is None:
        return (kind,), body
    made = datetime.fromtimestamp(now() / _NANOSECONDS, UTC).isoformat(timespec="milliseconds")
    attributes = {
        "specversion": b"1.0",
        "id": answer.prediction_id.encode(),
        "source": b"io.kserve.inference." + answer.model.name.encode(),
        "type": TYPE,
        "time": made.encode(),
        "causationid": event.identifier,
    }
    if not event.structured:
        return (kind, *((b"ce-" + name.encode(), value) for name, value in attributes.items())), body
    texts = {name: value.decode() for name, value in attributes.items()}
    whole = {**texts, "datacontenttype": kind[1].decode(), "data": msgspec.Raw(body)}
    return ((kind[0], STRUCTURED.encode()),), _encode(whole)


def _in_headers(headers: Headers) -> Event | None:
    found = [name for name in _REQUIRED if name in headers]
    if not found:
        return None
    for name in _REQUIRED:
        if not headers.get(name):
            raise MalformedError(
                f"the request is a CloudEvent without {name.decode()}; send all of its attributes"
            )
    _check_version(headers[b"ce-specversion"].decode("latin-1"))
    return Event(headers[b"ce-id"])


def _check_version(version: str) -> None:
    if version not in _VERSIONS:
        raise MalformedError(f"the CloudEvent's specversion is {version[:20]!r}, wanted '1.0'")
