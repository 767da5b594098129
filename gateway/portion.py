"""How many rows the next run of a version takes, and how many it waits for, by what was learnt so far.

Where the loop and a run have a processor each, what is in flight runs in two halves where that is quicker:
one is run while the loop answers and reads the other. What is to be decided, `gateway.schedule` does.

Written on the loop, read in a thread as well.
"""

from collections.abc import Callable

from gateway.estimates import Pace, Turn
from gateway.schedule import Schedule, enough, share, window


class Portion:
    """Of the runs of one version: `rows` is what the next takes, of the `most` that any may."""

    def __init__(self, schedule: Schedule, pace: Pace, worked: Callable[[], float], *, aside: bool) -> None:
        """`worked` are the seconds of a processor that the loop's thread has had; `aside` as a subject is."""
        self.most = self.rows = schedule.batch_rows
        self._times = schedule.measured.times
        self._pace = pace
        self._turn = Turn(worked)
        self._aside = aside

    def note(self, ran: int, requests: int, flying: int) -> None:
        """So many requests have run, `aside`, of so many that were in flight with so many rows."""
        self._turn.note(ran, alone=requests == 1)
        turn = self._turn.seconds / self._pace.factor
        self.rows = share(self._times, flying, requests, turn, self.most)

    def enough(self, waiting: int, ran: int) -> int:
        """How many rows the next run waits for, where so many wait and so many were just answered."""
        if waiting >= self.rows:
            return self.rows
        return enough(self._times, waiting, ran, self.rows, aside=self._aside)

    def window(self, waiting: int, ran: int) -> float:
        """For how many seconds it is worth waiting, where so many wait and so many were just answered."""
        return window(self._times, waiting, ran, self.rows) * self._pace.factor
