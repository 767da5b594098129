"""What the gateway measures: the declared instruments, and the names that the series of a slot go by.

Rules: a name is part of the public interface. Evidence series and gauges about single models are read by the
pilot, the guards and the supervisor straight from the slots; those that only they need are not rendered.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from gateway import fleet_meters, queue_meters, rollout_meters
from groundwork.denials import DENIED
from groundwork.metrics import Instrument, render
from groundwork.ports import REFUSED
from groundwork.series import SeriesKey
from groundwork.series_table import REFUSED as SERIES_REFUSED
from groundwork.slot_readings import UNREADABLE, SlotsReader, totals
from prediction_log.retention import free_bytes, log_bytes

UNLOADED: Final = "unloaded"
"""The version label of what versions counted that no worker has in memory any more."""
GATHERED: Final[Mapping[str, str]] = MappingProxyType(
    {"version": UNLOADED, "stable": UNLOADED, "candidate": UNLOADED, "revision": "0"}
)
REQUESTS: Final = "driftgate_requests_total"
REFUSALS: Final = "driftgate_refusals_total"
PAIRS: Final = "driftgate_pairs_total"
SHADOW_DROPPED: Final = "driftgate_shadow_dropped_total"
LABELS: Final = "driftgate_labels_total"
ROWS: Final = "driftgate_rows_total"
QUEUE_SECONDS: Final = "driftgate_queue_seconds_total"
DECODE_SECONDS: Final = "driftgate_decode_seconds_total"
RUN_SECONDS: Final = "driftgate_run_seconds_total"
ENCODE_SECONDS: Final = "driftgate_encode_seconds_total"
FAILED_SECONDS: Final = "driftgate_failed_seconds_total"
LAST_ANSWER: Final = "driftgate_last_answer_milliseconds"
LOG_ACCEPTED: Final = "driftgate_log_rows_accepted_total"
LOG_SPOOLED: Final = "driftgate_log_rows_spooled_total"
LOG_LOST: Final = "driftgate_log_rows_lost_total"
LOG_WITHHELD: Final = "driftgate_log_inputs_withheld_total"
LOG_NOT_DRAWN: Final = "driftgate_log_rows_not_drawn_total"
LOG_UNLOGGED: Final = "driftgate_version_unlogged"
RESTARTS: Final = "driftgate_worker_restarts_total"
CACHE_REMOVED: Final = "driftgate_cache_removed_files_total"
LOG_BYTES: Final = "driftgate_log_bytes"
DISK_FREE: Final = "driftgate_disk_free_bytes"
LOG_WAITING: Final = "driftgate_log_rows_waiting"
LOG_FLUSH_FAILURES: Final = "driftgate_log_flush_failures_total"
DISK_FLOOR: Final = "driftgate_disk_floor_bytes"

EXECUTING: Final = "driftgate_executing"
LOADING: Final = fleet_meters.LOADING
CONSECUTIVE_ERRORS: Final = "driftgate_consecutive_errors"
APPLIED_REVISION: Final = "driftgate_applied_revision"
LOADED: Final = "driftgate_version_loaded"
FAILED: Final = "driftgate_version_failed"
ANSWERING: Final = "driftgate_workers_answering"
FOLLOWING: Final = "driftgate_worker_following"
CONNECTIONS: Final = "driftgate_connections"

SECONDS: Final = Instrument(
    name="driftgate_request_seconds",
    help="Time from a whole request to its answer, inside the worker.",
    kind="histogram",
    labels=("model", "version", "arm", "outcome"),
    buckets=tuple(25 << power for power in range(17)),
    scale=1e-6,
)
FLUSH: Final = Instrument(
    name="driftgate_log_flush_seconds",
    help="Time from handing rows over to their being in a segment.",
    kind="histogram",
    buckets=tuple(250 << power for power in range(15)),
    scale=1e-6,
)

_STAGES: Final = {
    QUEUE_SECONDS: "Time of answered requests spent waiting for a thread to run in.",
    DECODE_SECONDS: "Time of answered requests spent reading the body and choosing the version.",
    RUN_SECONDS: "Time of answered requests spent in the model.",
    ENCODE_SECONDS: "Time of answered requests spent writing the answer.",
    FAILED_SECONDS: "Time spent on requests whose run failed.",
}

INSTRUMENTS: Final = (
    Instrument(
        name=REQUESTS,
        help="Requests a version was run for; rerun: the candidate failed, stable was run instead.",
        labels=("model", "version", "arm", "outcome"),
    ),
    Instrument(
        name=REFUSALS,
        help="Requests that no version was run for, by the code of their error.",
        labels=("model", "code"),
    ),
    DENIED,
    REFUSED,
    SECONDS,
    Instrument(name=ROWS, help="Rows that were answered.", labels=("model", "version")),
    *(
        Instrument(name=name, help=text, labels=("model", "version"), scale=1e-9)
        for name, text in _STAGES.items()
    ),
    Instrument(
        name=PAIRS,
        help="Requests that two versions were run for, the second one beside the answer.",
        labels=("model", "stable", "candidate", "outcome"),
    ),
    Instrument(
        name=SHADOW_DROPPED,
        help="Shadow runs left out: requests, for callers' sake (`busy`, `waiting`, `bytes`); rows that "
        "the log lacks (`unrecorded`); requests, or rows of a frame, that failed unforeseen (`fault`).",
        labels=("model", "version", "reason"),
    ),
    *queue_meters.INSTRUMENTS,
    *fleet_meters.INSTRUMENTS,
    Instrument(name=LABELS, help="Labels taken into the log.", labels=("model",)),
    Instrument(name=LOG_ACCEPTED, help="Rows copied into a slot.", labels=("kind",)),
    Instrument(
        name=LOG_SPOOLED, help="Rows written to a segment, those of dead workers included.", labels=("kind",)
    ),
    Instrument(
        name=LOG_LOST,
        help="Rows that the log lacks: there was no room, the power was cut, their file cannot be read.",
        labels=("kind",),
    ),
    Instrument(
        name=LOG_WAITING,
        help="Rows in the slots of living workers that are not in a segment yet.",
        kind="gauge",
        labels=("kind",),
    ),
    FLUSH,
    Instrument(name=LOG_FLUSH_FAILURES, help="Flushes that could not be written and are tried again."),
    Instrument(
        name=LOG_NOT_DRAWN, help="Rows left out of the log by its sampling rate.", labels=("model", "version")
    ),
    Instrument(
        name=LOG_UNLOGGED,
        help="Workers that serve this version without a log, for want of disk.",
        kind="gauge",
        labels=("model", "version"),
    ),
    Instrument(name=LOG_BYTES, help="Size of the prediction log.", kind="gauge"),
    Instrument(name=DISK_FREE, help="Room left on the data folder's disk.", kind="gauge"),
    Instrument(
        name=DISK_FLOOR, help="With less room than this the log's oldest segments are dropped.", kind="gauge"
    ),
    Instrument(
        name=LOG_WITHHELD,
        help="Rows recorded without their inputs because these are too large.",
        labels=("model", "version"),
    ),
    Instrument(
        name=LOADED, help="Workers that hold this version.", kind="gauge", labels=("model", "version")
    ),
    Instrument(
        name=FAILED, help="Workers that cannot load this version.", kind="gauge", labels=("model", "version")
    ),
    Instrument(name=ANSWERING, help="Workers that answer requests.", kind="gauge"),
    Instrument(
        name=RESTARTS,
        help="Workers that were followed by others in their place, by why they ended.",
        labels=("place", "reason"),
    ),
    Instrument(
        name=CACHE_REMOVED,
        help="Copies of models and profiles removed: `gone` from registry and routes, or for want of `room`.",
        labels=("reason",),
    ),
    Instrument(name=CONNECTIONS, help="Connections open on the data port.", kind="gauge"),
    Instrument(name=EXECUTING, help="Runs going on now.", kind="gauge", labels=("model", "version")),
    Instrument(
        name=CONSECUTIVE_ERRORS,
        help="Failed runs since the last good one, summed over workers.",
        kind="gauge",
        labels=("model", "version"),
    ),
    *rollout_meters.INSTRUMENTS,
    Instrument(
        name=SERIES_REFUSED.name, help="Series that found no room in a worker's table and are not counted."
    ),
    Instrument(
        name=UNREADABLE.name,
        help="Slots whose counters cannot be read and are missing from the sums.",
        kind="gauge",
    ),
)


Facts = Callable[[], Mapping[SeriesKey, int]]
"""Gauges that are looked at when they are asked for."""


def exposition(slots_folder: Path, facts: Facts = dict) -> bytes:
    """The text of /metrics over every worker of the machine; reads a file per slot: off the loop."""
    return render(INSTRUMENTS, {**totals(slots_folder), **facts()})


class Scrapes:
    """The same again and again, from any thread, by what `slots` remembers."""

    def __init__(self, slots: SlotsReader, facts: Facts) -> None:
        self._slots = slots
        self._facts = facts

    def __call__(self) -> bytes:
        """The text now."""
        return render(INSTRUMENTS, {**self._slots.totals(), **self._facts()})


def disk(data: Path, floor_bytes: int) -> dict[SeriesKey, int]:
    """The size of the log in a data folder, and the room beside it."""
    found = {LOG_BYTES: log_bytes(data / "log"), DISK_FREE: free_bytes(data), DISK_FLOOR: floor_bytes}
    return {SeriesKey(name, (), "gauge"): value for name, value in found.items()}
