"""Whether a request for one version is taken: by what waits, and by when it would be answered.

Rules: what is refused is refused as it comes, before it waits, and its error says when to come again. An
estimate that a deadline depends on is taken a margin longer than it is: runs vary, and a late answer is work
for nothing.

It reads the queue and the pace of its version; to the pace it says whom that refused.
"""

import math
from collections.abc import Callable
from typing import Final

from gateway.deadlines import LAST
from gateway.errors import ExpiredError, LateError, QueueFullError
from gateway.estimates import Pace
from gateway.queueing import Queue, Waiting, way_back

MARGIN: Final = 1.3
"""An estimate times this must be within a deadline."""
_LONGEST_RETRY: Final = 3600


class Admission:
    """Who is taken, for one version in one worker; on its loop.

    `left` is, each time, for how many seconds the run that is going on will still last; None where there is
    none.
    """

    def __init__(
        self, title: str, queue: Queue, pace: Pace, lanes: int, most_rows: int, monotonic: Callable[[], float]
    ) -> None:
        self._title = title
        self._queue = queue
        self._pace = pace
        self._lanes = lanes
        self._most_rows = most_rows
        self._monotonic = monotonic

    def check_room(self, priority: int, deadline: float | None, left: float | None) -> None:
        """Refuse what could not be taken however small it is: before it is decoded. As `check`."""
        if not self._queue.has_room(0, priority):
            raise self.full(left)
        if deadline is not None:
            now = self._monotonic()
            if deadline <= now:
                raise ExpiredError(f"{self._title}: the request's deadline passed before it was read")
            until = 0.0 if left is None else self._until_answered(1, priority, left, MARGIN)
            if deadline - now - way_back(deadline - now) < until:
                raise self._late(until)

    def check(self, entry: Waiting, now: float, left: float | None) -> None:
        """Refuse what has no room, or cannot be answered in time.

        Raises:
            QueueFullError: as much waits as may.
            LateError: what is before it leaves no time within its deadline.
            ExpiredError: its deadline has passed, or no run is that quick.
        """
        if not self._queue.has_room(entry.size, entry.priority):
            raise self.full(left)
        if entry.deadline == math.inf:
            return
        time, needs = entry.deadline - now, self._pace.least(entry.rows)
        if time <= 0 or (time < needs and not (entry.alone and self._pace.tried_again())):
            raise ExpiredError(
                f"{self._title} needs {needs * 1e3:.3g} ms for a run, the request has "
                f"{max(0.0, time) * 1e3:.3g} ms left; give it longer"
            )
        until = 0.0 if entry.alone else self._until_answered(entry.rows, entry.priority, left, MARGIN)
        if not entry.alone and entry.due - now < until:
            raise self._late(until)

    def full(self, left: float | None) -> QueueFullError:
        """The refusal of who finds no room, or loses it."""
        return QueueFullError(
            f"{self._title} has {len(self._queue)} requests waiting, which is as many as may "
            "(queue.max_waiting, queue.max_bytes); try again later",
            _whole(self._until_answered(1, LAST, left)),
        )

    def _until_answered(self, rows: int, priority: int, left: float | None, margin: float = 1.0) -> float:
        """Seconds until a request that came now would be answered, where all takes `margin` times as long."""
        entries, ahead = self._queue.ahead(priority)
        left = left or 0.0
        if self._lanes == 1 and self._most_rows > 1:
            full, rest = divmod(ahead, self._most_rows)
            own = max(rows, min(rest + rows, self._most_rows))
            before, kinds = full * self._pace.seconds(self._most_rows), min(entries, self._queue.kinds)
            if kinds > full + 1:  # each has a run of its own
                before, own = kinds * self._pace.seconds(max(1, ahead // kinds)), rows
            runs = left + before + self._pace.seconds(own)
        else:
            each = self._pace.seconds(max(1, ahead // entries)) if entries else 0.0
            runs = (left + entries * each) / self._lanes + self._pace.seconds(rows)
        return margin * (runs + self._pace.delay)

    def _late(self, until: float) -> LateError:
        return LateError(
            f"{self._title} has {len(self._queue)} requests waiting, this one would be answered "
            "after its deadline; try again later, or give it longer",
            _whole(until),
        )


def _whole(seconds: float) -> int:
    """What `Retry-After` says for so many seconds."""
    return min(max(1, math.ceil(seconds)), _LONGEST_RETRY)
