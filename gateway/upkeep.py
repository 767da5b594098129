"""The log's upkeep, done once for all workers, by the supervisor: synced often, kept within its limits.

Rules: a failure here is told once and tried again at the next look, and one that nobody foresaw is told each
time, for without the next look nothing bounds the log; predictions go on whatever the disk does; a clock that
was just set makes nothing old. It never reads what the log holds.
"""

import asyncio
import threading
from pathlib import Path
from typing import Final

import msgspec

from gateway.log_settings import LogSettings
from gateway.repeating import again
from groundwork.clock import Clock
from groundwork.errors import DriftgateError
from groundwork.logs import Log
from prediction_log.retention import Limits, keep_limits, log_bytes
from prediction_log.segment_sink import SegmentSink

LOOK_SECONDS: Final = 1.0
_NEVER: Final = 1 << 62
_SECOND: Final = 10**9
_SET_SECONDS: Final = 60.0
"""A wall clock that moved so much more, or less, than the steady one was set."""
_DISTRUST_SECONDS: Final = 3600.0
"""For so long after that nothing leaves the log for its age: somebody may see that it was set wrongly."""
_HEADROOM: Final = 16
"""At most this part of the greatest size is kept free for what is written until the next look."""


def limits_of(settings: LogSettings) -> Limits:
    """The limits as the log takes them."""
    return Limits(
        max_bytes=settings.max_bytes,
        max_age_ns=round(settings.max_age * _SECOND) or _NEVER,
        min_free_bytes=settings.min_free_bytes,
    )


class Upkeep:
    """One process's care for a folder of segments; has a sink of its own, which one look at a time uses."""

    def __init__(self, folder: Path, settings: LogSettings, clock: Clock, log: Log) -> None:
        self._folder = folder
        self._limits = limits_of(settings)
        self._sink = SegmentSink(folder, segment_bytes=settings.segment_bytes, clock=clock)
        self._clock = clock
        self._log = log
        self._said = ""
        self._held = log_bytes(folder)
        self._ahead = self._wall_ahead()
        self._trusts_at = clock.monotonic()
        self._looking = threading.Lock()

    async def run(self) -> None:
        """Look again and again until cancelled, whatever goes wrong."""
        await again(self._look_aside, LOOK_SECONDS, self._log)

    async def _look_aside(self) -> None:
        await asyncio.to_thread(self.look)

    def look(self) -> None:
        """Sync what was written since the last look, then drop what is over the limits.

        Raises nothing that a disk or a file can do.
        """
        try:
            with self._looking:
                self._sink.sync()
                for number in keep_limits(self._folder, self._limits_now(), self._sink, self._clock):
                    self._log.info("log-segment-dropped", segment=number)
                self._held = log_bytes(self._folder)
            self._said = ""
        except (DriftgateError, OSError) as error:
            if self._said != str(error):
                self._said = str(error)
                self._log.warning("log-not-kept", fault=error)

    def _limits_now(self) -> Limits:
        """The limits less what the log grew by since the last look, for it will grow until the next one too.

        Without an age after the clock was set: what is old by a wrong clock is not.
        """
        most = self._limits.max_bytes
        grown = max(0, log_bytes(self._folder) - self._held)
        limits = msgspec.structs.replace(self._limits, max_bytes=most - min(2 * grown, most // _HEADROOM))
        return limits if self._trusts_clock() else msgspec.structs.replace(limits, max_age_ns=_NEVER)

    def _trusts_clock(self) -> bool:
        now, before = self._clock.monotonic(), self._ahead
        self._ahead = self._wall_ahead()
        moved = self._ahead - before
        if abs(moved) > _SET_SECONDS:
            self._trusts_at = now + _DISTRUST_SECONDS
            self._log.warning(
                "clock-set", seconds=round(moved), remedy="if that is wrong, set it right within an hour"
            )
        return now >= self._trusts_at

    def _wall_ahead(self) -> float:
        """Seconds that the wall clock is ahead of the steady one: always as many, until it is set."""
        return self._clock.now() / _SECOND - self._clock.monotonic()

    def use(self, settings: LogSettings) -> None:
        """Keep to these limits from the next look on."""
        self._limits = limits_of(settings)

    def close(self) -> None:
        """Let the file go, once a look that is under way has ended: its thread outlives a cancelled `run`."""
        with self._looking:
            self._sink.close()
