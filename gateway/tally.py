"""What the supervisor counts, in a slot of its own, so that every worker's /metrics shows it.

    driftgate_worker_restarts_total{place, reason}    workers started in the place of others
    driftgate_log_rows_spooled_total{kind}            rows of dead workers, brought into the log
    driftgate_cache_removed_files_total{reason}       copies that nobody needed any more
    driftgate_log_rows_lost_total{kind}               rows of dead workers that are lost, as the log was told

The slot survives the supervisor like any other: what it counted is folded into the totals by the next one.
Where the disk has no room for it, counts wait in memory until there is some.

Rules: every series of restarts stands at 0 from the start, so that the first restart is seen as a rise. Adds
come from one thread at a time.
"""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final, get_args

from gateway.causes import Cause
from gateway.metrics import CACHE_REMOVED, LOG_LOST, LOG_SPOOLED, RESTARTS
from groundwork.errors import DriftgateError
from groundwork.logs import Log
from groundwork.series import SeriesKey
from groundwork.slots import Slot
from prediction_log.frame import decode
from prediction_log.reading import lost_rows
from prediction_log.record import Kind
from prediction_log.transport import Sink
from prediction_log.validation import read_head
from registry_client.pruning import Removed

PLACE: Final = -1
"""The place that the supervisor's slot names: none of a worker's."""
_KINDS: Final = frozenset(int(kind) for kind in Kind)


class Tally:
    """The supervisor's counters; safe from its threads."""

    def __init__(self, slots_folder: Path, seats: int, log: Log) -> None:
        self._slots_folder = slots_folder
        self._log = log
        self._adding = threading.Lock()
        self._slot: Slot | None = None
        labels = [(str(seat), cause) for seat in range(seats) for cause in get_args(Cause)]
        self._waiting = {_restart(place, cause): 0 for place, cause in labels}
        self._open()

    def restarted(self, seat: int, cause: Cause) -> None:
        """A worker of this seat is followed by another."""
        self._add(_restart(str(seat), cause), 1)

    def spooled(self, kind: str, rows: int) -> None:
        """Rows of a dead worker are in the log now."""
        self._add(SeriesKey(LOG_SPOOLED, (("kind", kind),)), rows)

    def lost(self, kind: str, rows: int) -> None:
        """The log was told that it lacks rows of a dead worker."""
        self._add(SeriesKey(LOG_LOST, (("kind", kind),)), rows)

    def removed(self, files: Removed) -> None:
        """Copies left the cache."""
        for reason, count in (("gone", files.gone), ("room", files.room)):
            if count:
                self._add(SeriesKey(CACHE_REMOVED, (("reason", reason),)), count)

    def restarts(self, seat: int) -> int:
        """How often workers of this seat were followed by others, in this supervisor's life."""
        with self._adding:
            found = dict(self._waiting)
            if self._slot is not None:
                found |= self._slot.counters.read()
        label = ("place", str(seat))
        return sum(count for key, count in found.items() if key.name == RESTARTS and label in key.labels)

    def close(self) -> None:
        """Let the slot go; what it says stays."""
        if self._slot is not None:
            self._slot.close()

    def _add(self, key: SeriesKey, by: int) -> None:
        with self._adding:
            self._waiting[key] = self._waiting.get(key, 0) + by
        self._open()

    def _open(self) -> None:
        """Bring what waits into the slot, making it first; a disk without room is said once."""
        with self._adding:
            try:
                slot = self._slot or Slot.create(self._slots_folder, place=PLACE)
            except (DriftgateError, OSError) as error:
                self._log.warning("supervisor-counts-in-memory", fault=error)
                return
            self._slot = slot
            for key, value in self._waiting.items():
                slot.counters.values[slot.counters.series(key.name, dict(key.labels))] += value
            self._waiting.clear()


class CountedSink:
    """A sink that counts the frames which a recovery brings to it.

    Also a frame that is in the log already counts, once: its worker died between writing and counting it.
    """

    def __init__(self, sink: Sink, tally: Tally) -> None:
        self._sink = sink
        self._tally = tally
        self._seen: set[tuple[int, int, int]] = set()

    def write(self, frames: Sequence[bytes]) -> int:
        """As the sink's own."""
        written = self._sink.write(frames)
        for frame in frames:
            head = read_head(memoryview(frame))
            key = (head.incarnation, head.stream, head.first)
            if key not in self._seen:
                self._seen.add(key)
                if head.kind == Kind.LOSS:
                    loss = decode(frame)
                    # What its worker lost for want of room (`skipped`) that worker counted itself.
                    lost = lost_rows(loss) - loss.skipped
                    self._tally.lost(_named(int(loss.array("kind")[0])), lost)
                else:
                    self._tally.spooled(_named(head.kind), head.rows)
        return written

    def reached(self, incarnation: int, stream: int) -> int:
        """As the sink's own."""
        return self._sink.reached(incarnation, stream)

    def sync(self) -> None:
        """As the sink's own."""
        self._sink.sync()

    def close(self) -> None:
        """As the sink's own."""
        self._sink.close()


def _named(kind: int) -> str:
    return Kind(kind).name.lower() if kind in _KINDS else str(kind)


def _restart(place: str, cause: str) -> SeriesKey:
    return SeriesKey(RESTARTS, (("place", place), ("reason", cause)))
