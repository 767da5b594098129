"""How long to wait before a dead worker is started again. Pure."""

from typing import Final

FIRST_SECONDS: Final = 0.2
LONGEST_SECONDS: Final = 15.0


class Backoff:
    """The waits of one place.

    A worker that answered before it died is followed at once: its place was fit to work in, and starting
    takes long enough to be no storm. Deaths before any answer are waited for, doubling from 0.2 s to 15 s,
    but for the first of a row.
    """

    def __init__(self) -> None:
        self._failures = 0

    def after(self, *, answered: bool) -> float:
        """Seconds to wait now that a worker has died; `answered` says whether it ever did."""
        if answered:
            self._failures = 0
            return 0.0
        self._failures += 1
        if self._failures == 1:
            return 0.0
        return min(LONGEST_SECONDS, FIRST_SECONDS * float(2 ** (self._failures - 2)))
