"""What clients write that is no JSON, and what it means: a byte order mark, and NaN for a missing number.

MLflow's client, tritonclient in JSON and whoever sends `json.dumps` of a table with missing cells write NaN;
MLflow's server, Triton and TensorFlow Serving read it, and the mark, which .NET puts before its texts. Rules:
NaN is null, which is NaN in a floating tensor and refused in any other; a mark is nothing. Only a body that
is no JSON is looked at, so what is JSON costs nothing here. Infinities stay refused: null is none of them.
"""

from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

_MARK: Final = b"\xef\xbb\xbf"
_NAN: Final = b"NaN"
_NULL: Final = b"null"
_MOST: Final = 1 << 20
"""Of one body; each costs some 150 ns."""

T = TypeVar("T")


def decoded(decode: Callable[[bytes], T], body: bytes | memoryview) -> T:
    """What `decode` makes of a body, or of what it means; raises as msgspec does."""
    try:
        return decode(body)  # type: ignore[arg-type]  # msgspec takes a view as well
    except msgspec.DecodeError:
        text = bytes(body).removeprefix(_MARK)
        found = text.count(_NAN)
        if found > _MOST or (not found and len(text) == len(body)):
            raise
    return decode(with_nulls(text) if found else text)


def with_nulls(text: bytes) -> bytes:
    """The text with null for every NaN that is in no string."""
    # Escaped quotes end no string; what is put in their place is as long.
    marks = text.replace(b"\\\\", b"__").replace(b'\\"', b"__") if b"\\" in text else text
    parts: list[bytes] = []
    at, in_string = 0, False
    for piece in marks.split(_NAN):
        end = at + len(piece)
        in_string ^= piece.count(b'"') % 2 == 1
        parts += (text[at:end], _NAN if in_string else _NULL)
        at = end + len(_NAN)
    return b"".join(parts[:-1])
