"""What a worker shows of itself in its slot, and how others read it: does it answer, and by which revisions.

An operator's verb is done when every worker that answers requests has applied it. A worker says that it
follows before it looks at the routes for the last time and opens its port; so a worker that was not seen
following when an edit was made has read that edit before it answers anybody. That it answers it says when its
ports are open.
"""

from typing import Final

from gateway.metrics import ANSWERING, APPLIED_REVISION, CONNECTIONS, FAILED, FOLLOWING
from groundwork.counters import Counters
from groundwork.series import SeriesKey
from groundwork.slot_readings import SlotsReader

_FOLLOWING_KEY: Final = SeriesKey(FOLLOWING, (), "gauge")


class Presence:
    """The writing side: one worker's own gauges."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._answering = counters.series(ANSWERING, {}, kind="gauge")
        self._following = counters.series(FOLLOWING, {}, kind="gauge")
        self._connections = counters.series(CONNECTIONS, {}, kind="gauge")

    def following(self, *, now: bool) -> None:
        """Show whether whoever edits a route waits for this worker."""
        self._counters.values[self._following] = int(now)

    def answering(self, *, now: bool) -> None:
        """Show whether this worker's ports are open."""
        self._counters.values[self._answering] = int(now)

    def connections(self, count: int) -> None:
        """Show how many connections this worker holds."""
        self._counters.values[self._connections] = count

    def applied(self, model: str, revision: int) -> None:
        """Show that requests for `model` are answered by `revision`."""
        index = self._counters.series(APPLIED_REVISION, {"model": model}, kind="gauge")
        self._counters.values[index] = revision

    def failed(self, model: str, version: str, *, now: bool) -> None:
        """Show whether this worker cannot load a version that it needs."""
        index = self._counters.series(FAILED, {"model": model, "version": version}, kind="gauge")
        self._counters.values[index] = int(now)


def lagging(slots: SlotsReader, model: str, revision: int) -> list[str]:
    """The following workers that do not yet answer `model` by `revision` or a later one; reads every slot."""
    key = SeriesKey(APPLIED_REVISION, (("model", model),), "gauge")
    return [
        f"worker {reading.place} (slot {reading.incarnation})"
        for reading in slots.read()
        if reading.alive and reading.series.get(_FOLLOWING_KEY, 0) and reading.series.get(key, 0) < revision
    ]
