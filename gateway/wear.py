"""When a worker has served long enough, and when it serves no more at all. Pure.

A worker is worn out by requests, age or memory, each with a limit of its own (0: none). Workers of a gateway
start together, so each draws its own share of the jitter: they then wear out one after another.

A worker hangs when its loop has not turned for a while. Time counts only while the one who watches is awake:
a machine that slept, or a supervisor that was stopped, must not take its workers for dead when it wakes.
"""

from typing import Final

import msgspec

from gateway.settings import WorkerSettings

ASLEEP_SECONDS: Final = 5.0
"""Between two looks no more than this is counted as time in which the loop stood still."""
IDLE_LOOKS: Final = 4
"""While nobody asks, a worker's looks and beats are so many times as far apart; each costs 0.1 to 0.2 ms."""


class Use(msgspec.Struct, frozen=True):
    """What one worker has taken so far: seconds since it was ready, requests, resident bytes."""

    age: float = 0.0
    requests: int = 0
    memory: int = 0


class Allotment(msgspec.Struct, frozen=True):
    """One worker's own limits; 0 is no limit."""

    age: float = 0.0
    requests: float = 0.0
    memory: int = 0

    @classmethod
    def drawn(cls, settings: WorkerSettings, draw: float) -> "Allotment":
        """The limits of a worker whose draw (0 to 1) fell so; never above the settings."""
        share = 1.0 - settings.jitter * draw
        # Memory is a matter of danger, not of taste: its limit is not drawn.
        return cls(settings.max_age * share, settings.max_requests * share, settings.max_memory)

    def worn(self, use: Use) -> str:
        """Why a worker is to be replaced, in words; empty while it is not."""
        if 0 < self.requests <= use.requests:
            return f"{use.requests} requests"
        if 0 < self.age <= use.age:
            return f"{use.age:.0f} s of age"
        if 0 < self.memory <= use.memory:
            return f"{use.memory >> 20} MiB of memory"
        return ""


class Pulse:
    """How long one worker's loop has stood still, as seen by looks that may come late."""

    def __init__(self, now: float) -> None:
        """Begin at `now` (monotonic seconds)."""
        self._looked = now
        self._beat = -1.0
        self._still = 0.0

    def still(self, beat: float, now: float) -> float:
        """Seconds without a new beat, up to now; `beat` is the last one's time, by whatever clock."""
        if beat != self._beat:
            self._beat = beat
            self._still = 0.0
        else:
            self._still += min(max(0.0, now - self._looked), ASLEEP_SECONDS)
        self._looked = now
        return self._still
