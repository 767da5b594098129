"""What is to be known of a request's head, its URL and its headers, beside what each of them says."""

from collections.abc import Sequence
from typing import Any, Final

Headers = Sequence[tuple[bytes, bytes]]

_OVERHEAD: Final = 4  # ": " and the line's end


def size(url: bytes, headers: Headers) -> int:
    """The exact bytes of a URL and headers, but for the words around them."""
    return len(url) + sum(len(name) + len(value) + _OVERHEAD for name, value in headers)


def asks_upgrade(parser: Any) -> bool:
    """Whether httptools' parser takes what follows the headers for another protocol than HTTP.

    Some clients ask with every first request (Java's for HTTP/2), and mean the body behind it for us. To
    CONNECT, which is no request for an upgrade though the parser says so, nothing is left out.
    """
    return bool(parser.should_upgrade()) and parser.get_method() != b"CONNECT"


def without_upgrade(parser: Any, url: bytes, headers: Headers) -> bytes:
    """The head that the parser has just read, but for what asks for an upgrade."""
    start = b"%b %b HTTP/%b\r\n" % (parser.get_method(), url, parser.get_http_version().encode())
    kept = [b"%b: %b\r\n" % header for header in headers if header[0] != b"upgrade"]
    return b"".join((start, *kept, b"\r\n"))
