"""The pipeline's thread: read, feed, tell, wait – until it is asked to stop, and then a little further.

A round that fails (a full disk, a locked file) is rolled back, counted and begun again after a growing pause.
A frame that fails its round as nobody foresaw is left out in the end (`monitor.suspects`): it costs itself,
and not the monitor. An error that is no one's in particular ends the program, with its traceback in the log,
because going on after it could only be wrong.
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
from monitor.suspects import Frames, Suspects, origin
from prediction_log.errors import LogError
from prediction_log.transport import READ_BYTES, Offset, Source
from rollouts.history import Entry

FRAMES: Final = 64
"""As many are read at once, and taken in by a round, at most."""
ROUND_S: Final = 0.5
"""A round that has lasted so long ends with its frame, or a part of a large one: whoever else would write
monitor.db waits for that, and so do a program that starts and a thread that follows a starved one."""
_ENTRIES: Final = 100
_LONGEST_PAUSE: Final = 10.0
_OF_VALUES: Final = (
    sqlite3.DataError,
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
)
"""What SQLite raises of a value that it cannot hold; its other errors are of the file."""
_OF_PLACES: Final = (DriftgateError, sqlite3.Error, OSError, MemoryError)


class UnforeseenError(Exception):
    """Frames failed their round, and it is to be begun again; the cause says how."""


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
        self.fault = ""  # why the last round failed, if it did
        self._resumed = False
        self._ahead: Frames = ()  # read, and not taken in: a round ended before them
        self._more = True  # as far as the last reading could tell
        self._suspects = Suspects()

    def stop(self) -> None:
        """Ask the loop to end; it reads on until it has all, or for as long as `run` allows."""
        self._stopping.set()

    def run(self, *, poll: float, catch_up: float, enough: Callable[[float], bool]) -> bool:
        """Go round until stopped, then until the log is read or `catch_up` seconds passed.

        True then; False where `enough`, asked after every round with the seconds for which it was starved,
        says that another thread is to go on.
        """
        pause = poll
        try:
            while not self._stopping.is_set():
                waited = Waited()
                pause = following(pause, poll, busy=self._try_round())
                starved = waited.starved
                if pause:
                    self._stopping.wait(pause)
                if enough(starved):
                    return False
            deadline = self._clock.monotonic() + catch_up
            while self._try_round() and self._clock.monotonic() < deadline:
                pass
        except BaseException as error:
            self._log.error("pipeline-failed", fault=_trace(error))
            self.failure = error
            raise
        finally:
            self.went_round.set()
        return True

    def _try_round(self) -> bool | None:
        """One round: whether there was something to do, None when it failed and will be begun again."""
        try:
            busy = self.round()
        except UnforeseenError as error:
            self._note(type(error.__cause__).__name__, _trace(error))
            return None
        except (DriftgateError, sqlite3.OperationalError, OSError) as error:
            self._note(error.code if isinstance(error, DriftgateError) else type(error).__name__, error)
            return None
        self.beat, self.fault = self._clock.monotonic(), ""
        self.went_round.set()
        return busy

    def _note(self, code: str, fault: object) -> None:
        """A round failed, and is to be begun again."""
        self.errors[code] += 1
        self.fault = str(fault).strip().rpartition("\n")[2]
        self._resumed, self._ahead = False, ()  # the pipeline stands at its last commit again
        self._log.error("round-failed", code=code, fault=fault)
        self.went_round.set()  # who asks is to be told of the failure, and not to wait for its end

    def round(self) -> bool:
        """Read what is there, commit what follows, tell the rollouts; whether there was anything."""
        self._pipeline.check()
        if not self._resumed:
            reached = self._pipeline.resume(self._source)
            if reached is not None:
                self._log.warning("log-cut-short", reached=str(reached), read_on=str(self._pipeline.offset))
                self._suspects.clear()
            self._resumed = True
        ends = self._clock.monotonic() + ROUND_S
        frames = self._next(1 if self._suspects.alone(self._pipeline.offset) else FRAMES)
        entries = self._history.history(None, self._pipeline.history, _ENTRIES)
        if entries:
            self._pipeline.feed((), entries)
        for part in self._suspects.parts(frames):
            if not self._feed(part, lambda: self._clock.monotonic() >= ends):
                break
        self._ahead = [frame for frame in self._ahead if frame[0] > self._pipeline.offset]
        self.behind = self._more or bool(self._ahead)
        said = self._out.publish(self._pipeline.pair_totals())
        if said:
            self.errors[said] += 1
        return bool(frames or entries)

    def _next(self, most: int) -> Frames:
        """So many frames at most: of those that a round left over, or else of the log."""
        if not self._ahead:
            self._ahead = self._source.read(self._pipeline.offset, most)
            size = sum(len(content) for _, content in self._ahead)
            self._more = len(self._ahead) == most or size >= READ_BYTES
        return self._ahead[:most]

    def _feed(self, frames: Frames, enough: Callable[[], bool]) -> bool:
        """Hand frames to the pipeline; one that fails by itself often enough is left out.

        Whether there is time for more.
        """
        try:
            taken = self._pipeline.feed(frames, enough=enough)
        except Exception as error:
            if not _is_of_frames(error):
                raise
            verdict = self._suspects.failed(frames, self._pipeline.left_out)
            if verdict == "end":
                raise
            if verdict != "again":
                self._pipeline.leave_out(frames[0][0], counts=verdict == "leave out")
                self._tell(*frames[0], error)
            if verdict == "go on":
                return not enough()
            raise UnforeseenError(f"{len(frames)} frames up to {frames[-1][0]} failed") from error
        self._suspects.taken(frames[:taken])
        return not enough()

    def _tell(self, offset: Offset, content: bytes, error: Exception) -> None:
        """Say that a frame was left out; of many in a row the first, and whenever they have doubled."""
        count = self._suspects.streak(content).frames
        if count & (count - 1) == 0:
            of = origin(content)
            told = {} if of is None else {"model": of.model, "version": of.version}
            told["offset"] = str(offset)
            self._log.error("frame-left-out", **told, in_a_row=count, fault=_trace(error))


def _is_of_frames(error: Exception) -> bool:
    """Whether what a round raised may be about the frames it was fed."""
    return isinstance(error, (LogError, *_OF_VALUES)) or not isinstance(error, _OF_PLACES)


def following(pause: float, poll: float, *, busy: bool | None) -> float:
    """How long to wait after a round: not at all while there is more, ever longer while it fails (None)."""
    if busy:
        return 0.0
    return poll if busy is not None else min(_LONGEST_PAUSE, max(poll, pause * 2))


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))
