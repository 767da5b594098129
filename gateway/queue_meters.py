"""What is measured of runs: how many rows ran together, and off the loop how many wait and how long.

Rules: a request off the loop costs one histogram, a run the rest; a run of one row on the loop costs nothing,
for it is what is left of all runs. Series of a size appear with its first run; sizes beyond MOST_EXACT rows
are counted under the next power of two.
"""

from collections.abc import Mapping
from typing import Final

from groundwork.counters import Counters
from groundwork.metrics import Histogram, Instrument

LENGTH: Final = "driftgate_queue_length"
RUNS: Final = "driftgate_runs_total"
JOINED: Final = "driftgate_runs_requests_total"
JOINED_SECONDS: Final = "driftgate_runs_requests_seconds_total"
LONE_RUNS: Final = "driftgate_lone_runs_total"
LONE_SECONDS: Final = "driftgate_lone_run_seconds_total"
BATCH_RUNS: Final = "driftgate_batch_runs_total"
BATCH_SECONDS: Final = "driftgate_batch_run_seconds_total"

ROWS: Final = Instrument(
    name="driftgate_run_rows",
    help="Rows that ran together, of runs off the event loop.",
    kind="histogram",
    labels=("model", "version"),
    buckets=tuple(1 << power for power in range(11)),
)
WAIT: Final = Instrument(
    name="driftgate_queue_wait_seconds",
    help="Time that a request waited for its run, off the event loop.",
    kind="histogram",
    labels=("model", "version"),
    buckets=tuple(50 << power for power in range(17)),
    scale=1e-6,
)
INSTRUMENTS: Final = (
    Instrument(
        name=LENGTH,
        help="Requests that wait for a run, off the event loop.",
        kind="gauge",
        labels=("model", "version"),
    ),
    Instrument(name=RUNS, help="Runs off the event loop.", labels=("model", "version")),
    Instrument(name=JOINED, help="Requests that were run off the event loop.", labels=("model", "version")),
    ROWS,
    WAIT,
)
MOST_EXACT: Final = 32
_MICROSECONDS: Final = 1e6
_NANOSECONDS: Final = 1e9


class Sizes:
    """Runs and their time by rows; `runs` and `seconds` name the series."""

    def __init__(self, counters: Counters, labels: Mapping[str, str], runs: str, seconds: str) -> None:
        self._counters = counters
        self._labels = labels
        self._names = runs, seconds
        self._places: dict[int, tuple[int, int]] = {}

    def note(self, rows: int, seconds: float) -> None:
        """A run of so many rows took so long."""
        size = rows if rows <= MOST_EXACT else 1 << (rows - 1).bit_length()
        place = self._places.get(size)
        if place is None:
            labels = {**self._labels, "rows": str(size)}
            runs, spent = self._names
            place = self._counters.series(runs, labels), self._counters.series(spent, labels)
            self._places[size] = place
        self._counters.values[place[0]] += 1
        self._counters.values[place[1]] += int(seconds * _NANOSECONDS)


class QueueMeters:
    """The series of one version's runs off the loop; `executing` is the index of its gauge of runs."""

    def __init__(self, counters: Counters, model: str, version: str, executing: int) -> None:
        labels = {"model": model, "version": version}
        self._values = counters.values
        self._executing = executing
        self._length = counters.series(LENGTH, labels, kind="gauge")
        self._runs = counters.series(RUNS, labels)
        self._joined = counters.series(JOINED, labels)
        self._joined_seconds = counters.series(JOINED_SECONDS, labels)
        self._observe_rows = Histogram(counters, ROWS, labels).observe
        self._observe_wait = Histogram(counters, WAIT, labels).observe
        self._sizes = Sizes(counters, labels, BATCH_RUNS, BATCH_SECONDS)

    def length(self, waiting: int) -> None:
        """So many requests wait now."""
        self._values[self._length] = waiting

    def begin(self) -> None:
        """A run begins."""
        self._values[self._executing] += 1

    def end(self, requests: int, rows: int, seconds: float) -> None:
        """A run of so many rows has ended, which answers so many requests."""
        values = self._values
        values[self._executing] -= 1
        values[self._runs] += 1
        values[self._joined] += requests
        values[self._joined_seconds] += int(seconds * _NANOSECONDS) * requests
        self._observe_rows(rows)
        self._sizes.note(rows, seconds)

    def waited(self, seconds: float) -> None:
        """A request's run began so long after it was asked for."""
        self._observe_wait(max(0, int(seconds * _MICROSECONDS)))
