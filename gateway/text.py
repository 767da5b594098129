"""Elements of BYTES tensors between the wire, which has bytes, and the runtime, which has text.

Rules:

1. What is UTF-8 is its text. Every other byte is one character of the end of Unicode's private use, U+10FF00
   plus the byte, so that a graph that hands its input on hands on the very bytes, and one that looks words up
   finds none. Text that has such characters itself is written byte by byte in the same way: nothing is lost
   and no two elements become one.
2. `bytes_of` is the inverse of `text_of`, exactly.

It knows no tensor and no protocol.
"""

import base64
import binascii
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from gateway.errors import InvalidInputError

_OFFSET: Final = 0x10FF00
_SURROGATES: Final = 0xDC00  # where Python's "surrogateescape" puts a byte that is not UTF-8
_FIRST: Final = chr(_OFFSET + 0x80)
_HIGH: Final = range(0x80, 0x100)

_IN: Final[Mapping[int, int | str]] = MappingProxyType(
    {
        **{_SURROGATES + byte: _OFFSET + byte for byte in _HIGH},
        **{
            _OFFSET + byte: "".join(chr(_OFFSET + part) for part in chr(_OFFSET + byte).encode())
            for byte in _HIGH
        },
    }
)
_OUT: Final[Mapping[int, int]] = MappingProxyType({_OFFSET + byte: _SURROGATES + byte for byte in _HIGH})


def text_of(data: bytes | memoryview) -> str:
    """The text that stands for these bytes; their own where they are UTF-8."""
    try:
        return escaped(str(data, "utf-8"))
    except UnicodeDecodeError:
        return str(data, "utf-8", "surrogateescape").translate(_IN)


def escaped(text: str) -> str:
    """The text that stands for a text's UTF-8: itself, but where it has characters of rule 1."""
    return text if text.isascii() or max(text) < _FIRST else text.translate(_IN)


def bytes_of(text: str) -> bytes:
    """The bytes that a text stands for."""
    if text.isascii() or max(text) < _FIRST:
        return text.encode()
    return text.translate(_OUT).encode("utf-8", "surrogateescape")


def plain(text: str) -> str:
    """The text that an element is; UnicodeDecodeError where its bytes are none."""
    return text if text.isascii() or max(text) < _FIRST else str(bytes_of(text), "utf-8")


def from_base64(value: Any) -> str:
    """The text that stands for bytes given in base64; InvalidInputError where they are not."""
    try:
        return text_of(base64.b64decode(value, validate=True))
    except (binascii.Error, TypeError, ValueError):
        raise InvalidInputError(f"{str(value)[:60]!r} is not base64") from None


def to_base64(text: str) -> str:
    """The bytes that a text stands for, in base64."""
    return base64.b64encode(bytes_of(text)).decode()
