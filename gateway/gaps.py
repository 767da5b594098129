"""Measuring a version in the gaps between the runs of callers.

A measuring run takes a processor and, for a large graph, most of the memory's bandwidth; begun while a
caller's run is under way it makes that one slower, and run after run makes a queue. So each waits until none
is under way, but not for ever: on a worker that is never idle a version is still loaded. The time that passed
in waiting is not part of what is measured.
"""

import threading
from collections.abc import Callable
from typing import Final

from gateway.inference import Array
from gateway.session import Session

LOOK_SECONDS: Final = 0.001
LONGEST_SECONDS: Final = 0.05
"""The longest wait for one gap."""
MOST_SECONDS: Final = 2.0
"""All waiting of one version."""


class Gaps:
    """A session whose runs wait for a gap, and a clock that stands still meanwhile; used by one thread.

    `busy` says whether a run of a caller is under way, `pause` waits for so many seconds.
    """

    def __init__(
        self,
        session: Session,
        busy: Callable[[], bool],
        monotonic: Callable[[], float],
        pause: Callable[[float], object] | None = None,
    ) -> None:
        self.signature = session.signature
        self._session = session
        self._busy = busy
        self._monotonic = monotonic
        self._pause = pause or threading.Event().wait
        self._waited = 0.0

    def run(self, feeds: dict[str, Array]) -> list[Array]:
        """As the session's, in the next gap."""
        if self._busy():
            self._wait()
        return self._session.run(feeds)

    def seconds(self) -> float:
        """Seconds from an arbitrary start, waiting left out."""
        return self._monotonic() - self._waited

    def _wait(self) -> None:
        began = self._monotonic()
        longest = min(LONGEST_SECONDS, MOST_SECONDS - self._waited)
        passed = 0.0
        while passed < longest and self._busy():
            self._pause(LOOK_SECONDS)
            passed = self._monotonic() - began
        self._waited += passed
