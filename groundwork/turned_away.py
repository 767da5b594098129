"""What a client hears whose connection is refused: one whole HTTP answer a reason, made beforehand."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec


def _answer(status: str, sentence: str, *more: str) -> bytes:
    body = msgspec.json.encode({"error": sentence})
    head = [
        f"HTTP/1.1 {status}",
        "content-type: application/json",
        "connection: close",
        *more,
        f"content-length: {len(body)}",
    ]
    return ("\r\n".join(head) + "\r\n\r\n").encode() + body


REFUSALS: Final[Mapping[str, bytes]] = MappingProxyType(
    {
        "not-http": _answer("400 Bad Request", "the bytes sent are not an HTTP/1.1 request"),
        "no-host": _answer("400 Bad Request", "one Host header is wanted, with a name or an address"),
        "slow-headers": _answer("408 Request Timeout", "the headers did not come in time"),
        "slow-body": _answer("408 Request Timeout", "the body did not come in time"),
        "long-url": _answer("414 URI Too Long", "the URL is longer than this port takes"),
        "large-headers": _answer(
            "431 Request Header Fields Too Large", "the headers are larger than this port takes"
        ),
        "too-many-connections": _answer(
            "503 Service Unavailable",
            "this worker holds as many connections as it may; try again, or reuse one",
            "retry-after: 1",
        ),
        "silent": b"",
        "too-far-ahead": b"",
        "unread-answer": b"",
        "unwanted-body": b"",
    }
)
"""Every reason a connection may be refused for, and the whole answer; empty where nobody would read it."""
