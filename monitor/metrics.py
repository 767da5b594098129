"""What the monitor counts, by name; its counts are part of its state, so a restart never takes one back."""

from collections.abc import Iterable
from typing import Final

import msgspec

from groundwork.metrics import Instrument
from groundwork.series import SeriesKey

FRAMES: Final = "driftgate_monitor_frames_total"
ROWS: Final = "driftgate_monitor_rows_total"
LOST: Final = "driftgate_monitor_lost_rows_total"
DROPPED: Final = "driftgate_monitor_dropped_rows_total"
BAD_FRAMES: Final = "driftgate_monitor_bad_frames_total"
REPEATED: Final = "driftgate_monitor_repeated_rows_total"
INPUTS: Final = "driftgate_monitor_input_rows_total"
LABELS: Final = "driftgate_monitor_labels_total"
UNKNOWN_CLASSES: Final = "driftgate_monitor_unknown_class_labels_total"
HELD: Final = "driftgate_monitor_held_times_total"
ALARMS: Final = "driftgate_monitor_incident_changes_total"
EVENTS: Final = "driftgate_monitor_events_total"
ACCURACY: Final = "driftgate_monitor_accuracy"
EVIDENCE: Final = "driftgate_monitor_evidence_nats"
THRESHOLD: Final = "driftgate_monitor_threshold_nats"
OPEN: Final = "driftgate_monitor_open_incidents"
LAG_FRAMES: Final = "driftgate_monitor_lag_frames"
LAG_ROWS: Final = "driftgate_monitor_lag_rows"
LAG_BYTES: Final = "driftgate_monitor_lag_bytes"
LAG_SECONDS: Final = "driftgate_monitor_lag_seconds"
HEARTBEAT: Final = "driftgate_monitor_heartbeat_age_seconds"
ERRORS: Final = "driftgate_monitor_errors_total"
DELIVERIES: Final = "driftgate_monitor_deliveries"
RESTARTED: Final = "driftgate_monitor_detectors_restarted"

_VERSION: Final = ("model", "version")
_PARTS: Final = 1e-6
_MOST: Final = 2**63 - 1
"""A counter stays here: a loss may claim any 64-bit number of rows, and the sum of two has to be stored."""

INSTRUMENTS: Final = (
    Instrument(FRAMES, "Frames read from the log.", labels=(*_VERSION, "kind")),
    Instrument(ROWS, "Rows read from the log.", labels=(*_VERSION, "kind")),
    Instrument(LOST, "Rows that the log says were lost before it.", labels=(*_VERSION, "kind", "reason")),
    Instrument(
        DROPPED,
        "Rows that the log's limits dropped, by whether this monitor had read them (yes: nothing was lost).",
        labels=("read",),
    ),
    Instrument(BAD_FRAMES, "Frames that were skipped.", labels=("reason",)),
    Instrument(REPEATED, "Rows that came a second time (after a power cut) and were not counted again."),
    Instrument(
        INPUTS, "Predicted rows by what the input detectors did with them.", labels=(*_VERSION, "use")
    ),
    Instrument(LABELS, "Labels by what became of them.", labels=("model", "outcome")),
    Instrument(
        UNKNOWN_CLASSES,
        "Labels whose value is none of the version's classes; where the two can be compared they are wrong.",
        labels=_VERSION,
    ),
    Instrument(HELD, "Rows whose record time was too far from the log's to be believed.", labels=_VERSION),
    Instrument(ALARMS, "Incidents opened, gathered into and resolved.", labels=(*_VERSION, "change")),
    Instrument(EVENTS, "Events written to the outbox.", labels=("type",)),
    Instrument(ACCURACY, "Share of right labelled predictions.", "gauge", (*_VERSION, "over"), scale=_PARTS),
    Instrument(EVIDENCE, "ln evidence of a change.", "gauge", (*_VERSION, "group"), scale=_PARTS),
    Instrument(THRESHOLD, "ln evidence that is an alarm.", "gauge", _VERSION, scale=_PARTS),
    Instrument(OPEN, "Incidents that are open.", "gauge", _VERSION),
    Instrument(RESTARTED, "Detectors that could not go on from their stored state.", "gauge", _VERSION),
    Instrument(LAG_FRAMES, "Frames of the log that the monitor has not read yet.", "gauge"),
    Instrument(LAG_ROWS, "Rows in those frames.", "gauge"),
    Instrument(LAG_BYTES, "Size of those frames.", "gauge"),
    Instrument(LAG_SECONDS, "Age of the oldest row in them; 0 without any.", "gauge", scale=1e-3),
    Instrument(HEARTBEAT, "Seconds since the pipeline last went round.", "gauge", scale=1e-3),
    Instrument(ERRORS, "Rounds of the pipeline that failed and were begun again.", labels=("code",)),
    Instrument(DELIVERIES, "Webhook deliveries by endpoint and state.", "gauge", ("endpoint", "state")),
)


def key(name: str, kind: str = "counter", /, **labels: str) -> SeriesKey:
    """The series of an instrument with these labels."""
    return SeriesKey(name=name, labels=tuple(sorted(labels.items())), kind=kind)


class Tally:
    """Counters that are stored with the checkpoint."""

    def __init__(self) -> None:
        self.counts: dict[SeriesKey, int] = {}

    def add(self, name: str, count: int, /, **labels: str) -> None:
        """Count `count` more, as far as a counter goes; nothing for 0."""
        if count:
            series = key(name, **labels)
            self.counts[series] = min(self.counts.get(series, 0) + count, _MOST)

    def state(self) -> bytes:
        """Everything `restore` needs, in an order of its own so that equal counts are equal bytes."""
        rows = [(series.name, series.labels, count) for series, count in self.counts.items()]
        return msgspec.msgpack.encode(sorted(rows))

    def restore(self, state: bytes) -> None:
        """Go on from `state`."""
        rows: Iterable[tuple[str, tuple[tuple[str, str], ...], int]] = msgspec.msgpack.decode(
            state, type=list[tuple[str, tuple[tuple[str, str], ...], int]]
        )
        self.counts = {
            SeriesKey(name=name, labels=labels, kind="counter"): count for name, labels, count in rows
        }
