"""What /metrics shows of the pipeline: one frozen mapping, replaced whole after each commit.

Whoever scrapes reads the mapping that is there, without a lock, however long a round takes. It never sees
what is not committed, so that nothing that was rolled back was ever shown.
"""

import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from groundwork.counters import SeriesKey
from monitor import metrics
from monitor.watch import Watch

_PARTS: Final = 1_000_000


class Shown:
    """The last mapping that was published; written by the pipeline's thread alone."""

    def __init__(self) -> None:
        self.series: Mapping[SeriesKey, int] = MappingProxyType({})
        self._gauges: dict[tuple[str, str], Mapping[SeriesKey, int]] = {}

    def show(self, counts: Mapping[SeriesKey, int], changed: Iterable[Watch]) -> None:
        """Publish the counts, and the gauges of watches that changed beside the others'; some 50 µs."""
        for watch in changed:
            self._gauges[watch.model, watch.version] = gauges(watch)
        found = dict(counts)
        for known in self._gauges.values():
            found.update(known)
        self.series = MappingProxyType(found)


def gauges(watch: Watch) -> dict[SeriesKey, int]:
    """What one version's watch shows as it is now."""
    of = {"model": watch.model, "version": watch.version}
    found = {
        metrics.key(metrics.THRESHOLD, "gauge", **of): round(watch.threshold * _PARTS),
        metrics.key(metrics.OPEN, "gauge", **of): int(
            watch.incident is not None and watch.incident.state == "open"
        ),
        metrics.key(metrics.RESTARTED, "gauge", **of): watch.restarted,
    }
    for over, share in (("all", watch.accuracy.overall), ("recent", watch.accuracy.recent)):
        if share is not None:
            found[metrics.key(metrics.ACCURACY, "gauge", over=over, **of)] = round(share * _PARTS)
    for group, value in {**watch.groups, "all": watch.total}.items():
        if math.isfinite(value):
            found[metrics.key(metrics.EVIDENCE, "gauge", group=group, **of)] = round(value * _PARTS)
    return found
