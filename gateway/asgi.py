"""ASGI's messages on the data port: a body read up to its limit, an answer compressed and written.

Rules: a body that is too long is forgotten as soon as that is known; what takes long (copying megabytes,
inflating, deflating) is done off the loop; a client that leaves raises GoneError. It knows no path and no
model.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any, Final

from gateway import coding
from gateway.body_room import BodyShare
from gateway.digits import MOST_DIGITS
from gateway.errors import MalformedError, TooLargeError
from gateway.parting import GoneError, Receive
from gateway.pieces import PIECE_BYTES
from gateway.responses import Response
from gateway.run_settings import RequestSettings

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]

_MOST_ACCEPTS: Final = 200
_CHUNKED: Final = b"chunked"


def headers_of(lines: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Header lines by their names; several of one name are one, with commas between them, as HTTP has it.

    So nobody before us can take one of two that differ for the one that counts, and we the other.
    """
    found = dict(lines)
    if len(found) != len(lines):
        values: dict[bytes, list[bytes]] = {}
        for name, value in lines:
            values.setdefault(name, []).append(value)
        found = {name: b", ".join(several) for name, several in values.items()}
    return found


async def read_body(
    headers: Mapping[bytes, bytes], receive: Receive, settings: RequestSettings, share: BodyShare
) -> bytes:
    """The whole body, inflated; `share` is of as much as is here of a large one.

    Raises:
        OverloadedError: there is no room for it beside other large ones.
        TooLargeError: it is longer than the limit, as it came or inflated; what was read is forgotten.
        EncodingError: it is in a coding that is not read here.
        MalformedError: it is not in the coding it says, or was transferred in one besides chunks.
        GoneError: the client left.
    """
    transfer = headers.get(b"transfer-encoding", _CHUNKED)
    if transfer.lower() != _CHUNKED:
        said = transfer[:40].decode("latin-1")
        raise MalformedError(
            f"Transfer-Encoding is {said!a}, wanted chunked or none; compress by Content-Encoding"
        )
    length = headers.get(b"content-length", b"0").lstrip(b"0") or b"0"  # any number of them may be before it
    compressed = coding.coding_of(headers.get(b"content-encoding"))
    if length.isdigit():
        if len(length) > MOST_DIGITS or int(length) > settings.max_body_bytes:
            raise _too_large(settings)
        share.expect(int(length))
    message = await receive()
    if message["type"] != "http.request":
        raise GoneError
    body: bytes = message.get("body", b"")
    if message.get("more_body", False):
        body = await _rest(body, receive, settings, share)
    elif len(body) > settings.max_body_bytes:
        raise _too_large(settings)
    if compressed is None:
        return body
    # Off the loop however small it came: what it inflates to is not known.
    inflated = await asyncio.to_thread(coding.inflate, body, compressed, settings.max_body_bytes)
    share.reach(len(inflated))
    return inflated


async def _rest(first: bytes, receive: Receive, settings: RequestSettings, share: BodyShare) -> bytes:
    parts, size, more = [first], len(first), True
    share.reach(size)
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise GoneError
        part = message.get("body", b"")
        size += len(part)
        if size > settings.max_body_bytes:
            raise _too_large(settings)
        share.reach(size)
        parts.append(part)
        more = message.get("more_body", False)
    if size <= settings.inline_body_bytes:
        return b"".join(parts)
    # Copying megabytes would stall the loop; in a thread it lets go of the interpreter.
    return await asyncio.to_thread(b"".join, parts)


def _too_large(settings: RequestSettings) -> TooLargeError:
    return TooLargeError(
        f"the body is longer than {settings.max_body_bytes} bytes; send fewer rows at a time"
    )


def coding_for(
    answer: Response, accepts: bytes, settings: RequestSettings, *, is_page: bool = False
) -> str | None:
    """The coding that the client asks for by `Accept-Encoding`, where it is worth it.

    A page goes out in a coding to who takes no other: tritonclient's asyncio client offers several, as its
    library does unasked, and inflates the answers to predictions only.
    """
    name, alone = coding.accepted(accepts[:_MOST_ACCEPTS])
    size = len(answer.body)
    return name if size and (alone or (size > settings.compress_bytes and not is_page)) else None


async def compressed(
    answer: Response, accepts: bytes, settings: RequestSettings, *, is_page: bool = False
) -> Response:
    """The answer in the coding that the client asks for, or as it is where `coding_for` has none."""
    name = coding_for(answer, accepts, settings, is_page=is_page)
    if name is None:
        return answer
    if len(answer.body) > settings.inline_body_bytes:
        body = await asyncio.to_thread(coding.deflate, answer.body, name)
    else:
        body = coding.deflate(answer.body, name)
    told = ((b"content-encoding", name.encode()), (b"vary", b"accept-encoding"))
    if answer.room is not None:
        answer.room.hold(len(body))
    return Response(answer.status, (*answer.headers, *told), body, answer.room)


async def deliver(answer: Response, send: Send, *, bodiless: bool = False) -> None:
    """The answer as two ASGI messages, as more where it is long: each is copied before it is written."""
    body = answer.body
    told = [*answer.headers, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": answer.status, "headers": told})
    last = 0
    if len(body) > PIECE_BYTES and not bodiless:
        last = (len(body) - 1) // PIECE_BYTES * PIECE_BYTES
        for at in range(0, last, PIECE_BYTES):
            piece = body[at : at + PIECE_BYTES]
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b"" if bodiless else body[last:]})
