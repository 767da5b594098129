"""Which share of each stream is recorded, where all together would write more than the log has room for.

Rules:

1. What fits together is recorded whole.
2. Beyond that the room is shared max-min fairly: a stream that wants less than an equal part has all of it,
   and what it leaves is the others' (Bertsekas and Gallager, Data Networks, 2nd edition, section 6.5.2). So a
   stream of large batches takes nothing from the log of a quiet one.
3. What a stream wants is an exponential average over a second: one large request bounds nobody.

Pure but for what it remembers between two looks; who is drawn is `prediction_log.sampling`'s.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

LOOK_SECONDS: Final = 0.2
"""Between two looks."""
_OVER_SECONDS: Final = 1.0


class Flow(msgspec.Struct, frozen=True):
    """How far a stream has come, and what each row adds to the log where all of them are recorded (bytes)."""

    stream: int
    sequence: int
    row_bytes: float


class LogRate:
    """Shares the room of `most` bytes a second, without limit where that is 0."""

    def __init__(self, most: float) -> None:
        self._most = most
        self._looked = -math.inf
        self._seen: dict[int, tuple[int, float]] = {}  # the sequence at the last look, and bytes a second

    def due(self, now: float) -> bool:
        """Whether it is time for a look; `now` in monotonic seconds."""
        return self._most > 0 and now - self._looked >= LOOK_SECONDS

    def look(self, now: float, flows: Iterable[Flow]) -> dict[int, float]:
        """The share of each stream that is to be recorded from now on, above 0, at most 1."""
        seconds, self._looked = now - self._looked, now
        self._seen = {flow.stream: (flow.sequence, self._wanted(flow, seconds)) for flow in flows}
        wanted = [average for _, average in self._seen.values()]
        return dict(zip(self._seen, shares(wanted, self._most), strict=True))

    def _wanted(self, flow: Flow, seconds: float) -> float:
        """Bytes a second of a stream, averaged; those of one that is new begin to count now."""
        sequence, before = self._seen.get(flow.stream, (flow.sequence, 0.0))
        weight = -math.expm1(-seconds / _OVER_SECONDS)
        return before + weight * ((flow.sequence - sequence) * flow.row_bytes / seconds - before)


def shares(wanted: Sequence[float], most: float) -> list[float]:
    """The share of what each wants that it gets, max-min fair: together at most `most`."""
    found = [1.0] * len(wanted)
    room, others = most, len(wanted)
    for place in sorted(range(len(wanted)), key=wanted.__getitem__):
        part = min(wanted[place], room / others)
        if part < wanted[place]:
            found[place] = part / wanted[place]
        room, others = room - part, others - 1
    return found
