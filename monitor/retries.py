"""What follows from a receiver's response. Pure: time and randomness are arguments.

2xx is delivered. 410 switches the endpoint off. A redirect is a failure and never followed. A client error
that waiting cannot mend (not 408, 409, 425, 429) is given up after three attempts. Everything else is tried
again after 5 s, 30 s, 2 min, 10 min, 30 min, 2 h, 5 h, 10 h and 24 h, give or take a fifth; `Retry-After`
may ask for more. After ten attempts, or past its expiry, a delivery is dead and stays so until it is
replayed.
"""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, Literal

import msgspec

DELAYS: Final = (5.0, 30.0, 120.0, 600.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 86_400.0)
_JITTER: Final = 0.2
_PATIENT: Final = frozenset({408, 409, 425, 429})
_FEW: Final = 3
_LONGEST: Final = 86_400.0
_NS: Final = 1_000_000_000
_FARTHEST: Final = round(DELAYS[-1] * (1.0 + _JITTER) * _NS)
"""Nanoseconds by which no attempt is ever put off."""


class Response(msgspec.Struct, frozen=True):
    """What came back: a status, or 0 and a line that says why; `Retry-After` as it was sent."""

    status: int
    said: str = ""
    retry_after: str = ""


class Next(msgspec.Struct, frozen=True):
    """What to do: `delay` is seconds; `reason` says why it is dead or the endpoint is off."""

    kind: Literal["delivered", "retry", "dead", "disable"]
    delay: float = 0.0
    reason: str = ""


def printable(text: str) -> str:
    """What somebody else wrote as one line that is harmless on a terminal."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def judge(response: Response, *, attempt: int, now: int, expires: int | None, draw: float) -> Next:
    """What follows from the response to attempt number `attempt` (from 1); `draw` is uniform in [0, 1)."""
    status = response.status
    if 200 <= status < 300:  # noqa: PLR2004  the 2xx
        return Next("delivered")
    if status == 410:  # noqa: PLR2004  Gone
        return Next("disable", reason="the receiver answered 410 Gone")
    if 400 <= status < 500 and status not in _PATIENT and attempt >= _FEW:  # noqa: PLR2004  the 4xx
        return Next("dead", reason=f"refused with status {status} {attempt} times")
    if attempt > len(DELAYS):
        return Next("dead", reason=f"{attempt} attempts failed")
    delay = DELAYS[attempt - 1] * (1.0 + _JITTER * (2.0 * draw - 1.0))
    delay = max(delay, _asked(response.retry_after, now))
    if expires is not None and now + delay * _NS > expires:
        return Next("dead", reason="it expires before the next attempt")
    return Next("retry", delay)


def in_time(next_at: int, put_off: int, now: int) -> int:
    """When an attempt is due that was put off at `put_off` until `next_at`, if it is `now` (all unix ns).

    From now on it waits no longer than it was to wait then: a clock that has been set back since, by minutes
    or by months, keeps nothing waiting for them.
    """
    wait = min(max(next_at - put_off, 0), _FARTHEST)
    return min(next_at, now + wait)


def _asked(retry_after: str, now: int) -> float:
    """Seconds that `Retry-After` asks for: a number or a date, between 1 s and a day; 0 without one."""
    text = retry_after.strip()
    if not text:
        return 0.0
    if text.isascii() and text.isdecimal():
        return min(_LONGEST, max(1.0, float(text[:12])))
    try:
        then = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # a year or an offset may have any number of digits
        return 0.0
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    return min(_LONGEST, max(1.0, (then - datetime.fromtimestamp(now / _NS, UTC)).total_seconds()))
