"""What a request without the right key is told, and what its operator is: one answer, one count, one line.

Rules: the answer says what is missing and never how near the caller was. A count has two bounded labels. The
log has at most one line per subject (a key's id, else an address) and reason in a minute, with how many it
stands for, and at most LINES a minute in all; what was left out is counted in the next one.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from groundwork.clock import Clock
from groundwork.logs import Log
from groundwork.metrics import Instrument

MINUTE: Final = 60.0
LINES: Final = 60
DENIED: Final = Instrument(
    name="driftgate_denied_total",
    help="Requests refused before they were read, by why and by the scope they wanted.",
    labels=("port", "reason", "scope"),
)

Count = Callable[[str, str], None]
"""Count one refusal by (reason, scope wanted)."""


class Denial(msgspec.Struct, frozen=True):
    """One kind of refusal; its `code` is also the reason that is counted."""

    code: str
    status: int
    sentence: str
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def body(self) -> bytes:
        """The one error shape, as JSON."""
        return msgspec.json.encode({"error": self.sentence, "code": self.code})


def _unauthorized(code: str, sentence: str, challenge: bytes) -> Denial:
    return Denial(code, 401, sentence, ((b"www-authenticate", challenge),))


_REALM: Final = b'Bearer realm="driftgate"'
NO_KEY: Final = _unauthorized(
    "no-key", "this needs a key: send Authorization: Bearer dg_…, or X-API-Key", _REALM
)
BAD_KEY: Final = _unauthorized(
    "bad-key", "this key is not known here; ask whoever gave it to you", _REALM + b', error="invalid_token"'
)
EXPIRED_KEY: Final = _unauthorized(
    "expired-key", "this key has expired; ask for a new one", _REALM + b', error="invalid_token"'
)


def wrong_scope(scope: str) -> Denial:
    """The key is good, but not for this."""
    challenge = f'Bearer realm="driftgate", error="insufficient_scope", scope="{scope}"'.encode()
    sentence = f"this key is not for this: the scope {scope} is wanted"
    return Denial("wrong-scope", 403, sentence, ((b"www-authenticate", challenge),))


def too_fast(seconds: float) -> Denial:
    """The key's rate is used up; a request is there again after so many seconds."""
    whole = max(1, -int(-seconds // 1))
    sentence = f"this key has used up its rate; send again in {whole} s"
    return Denial("rate-limited", 429, sentence, ((b"retry-after", b"%d" % whole),))


TOO_MANY: Final = Denial(
    "too-many-at-once",
    429,
    "this key has as many requests under way as it may have; wait for an answer first",
    ((b"retry-after", b"1"),),
)


class Audit:
    """Counts and tells refusals of one port; its memory is bounded by LINES."""

    def __init__(self, log: Log, count: Count, clock: Clock) -> None:
        self._log = log
        self._count = count
        self._clock = clock
        self._minute = 0.0
        self._lines: dict[tuple[str, str], int] = {}
        self._untold = 0

    def denied(self, denial: Denial, scope: str, subject: str, facts: Mapping[str, Any]) -> None:
        """One refusal; `facts` are for the line, and must be bounded in size."""
        self._count(denial.code, scope)
        now = self._clock.monotonic()
        if now - self._minute >= MINUTE:
            self._turn(now)
        key = (denial.code, subject)
        if key in self._lines:
            self._lines[key] += 1
        elif len(self._lines) < LINES:
            self._lines[key] = 1
            self._log.warning(
                "denied", reason=denial.code, status=denial.status, scope=scope, subject=subject, **facts
            )
        else:
            self._untold += 1

    def _turn(self, now: float) -> None:
        """A minute is over: say what its lines stood for."""
        more = sum(self._lines.values()) - len(self._lines) + self._untold
        if more:
            self._log.warning("denied-more", requests=more, subjects=len(self._lines), in_s=MINUTE)
        self._minute, self._untold = now, 0
        self._lines.clear()
