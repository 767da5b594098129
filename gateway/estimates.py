"""What is learnt while a version runs: how long runs and the loop take now, whether waiting for company pays.

Written on one worker's loop, from what each run took; nothing here is kept when a version leaves memory.
"""

from collections.abc import Callable
from typing import Final

from gateway.schedule import Times, seconds_for

_WEIGHT: Final = 0.2
"""How far one run moves the estimate of those to come."""
_JUMP: Final = 4.0
"""A run that took so many times what was expected moves it no more than one that took this."""
_LEARNING: Final = 0.25
_PAYS: Final = 0.5
_AGAIN: Final = 16
"""Where waiting has not paid, or an estimate lets nobody run, every so many chances it is tried again."""


class Pace:
    """How long runs take now: what was measured at load, times what the last runs took against it.

    What passes besides, until a busy loop has given the answers, is `delay`: it says nothing about the model,
    and runs that follow one another share it.
    """

    def __init__(self, times: Times) -> None:
        self._times = times
        self.factor = 1.0
        self.delay = 0.0
        self._refused = 0

    def seconds(self, rows: int) -> float:
        """The expected seconds of a run by itself, without `delay`."""
        return seconds_for(self._times, rows) * self.factor

    def least(self, rows: int) -> float:
        """The same on a machine as quick as it has been at its best: nothing is given up for a bad moment."""
        return seconds_for(self._times, rows) * min(1.0, self.factor)

    def tried_again(self) -> bool:
        """Whether a request is run that this refuses: the last of so many with no run that could correct it.

        A version that was loaded while the machine had much to do would else stay as slow as it was then, for
        clients who all have deadlines.
        """
        self._refused = (self._refused + 1) % _AGAIN
        return not self._refused

    def note_delay(self, seconds: float) -> None:
        """Take in what passed besides a run, until all of it was answered."""
        self.delay += _WEIGHT * (max(0.0, seconds) - self.delay)

    def note(self, rows: int, seconds: float) -> None:
        """Take in a run that has ended; one wild value moves the estimate by no more than a few times."""
        self._refused = 0
        expected = seconds_for(self._times, rows)
        if expected <= 0:
            self._times = ((1, seconds),) if seconds > 0 else ()
            return
        found = min(max(seconds / expected, self.factor / _JUMP), self.factor * _JUMP)
        self.factor += _WEIGHT * (found - self.factor)


class Turn:
    """How long the loop works for each request that is answered: for it, and for all else it has to do."""

    def __init__(self, worked: Callable[[], float]) -> None:
        """`worked` are the seconds of a processor that the calling thread, the loop's, has had."""
        self._worked = worked
        self._before = worked()
        self.seconds = 0.0

    def note(self, requests: int, *, alone: bool) -> None:
        """So many have been run; of one that was `alone` in flight nothing is learnt but the time.

        One wild value moves the estimate by no more than a few times.
        """
        now = self._worked()
        if not alone:
            found = (now - self._before) / requests
            most = _JUMP * self.seconds if self.seconds else found
            self.seconds += _WEIGHT * (min(found, most) - self.seconds)
        self._before = now


class Hope:
    """Whether waiting for company has paid lately, and how many rows the present wait is for."""

    def __init__(self) -> None:
        self.rows = 0
        self._had = 0
        self._paid = 1.0
        self._chances = 0

    def begin(self, had: int, rows: int) -> bool:
        """Whether to wait until `had` rows have become `rows`."""
        self._had, self.rows = had, rows
        if self._paid >= _PAYS:
            return True
        self._chances = (self._chances + 1) % _AGAIN
        return not self._chances

    def end(self, rows: int) -> None:
        """The wait is over, and so many rows are there."""
        came = min(1.0, max(0, rows - self._had) / max(1, self.rows - self._had))
        self._paid += _LEARNING * (came - self._paid)
