"""How long requests have waited for the event loop before anybody looked at them; measured where it is late.

A beat comes every few milliseconds. One that is late says that the loop has more to do than it can; from then
on each turn of the loop is timed, until the turns are short again. What is read in a turn came in after the
turn before had begun: that is the most it can have waited.

Rules: a loop in time costs one comparison a beat and one comparison a request; nothing here refuses anybody.
"""

import asyncio
from collections.abc import Callable
from typing import Final

LATE_SECONDS: Final = 0.03
SHORT_SECONDS: Final = 0.002
_CALM_TURNS: Final = 20
_NEVER: Final = float("inf")


class LoopLag:
    """The lateness of one loop; used on it.

    `sheds_at` is the moment (monotonic) from which on a request read in this turn may have waited longer than
    `most` seconds; infinite while the loop is in time.
    """

    def __init__(self, most: float, monotonic: Callable[[], float]) -> None:
        self.sheds_at = _NEVER
        self._most = most
        self._monotonic = monotonic
        self._due = _NEVER
        self._began = 0.0
        self._before = 0.0
        self._calm = 0

    @property
    def late(self) -> bool:
        """Whether the loop has more to do than it can."""
        return self.sheds_at != _NEVER

    def beat(self, interval: float) -> None:
        """Look at the time; the next beat is due in `interval` seconds."""
        now = self._monotonic()
        if now - self._due > LATE_SECONDS and not self.late:
            self._before = self._due
            self._began = now
            self._calm = 0
            self.sheds_at = self._before + self._most
            asyncio.get_running_loop().call_soon(self._turn)
        self._due = now + interval

    def waited(self, now: float) -> float:
        """The most seconds that a request read `now` can have waited; 0 while the loop is in time."""
        return now - self._before if self.late else 0.0

    def _turn(self) -> None:
        now = self._monotonic()
        self._before, self._began = self._began, now
        self._calm = self._calm + 1 if now - self._before < SHORT_SECONDS else 0
        if self._calm >= _CALM_TURNS:
            self.sheds_at = _NEVER
            return
        self.sheds_at = self._before + self._most
        asyncio.get_running_loop().call_soon(self._turn)
