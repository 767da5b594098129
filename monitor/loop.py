"""The pipeline's thread: read, feed, tell, wait – until it is asked to stop, and then a little further.

A round that fails (a full disk, a locked file) is rolled back, counted and begun again after a growing pause;
an error that is no one's in particular ends the program, with its traceback in the log, because going on
after it could only be wrong.
"""

import sqlite3
import threading
import traceback
from collections import Counter
from collections.abc import Callable
from typing import Final, Protocol

from groundwork.clock import Clock
from groundwork.errors import DriftgateError
from groundwork.logs import Log
from monitor.evidence_out import EvidenceOut
from monitor.pipeline import Pipeline
from monitor.priority import Waited
from prediction_log.transport import Source
from rollouts.history import Entry

FRAMES: Final = 64
"""As many are read in a round at most. A frame has one row or thousands, and a round is not cut short: what
asks for the pipeline's state waits for its end, and so does the thread that would follow a starved one."""
FEWEST: Final = 8
LONG_S: Final = 2.0
"""A round that took longer is followed by one of half as many frames, a much shorter one by twice as many."""
_ENTRIES: Final = 100
_LONGEST_PAUSE: Final = 10.0


class History(Protocol):
    """What is read of the rollouts store."""

    def history(self, model: str | None = None, after: int = 0, limit: int = 1000) -> list[Entry]:
        """Rows above a sequence, ascending."""


class Loop:
    """Goes round on the thread that calls `run`; `stop` may be called from any."""

    def __init__(
        self,
        pipeline: Pipeline,
        source: Source,
        history: History,
        out: EvidenceOut,
        clock: Clock,
        log: Log,
    ) -> None:
        self._pipeline = pipeline
        self._source = source
        self._history = history
        self._out = out
        self._clock = clock
        self._log = log
        self._stopping = threading.Event()
        self.went_round = threading.Event()
        self.beat = clock.monotonic()
        self.behind = True
        self.errors: Counter[str] = Counter()
        self.failure: BaseException | None = None
        self._resumed = False
        self._frames = FRAMES

    def stop(self) -> None:
        """Ask the loop to end; it reads on until it has all, or for as long as `run` allows."""
        self._stopping.set()

    def run(self, *, poll: float, catch_up: float, enough: Callable[[float], bool]) -> bool:
        """Go round until stopped, then until the log is read or `catch_up` seconds passed.

        True then; False where `enough`, asked after every round with the seconds that it waited, says that
        another thread is to go on.
        """
        pause = poll
        try:
            while not self._stopping.is_set():
                waited = Waited()
                pause = _following(pause, poll, busy=self._try_round())
                if enough(waited.seconds):
                    return False
                if pause:
                    self._stopping.wait(pause)
            deadline = self._clock.monotonic() + catch_up
            while self._try_round() and self._clock.monotonic() < deadline:
                pass
        except BaseException as error:
            self._log.error("pipeline-failed", fault="".join(traceback.format_exception(error)))
            self.failure = error
            raise
        finally:
            self.went_round.set()
        return True

    def _try_round(self) -> bool | None:
        """One round: whether there was something to do, None when it failed and will be begun again."""
        try:
            busy = self.round()
        except (DriftgateError, sqlite3.OperationalError, OSError) as error:
            code = error.code if isinstance(error, DriftgateError) else type(error).__name__
            self.errors[code] += 1
            self._resumed = False  # the pipeline stands at its last commit again
            self._log.error("round-failed", code=code, fault=error)
            self.went_round.set()  # who asks is to be told of the failure, and not to wait for its end
            return None
        self.beat = self._clock.monotonic()
        self.went_round.set()
        return busy

    def round(self) -> bool:
        """Read what is there, commit what follows, tell the rollouts; whether there was anything."""
        if not self._resumed:
            reached = self._pipeline.resume(self._source)
            if reached is not None:
                self._log.warning("log-cut-short", reached=str(reached), read_on=str(self._pipeline.offset))
            self._resumed = True
        began = self._clock.monotonic()
        frames = self._source.read(self._pipeline.offset, self._frames)
        entries = self._history.history(None, self._pipeline.history, _ENTRIES)
        if frames or entries:
            self._pipeline.feed(frames, entries)
        self.behind = len(frames) == self._frames
        self._frames = portion(self._frames, self._clock.monotonic() - began)
        said = self._out.publish(self._pipeline.pair_totals())
        if said:
            self.errors[said] += 1
        return bool(frames or entries)


def portion(frames: int, took: float) -> int:
    """How many frames to read after a round of so many that took so many seconds."""
    if took > LONG_S:
        return max(frames // 2, FEWEST)
    return min(frames * 2, FRAMES) if took < LONG_S / 4 else frames


def _following(pause: float, poll: float, *, busy: bool | None) -> float:
    """How long to wait after a round: not at all while there is more, ever longer while it fails (None)."""
    if busy:
        return 0.0
    return poll if busy is not None else min(_LONGEST_PAUSE, max(poll, pause * 2))
