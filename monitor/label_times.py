"""How many labelled rows of a version were predicted since a moment, whatever the order their labels came in.

The newest NEWEST are known by their record times and counted exactly, which is all that policy can ask for
(`policy.min_labelled` is at most as many). Older ones are counted by whole seconds: a second that a moment
divides is left out, so that no row from before it is ever counted. Bounded: the oldest seconds are forgotten.
"""

import bisect
from collections.abc import Iterable
from typing import Final

NEWEST: Final = 4_096
_SECONDS: Final = 4_096
_NS: Final = 1_000_000_000

Seconds = tuple[tuple[int, int], ...]
"""(second, how many), ascending."""


class LabelTimes:
    """Record times of labelled rows; owned by one watch. Some microseconds a row, 80 KB stored at most."""

    def __init__(self, newest: Iterable[int] = (), older: Iterable[tuple[int, int]] = ()) -> None:
        """Go on from what `newest` and `older` were."""
        self._newest = list(newest)
        self._older = dict(older)

    @property
    def newest(self) -> tuple[int, ...]:
        """The latest record times (unix ns), ascending."""
        return tuple(self._newest)

    @property
    def older(self) -> Seconds:
        """Rows before those, by second."""
        return tuple(sorted(self._older.items()))

    def add(self, time: int) -> None:
        """One more labelled row, predicted at `time` (unix ns)."""
        bisect.insort(self._newest, time)
        if len(self._newest) <= NEWEST:
            return
        second = self._newest.pop(0) // _NS
        self._older[second] = self._older.get(second, 0) + 1
        if len(self._older) > _SECONDS:
            del self._older[min(self._older)]

    def forget(self, moment: int) -> None:
        """Forget rows that are dated later than `moment` (unix ns): the clock was set back to it."""
        del self._newest[bisect.bisect_right(self._newest, moment) :]
        self._older = {second: count for second, count in self._older.items() if second * _NS <= moment}

    def since(self, moment: int) -> int:
        """Rows predicted at `moment` (unix ns) or later: exact up to NEWEST, never too many."""
        exact = len(self._newest) - bisect.bisect_left(self._newest, moment)
        return exact + sum(count for second, count in self._older.items() if second * _NS >= moment)
