"""Content codings of bodies: gzip and deflate (which is zlib's format), both ways.

Rules: no more is ever inflated than may be kept, so a body that grows a thousandfold costs its limit. What is
named and not known is refused. An answer is compressed for a client that takes one coding and nothing else,
and, where it answers a prediction, for one that offers several (libraries do so unasked) when it is large
enough to be worth it. Both ways cost milliseconds per megabyte: large bodies belong off the event loop.
"""

import functools
import zlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from gateway.errors import EncodingError, MalformedError, TooLargeError

GZIP: Final = "gzip"
DEFLATE: Final = "deflate"
_GZIP_BITS: Final = 31
_WINDOWS: Final[Mapping[str, int]] = MappingProxyType({GZIP: _GZIP_BITS, "x-gzip": _GZIP_BITS, DEFLATE: 15})
_MOST_MEMBERS: Final = 16
_LEVEL: Final = 1


def coding_of(header: bytes | None) -> str | None:
    """The coding that a Content-Encoding names; None for none. EncodingError where it is not read here."""
    name = "" if header is None else header.decode("latin-1").strip().lower()
    if name in ("", "identity"):
        return None
    if name not in _WINDOWS:
        raise EncodingError(f"Content-Encoding {name[:40]!r} is not read here; send gzip, deflate or neither")
    return name


def inflate(body: bytes, coding: str, limit: int) -> bytes:
    """The body as it was before.

    Raises:
        TooLargeError: it would be longer than `limit`.
        MalformedError: it is not what its coding says, or ends early.
    """
    parts: list[bytes] = []
    size, rest = 0, body
    for _ in range(_MOST_MEMBERS):
        engine = zlib.decompressobj(_WINDOWS[coding])
        while not engine.eof:
            try:
                part = engine.decompress(rest, limit - size + 1)
            except zlib.error as error:
                raise MalformedError(f"the body is not {coding}: {error}") from None
            size += len(part)
            if size > limit:
                raise TooLargeError(
                    f"the body inflates to more than {limit} bytes; send fewer rows at a time"
                )
            parts.append(part)
            rest = engine.unconsumed_tail
            if not part and not rest and not engine.eof:
                raise MalformedError(f"the body is not {coding}: it ends early")
        rest = engine.unused_data
        if not rest:
            return b"".join(parts)
    raise MalformedError(f"the body has more than {_MOST_MEMBERS} parts of {coding}; send it as one")


@functools.lru_cache(maxsize=256)
def accepted(header: bytes) -> tuple[str | None, bool]:
    """The coding that an Accept-Encoding prefers of ours, and whether it takes nothing else.

    None where it takes neither, or says of `identity`, no coding at all, that it is preferred.
    """
    offered: dict[str, float] = {}
    for part in header.decode("latin-1").lower().split(","):
        name, _, weight = part.partition(";")
        if name.strip():
            offered[name.strip()] = _quality(weight)
    usable = {name: offered[name] for name in (GZIP, DEFLATE) if offered.get(name, 0.0) > 0.0}
    if not usable or offered.get("identity", 0.0) > max(usable.values()):
        return None, False
    return max(usable, key=lambda name: usable[name]), sum(weight > 0.0 for weight in offered.values()) == 1


def deflate(body: bytes, coding: str) -> bytes:
    """The body in this coding, at the level that is quickest."""
    engine = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOWS[coding])
    return engine.compress(body) + engine.flush()


def _quality(weight: str) -> float:
    _, _, value = weight.partition("=")
    try:
        return float(value) if value.strip() else 1.0
    except ValueError:
        return 0.0
