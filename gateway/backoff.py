"""How long to wait before a dead worker is started again. Pure."""

from typing import Final

FIRST_SECONDS: Final = 0.2
LONGEST_SECONDS: Final = 15.0
HEALTHY_SECONDS: Final = 10.0


class Backoff:
    """The waits of one place: none after a long life, then doubling from 0.2 s to 15 s."""

    def __init__(self) -> None:
        self._deaths = 0

    def after(self, lived: float) -> float:
        """Seconds to wait now that a worker has died after `lived` seconds.

        The first death, and every death after a healthy life, costs no wait: one crash is no loop.
        """
        if lived >= HEALTHY_SECONDS:
            self._deaths = 0
        self._deaths += 1
        if self._deaths == 1:
            return 0.0
        return min(LONGEST_SECONDS, FIRST_SECONDS * float(2 ** (self._deaths - 2)))
