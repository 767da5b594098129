"""How long requests have waited for the event loop before anybody looked at them, where it is late.

A beat comes every few milliseconds. One that is overdue says that the loop has more to do than it can; once
it has come, each turn of the loop is timed, until the turns are short again. What is read in a turn came in
after the turn before had begun: that is the most it can have waited.

Rules: a loop in time costs one comparison a beat and one comparison a request; nothing here refuses anybody.
"""

import asyncio
from collections.abc import Callable
from typing import Final

LATE_SECONDS: Final = 0.005
SHORT_SECONDS: Final = 0.002
_CALM_TURNS: Final = 20
_NEVER: Final = float("inf")


class LoopLag:
    """The lateness of one loop; used on it.

    `sheds_at` is the moment (monotonic) from which on a request read in this turn may have waited longer than
    `most` seconds; a loop in time puts it off with each beat.
    """

    def __init__(self, most: float, monotonic: Callable[[], float]) -> None:
        self.sheds_at = _NEVER
        self._most = most
        self._monotonic = monotonic
        self._due = _NEVER
        self._began = 0.0
        self._before = 0.0
        self._calm = 0
        self._timing = False

    def beat(self, interval: float) -> None:
        """Look at the time; the next beat is due in `interval` seconds."""
        now = self._monotonic()
        if now - self._due > LATE_SECONDS and not self._timing:
            self._before, self._began = self._due, now
            self._calm = 0
            self._timing = True
            asyncio.get_running_loop().call_soon(self._turn)
        self._due = now + interval
        self.sheds_at = (self._before if self._timing else self._due) + self._most

    def waited(self, now: float) -> float:
        """The most seconds that a request read `now` can have waited; 0 while the loop is in time."""
        if self._timing:
            return now - self._before
        overdue = now - self._due
        return overdue if overdue > LATE_SECONDS else 0.0

    def _turn(self) -> None:
        now = self._monotonic()
        self._before, self._began = self._began, now
        self._calm = self._calm + 1 if now - self._before < SHORT_SECONDS else 0
        if self._calm >= _CALM_TURNS:
            self._timing = False
            return
        self.sheds_at = self._before + self._most
        asyncio.get_running_loop().call_soon(self._turn)
