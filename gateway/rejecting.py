"""What a reject's row says, cut to the lengths that are kept.

Under overload most rows are rejects, of a few kinds: what does not differ between them is encoded once. What
a message says may be a client's, and is not kept here.
"""

import functools
from typing import Any, Final

from prediction_log.quick_reject import TEXTS
from prediction_log.record import Kept, Outcome

_MESSAGE_BYTES: Final = 500
_NAME_BYTES: Final = 100


def texts(code: str, message: str, version: str, model: str) -> tuple[bytes, ...]:
    """The texts of a reject in the order of `TEXTS`."""
    known, of, name = _names(code, version, model)
    return known, cut(message, _MESSAGE_BYTES), of, name


def row(identifier: bytes, time: int, latency: int, status: int, said: tuple[bytes, ...]) -> dict[str, Any]:
    """The whole row; `time` in unix ns, `latency` in µs, `said` from `texts`."""
    return {
        "id": identifier,
        "time": time,
        "outcome": Outcome.REJECTED.value,
        "latency": latency,
        "kept": Kept.ALWAYS.value,
        "status": status,
        **dict(zip(TEXTS, said, strict=True)),
    }


def cut(text: str, size: int) -> bytes:
    """UTF-8 of the text, at most `size` bytes."""
    return text[:size].encode("utf-8", "replace")[:size]


@functools.lru_cache(256)
def _names(code: str, version: str, model: str) -> tuple[bytes, bytes, bytes]:
    return code.encode(), cut(version, _NAME_BYTES), cut(model, _NAME_BYTES)
