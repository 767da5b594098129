"""Take over what dead workers left in their slots: rows into the log at once, counters after a while.

Rows are spooled as soon as a slot is seen dead, so nothing answered is missing from the log for long. The
counters of a dead slot stay readable for RETIRE_SECONDS before they are folded into the totals, because the
evidence of a rollout is kept per incarnation: a pilot that looks twice a second must have seen a dead
worker's last counts before they lose its name.

A slot of a past boot may be torn by a power cut: the log is told how many rows it lacks, and its counters are
folded in at once, as far as they can be read. They are too low then, never too high; a judge does not see
them, for of two counts one may be older than the other.

Knows no model: a slot's row files describe themselves.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from gateway.metrics import GATHERED
from groundwork.boot import is_past
from groundwork.clock import Clock
from groundwork.errors import DriftgateError
from groundwork.logs import Log
from groundwork.retiring import gather, retire
from groundwork.series import SeriesKey
from groundwork.slot_readings import SlotReading, read_slots
from prediction_log.recovery import Taken

RETIRE_SECONDS: Final = 60.0
MOST_TOTALS: Final = 20_000
"""Series of the totals beyond which those of versions that no living worker counts are summed together.

No setting: sums stay right whatever it is, nobody serves what is gathered, and series of versions in use are
kept however many they are.
"""


class Sweeper:
    """Recovers and retires dead slots; owned by the supervisor, used by one thread at a time."""

    def __init__(
        self,
        slots_folder: Path,
        take_over: Callable[[SlotReading], Taken],
        clock: Clock,
        log: Log,
        *,
        sync: Callable[[], None] | None = None,
        boot: str = "",
        most_totals: int = MOST_TOTALS,
    ) -> None:
        """Sweep `slots_folder` in this `boot`; `take_over` brings what one slot holds into the log.

        `sync` brings the log to the disk, once a sweep: what a power cut takes is what came after.
        """
        self._sync = sync
        self._slots_folder = slots_folder
        self._take_over = take_over
        self._boot = boot
        self._most_totals = most_totals
        self._clock = clock
        self._log = log
        self._dead_since: dict[int, float] = {}

    def sweep(self) -> list[SlotReading]:
        """Recover every slot found dead since the last sweep; retire those dead long enough.

        Returns the newly dead, so that their last state can be judged. Never raises for one slot: what
        cannot be recovered now is tried again at the next sweep, and said.
        """
        now = self._clock.monotonic()
        dead_and_alive = read_slots(self._slots_folder)
        dead = [reading for reading in dead_and_alive if not reading.alive]
        fresh = [reading for reading in dead if reading.incarnation not in self._dead_since]
        recovered = [reading for reading in fresh if self._recovered(reading)]
        for reading in recovered:
            self._dead_since[reading.incarnation] = now
        for reading in dead:
            since = self._dead_since.get(reading.incarnation)
            torn = is_past(reading.boot, self._boot)
            if since is not None and (torn or now - since >= RETIRE_SECONDS):
                self._retire(reading, torn=torn)
        self._gather([reading for reading in dead_and_alive if reading.alive])
        self._bring_to_disk()
        return recovered

    def _gather(self, living: list[SlotReading]) -> None:
        """Bound the totals of dead workers: versions that no living one counts lose names of their own."""
        counted = {
            (labels.get("model", ""), labels[name])
            for reading in living
            for labels in (dict(key.labels) for key in reading.series)
            for name in GATHERED.keys() & labels.keys()
        }

        def stays(key: SeriesKey) -> bool:
            labels = dict(key.labels)
            return all(
                (labels.get("model", ""), labels[name]) in counted for name in GATHERED.keys() & labels.keys()
            )

        if not counted:
            return
        try:
            saved = gather(self._slots_folder, stays, GATHERED, most=self._most_totals)
        except (DriftgateError, OSError) as error:
            self._log.error("totals-not-gathered", fault=error)
            return
        if saved:
            self._log.info("totals-gathered", series=saved)

    def _bring_to_disk(self) -> None:
        try:
            if self._sync is not None:
                self._sync()
        except (DriftgateError, OSError) as error:
            self._log.error("log-not-synced", fault=error)

    def _recovered(self, reading: SlotReading) -> bool:
        try:
            taken = self._take_over(reading)
        except (DriftgateError, OSError) as error:
            self._log.error("slot-not-recovered", incarnation=reading.incarnation, fault=error)
            return False
        if taken.lost:
            event = "slot-torn" if is_past(reading.boot, self._boot) else "slot-unreadable"
            self._log.warning(event, incarnation=reading.incarnation, lost_at_most=taken.lost)
        if not taken.rows and taken.lost:
            return True
        tell = self._log.info if taken.rows else self._log.debug
        tell("slot-recovered", incarnation=reading.incarnation, rows=taken.rows)
        return True

    def _retire(self, reading: SlotReading, *, torn: bool) -> None:
        if torn and reading.fault:
            self._log.warning("counters-torn", incarnation=reading.incarnation, fault=reading.fault)
        try:
            retire(self._slots_folder, reading.incarnation, torn=torn)
        except (DriftgateError, OSError) as error:
            self._log.error("slot-not-retired", incarnation=reading.incarnation, fault=error)
            return
        del self._dead_since[reading.incarnation]
