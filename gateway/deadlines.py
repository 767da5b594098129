"""What a request says of its hurry: how long its client waits, and how urgent it is.

    header X-Request-Timeout: SECONDS      any protocol; a number above 0, fractions allowed
    parameter timeout: MICROSECONDS        Open Inference Protocol, as Triton has it; 0 says nothing
    parameter priority: N                  Open Inference Protocol; 1 first … 9 last, 0 says nothing
    Call.timeout, Call.priority            what the edge itself knows, such as gRPC's deadline

Rules: the shortest time counts, from the moment the request was read. What cannot be read is refused, never
ignored: a deadline that is silently dropped is worse than none. Pure.
"""

import functools
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from gateway.errors import InvalidInputError, MalformedError

TIMEOUT: Final = b"x-request-timeout"
MIDDLE: Final = 5
"""The priority of a request that says nothing."""
LAST: Final = 9
_SECONDS: Final = re.compile(rb"[0-9]{1,9}(\.[0-9]{1,9})?")
_MICROSECONDS: Final = 1e6
_LONGEST_MICROSECONDS: Final = 10**15
"""A whole number may have hundreds of digits, which no float holds."""


class Hurry(msgspec.Struct, frozen=True, gc=False):
    """Seconds that the client waits, None for as long as it takes; and a priority from 1 to 9."""

    timeout: float | None
    priority: int


def hurry_of(
    timeout: float | None, priority: int, headers: Mapping[bytes, bytes], parameters: Mapping[str, Any]
) -> Hurry:
    """What all sources together say; MalformedError or InvalidInputError names the one that is wrong."""
    if timeout is None and not priority and not parameters:
        return _of_header(headers.get(TIMEOUT))
    said = [timeout, _header(headers.get(TIMEOUT)), _parameter(parameters.get("timeout"))]
    known = [seconds for seconds in said if seconds is not None]
    return Hurry(min(known) if known else None, _level(priority or parameters.get("priority")))


@functools.lru_cache(256)
def _of_header(value: bytes | None) -> Hurry:
    return Hurry(_header(value), MIDDLE)


@functools.lru_cache(256)
def _header(value: bytes | None) -> float | None:
    if value is None:
        return None
    seconds = float(value) if _SECONDS.fullmatch(value) else 0.0
    if not seconds:
        said = value[:40].decode("latin-1")
        raise MalformedError(
            f"X-Request-Timeout is {said!a}, wanted a number of seconds above 0, such as 0.25"
        )
    return seconds


def _parameter(value: Any) -> float | None:
    if value is None:
        return None
    if not _is_count(value):
        raise InvalidInputError(
            f"parameter 'timeout' is {str(value)[:40]!r}, wanted a whole number of microseconds, 0 for none"
        )
    return min(value, _LONGEST_MICROSECONDS) / _MICROSECONDS if value else None


def _level(value: Any) -> int:
    if value is None:
        return MIDDLE
    if not _is_count(value):
        raise InvalidInputError(
            f"parameter 'priority' is {str(value)[:40]!r}, wanted 1 (first) to {LAST} (last), or 0"
        )
    return min(value, LAST) if value else MIDDLE


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
