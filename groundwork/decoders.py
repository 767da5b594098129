"""Decoders by type, each made once and by one thread at a time.

Why not `msgspec.json.decode(content, type=Route)`: msgspec works out what a struct's annotations mean when it
is first decoded, in Python code, and shows the half-done result to whoever decodes the same struct meanwhile.
That ends the process by SIGSEGV (msgspec 0.22; with four threads within some thousand first times). Threads
of ours do first meet a struct together: at the start of a worker its routes are read in several.

A decoder that exists may be used by any thread. Making one takes some 50 µs, asking for it again 0.2.
"""

import threading
from typing import Any, Final, TypeVar

import msgspec

T = TypeVar("T")

_MAKING: Final = threading.RLock()
_MADE: Final[dict[tuple[Any, Any], Any]] = {}


def json_of(kind: type[T]) -> "msgspec.json.Decoder[T]":
    """The decoder of JSON that is a `kind`; TypeError where msgspec cannot decode one."""
    decoder: msgspec.json.Decoder[T] = _made(msgspec.json.Decoder, kind)
    return decoder


def msgpack_of(kind: type[T]) -> "msgspec.msgpack.Decoder[T]":
    """The decoder of msgpack that is a `kind`; TypeError where msgspec cannot decode one."""
    decoder: msgspec.msgpack.Decoder[T] = _made(msgspec.msgpack.Decoder, kind)
    return decoder


def converted(found: Any, kind: type[T], **more: Any) -> T:
    """As `msgspec.convert`, which `more` is for."""
    json_of(kind)  # from here on msgspec knows what it is
    made: T = msgspec.convert(found, kind, **more)
    return made


def _made(form: Any, kind: Any) -> Any:
    found = _MADE.get((form, kind))
    if found is None:
        with _MAKING:
            found = _MADE[form, kind] = form(kind)
    return found
