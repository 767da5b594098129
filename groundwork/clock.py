"""Time as an argument: nothing that decides reads a clock which it was not given.

Two readings, never mixed: `now` dates things (it may jump when the machine's clock is set), `monotonic`
measures how long things take (it never goes back, and means nothing outside this boot).
"""

import time
from typing import Protocol


class Clock(Protocol):
    """Where the time comes from."""

    def now(self) -> int:
        """Wall-clock time in unix nanoseconds."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start, never going back."""
        ...


class SystemClock:
    """The machine's own clocks; the functions themselves, for every request asks several times."""

    now = staticmethod(time.time_ns)
    monotonic = staticmethod(time.monotonic)


class FakeClock:
    """A clock that moves only when it is told to; both readings move together."""

    def __init__(self, now_ns: int = 1_700_000_000_000_000_000, monotonic_s: float = 1_000.0) -> None:
        self._now_ns = now_ns
        self._monotonic_s = monotonic_s

    def now(self) -> int:
        """Wall-clock time in unix nanoseconds."""
        return self._now_ns

    def monotonic(self) -> float:
        """Seconds from an arbitrary start, never going back."""
        return self._monotonic_s

    def advance(self, seconds: float) -> None:
        """Let `seconds` (at least 0) pass on both readings; ValueError for a step back."""
        if seconds < 0:
            raise ValueError(f"a clock cannot be advanced by {seconds} s: use 0 or more")
        self._now_ns += round(seconds * 1e9)
        self._monotonic_s += seconds
