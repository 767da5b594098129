"""Where in the slot's table each count of the hot path lives, looked up once and then added to by index.

Rules: a request costs a handful of `values[i] += 1` and nothing else; label sets are built at load and at a
change of the routes, never per request. Refusals are counted by model only where a route names the model, so
that a client that makes names up makes no series.
"""

from collections.abc import Callable, Mapping
from typing import Final

from gateway import metrics
from gateway.queue_meters import LONE_RUNS, LONE_SECONDS, Sizes
from groundwork.counters import Counters
from groundwork.metrics import Histogram
from prediction_log.record import Arm, Kind, Outcome
from rollouts.evidence import EVIDENCE_ERRORS, EVIDENCE_REQUESTS

ARM_NAMES: Final[Mapping[Arm, str]] = {arm: arm.name.lower() for arm in Arm}
_RERUN: Final = "rerun"


class Latencies(dict[Arm, Callable[[int], None]]):
    """The histogram of each arm's latencies with one outcome; made when the arm first answers."""

    def __init__(self, counters: Counters, labels: Mapping[str, str], outcome: str) -> None:
        super().__init__()
        self._counters = counters
        self._labels = {**labels, "outcome": outcome}

    def __missing__(self, arm: Arm) -> Callable[[int], None]:
        labels = {**self._labels, "arm": ARM_NAMES[arm]}
        self[arm] = observe = Histogram(self._counters, metrics.SECONDS, labels).observe
        return observe


class ModelMeters:
    """The series of one loaded version; made at its load."""

    def __init__(self, counters: Counters, model: str, version: str) -> None:
        labels = {"model": model, "version": version}
        self._counters = counters
        self._labels = labels
        self.executing = counters.series(metrics.EXECUTING, labels, kind="gauge")
        self.consecutive_errors = counters.series(metrics.CONSECUTIVE_ERRORS, labels, kind="gauge")
        self.loaded = counters.series(metrics.LOADED, labels, kind="gauge")
        self.withheld = counters.series(metrics.LOG_WITHHELD, labels)
        self.not_drawn = counters.series(metrics.LOG_NOT_DRAWN, labels)
        self.rows = counters.series(metrics.ROWS, labels)
        self.queued = counters.series(metrics.QUEUE_SECONDS, labels)
        self.decoded = counters.series(metrics.DECODE_SECONDS, labels)
        self.ran = counters.series(metrics.RUN_SECONDS, labels)
        self.encoded = counters.series(metrics.ENCODE_SECONDS, labels)
        self.last = counters.series(metrics.LAST_ANSWER, labels, kind="gauge")
        self.observe = Latencies(counters, labels, Outcome.OK.name.lower())
        self.observe[Arm.STABLE]  # made now; the others with their first request
        self._failed_took = Latencies(counters, labels, Outcome.FAILED.name.lower())
        self._rerun_took = Latencies(counters, labels, _RERUN)
        self.lone = Sizes(counters, labels, LONE_RUNS, LONE_SECONDS)
        self.ok: dict[Arm, int] = {
            arm: self._series(arm, Outcome.OK.name.lower()) for arm in Arm if arm is not Arm.SHADOW
        }

    def failed(self, arm: Arm) -> int:
        """The index for a run that failed; these are rare, so their series appears with the first."""
        return self._series(arm, Outcome.FAILED.name.lower())

    def observe_failed(self, arm: Arm, latency: int, *, rerun: bool) -> None:
        """Note what a failed run took, in microseconds."""
        (self._rerun_took if rerun else self._failed_took)[arm](latency)

    def last_answer(self) -> int:
        """When it last answered, in unix milliseconds; 0: not yet."""
        return int(self._counters.values[self.last])

    def rerun(self) -> int:
        """The index for a candidate's failed run whose request the stable version was run for instead."""
        return self._series(Arm.CANDIDATE, _RERUN)

    def failed_time(self) -> int:
        """The index for the nanoseconds that failed requests took."""
        return self._counters.series(metrics.FAILED_SECONDS, self._labels)

    def _series(self, arm: Arm, outcome: str) -> int:
        labels = {**self._labels, "arm": ARM_NAMES[arm], "outcome": outcome}
        return self._counters.series(metrics.REQUESTS, labels)


class Evidence:
    """Requests and errors of one version in one arm under one revision: what the judge reads."""

    def __init__(self, counters: Counters, model: str, version: str, arm: Arm, revision: int) -> None:
        labels = {"model": model, "version": version, "arm": ARM_NAMES[arm], "revision": str(revision)}
        self.requests = counters.series(EVIDENCE_REQUESTS, labels)
        self.errors = counters.series(EVIDENCE_ERRORS, labels)


class LogMeters:
    """Rows taken and lost, by kind."""

    def __init__(self, counters: Counters) -> None:
        self.values = counters.values
        self.accepted = {kind: self._series(counters, metrics.LOG_ACCEPTED, kind) for kind in Kind}
        self.lost = {kind: self._series(counters, metrics.LOG_LOST, kind) for kind in Kind}

    @staticmethod
    def _series(counters: Counters, name: str, kind: Kind) -> int:
        return counters.series(name, {"kind": kind.name.lower()})


def forget(counters: Counters, model: str, version: str) -> None:
    """Gather what a version counted into the model's `unloaded` series, when nothing counts it any more."""
    for label in ("version", "stable", "candidate"):
        counters.release({"model": model, label: version}, metrics.GATHERED)
