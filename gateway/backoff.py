"""How long to wait before a dead worker is started again. Pure."""

from typing import Final

FIRST_SECONDS: Final = 0.2
LONGEST_SECONDS: Final = 15.0
STEADY_SECONDS: Final = 30.0
"""A worker that answered for so long had recovered: its death is the first of a row."""


class Backoff:
    """The waits of one worker's seat.

    A worker that answered and was then killed from outside is followed at once: its seat was fit to work in.
    Other deaths – before any answer, or by its own fault soon after – are waited for, doubling from 0.2 s to
    15 s, but for the first of a row.
    """

    def __init__(self) -> None:
        self._failures = 0

    def after(self, *, answered: bool, own_fault: bool = False, lived: float = 0.0) -> float:
        """Seconds to wait now that a worker has died.

        `answered` says whether it ever did, `own_fault` that nobody outside ended it, `lived` for how many
        seconds it answered.
        """
        if answered and (not own_fault or lived >= STEADY_SECONDS):
            self._failures = 0
            if not own_fault:
                return 0.0
        self._failures += 1
        if self._failures == 1:
            return 0.0
        return min(LONGEST_SECONDS, FIRST_SECONDS * float(2 ** min(self._failures - 2, 16)))
