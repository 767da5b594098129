"""What is shown of the pipeline: one frozen snapshot, replaced whole after each commit.

Whoever asks reads the snapshot that is there, without a lock, however long a round takes. It never holds
what is not committed, so that nothing that was rolled back was ever shown.
"""

import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from groundwork.dates import rfc3339
from groundwork.series import SeriesKey
from monitor import metrics
from monitor.watch import Watch
from prediction_log.transport import START, Offset
from registry_client.profile import Profile

_PARTS: Final = 1_000_000


class Seen(msgspec.Struct, frozen=True):
    """One version as of a commit: what is told of it, and its watch as it was stored (`Watch.restore`)."""

    model: str
    version: str
    told: Mapping[str, Any]
    state: bytes
    profile: Profile | None


class Snapshot(msgspec.Struct, frozen=True):
    """Everything as of one commit: how far was read, every series, every version by model and name."""

    offset: Offset = START
    history: int = 0
    series: Mapping[SeriesKey, int] = MappingProxyType({})
    versions: tuple[Seen, ...] = ()


class Shown:
    """The last snapshot; written by the pipeline's thread alone."""

    def __init__(self) -> None:
        self.last = Snapshot()
        self._gauges: dict[tuple[str, str], Mapping[SeriesKey, int]] = {}
        self._seen: dict[tuple[str, str], Seen] = {}

    def show(
        self,
        offset: Offset,
        history: int,
        counts: Mapping[SeriesKey, int],
        changed: Iterable[tuple[Watch, bytes]],
    ) -> None:
        """Publish these, and watches that changed, as they were stored, beside the others; some 50 µs."""
        for watch, state in changed:
            key = watch.model, watch.version
            self._gauges[key] = gauges(watch)
            self._seen[key] = Seen(*key, told(watch, counts), state, watch.profile)
        series = dict(counts)
        for known in self._gauges.values():
            series.update(known)
        versions = tuple(self._seen[key] for key in sorted(self._seen))
        self.last = Snapshot(offset, history, MappingProxyType(series), versions)


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


def told(watch: Watch, counts: Mapping[SeriesKey, int]) -> dict[str, Any]:
    """What is told of one version's watch as it is now, but for its signals."""
    predictions = metrics.key(metrics.ROWS, model=watch.model, version=watch.version, kind="prediction")
    strange = metrics.key(metrics.UNKNOWN_CLASSES, model=watch.model, version=watch.version)
    labelled = watch.accuracy.right + watch.accuracy.wrong
    incident = watch.incident
    return {
        "model": watch.model,
        "version": watch.version,
        "rows": counts.get(predictions, 0),
        "latest": rfc3339(watch.mark.time) if watch.mark.time else None,
        "reference": "" if watch.layout is not None else watch.problem or "no reference profile",
        "problem": watch.problem,
        "unwatched": dict(watch.unwatched),
        "accuracy": {
            "labelled": labelled,
            "right": watch.accuracy.right,
            "overall": watch.accuracy.overall,
            "recent": watch.accuracy.recent,
            "unknown_class": counts.get(strange, 0),
        },
        "evidence": finite(watch.total),
        "threshold": watch.threshold,
        "groups": {name: finite(value) for name, value in watch.groups.items()},
        "incident": incident.id if incident is not None and incident.state == "open" else None,
        "policy": watch.said if incident is not None and incident.state == "open" else "",
    }


def finite(value: float) -> float | None:
    """What JSON has a number for; None for anything else."""
    return value if math.isfinite(value) else None
