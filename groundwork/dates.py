"""Times as every JSON document and table of the product says them: RFC 3339 in UTC, with milliseconds.

Inside they are unix nanoseconds. Refuses to know: clocks, time zones, durations.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

_NS: Final = 1_000_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def rfc3339(time: int) -> str:
    """Unix nanoseconds (any of 64 bits) as "2026-11-05T10:22:11.402Z"."""
    whole = _EPOCH + timedelta(seconds=time // _NS)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{time % _NS // 1_000_000:03d}Z"


def unix_ns(text: str) -> int:
    """A time as `rfc3339` writes it, or another form of ISO 8601 with its zone; ValueError otherwise."""
    return (datetime.fromisoformat(text) - _EPOCH) // _MICROSECOND * 1000
