"""One stream of rows of one worker: its number, its sequence, and its row file where the disk had room.

Rule: a sequence number is used up by every row, logged or not. What was lost without a file is told by the
first frame of the file that comes later.
"""

from typing import Final

import msgspec

from prediction_log.record import Arm, Kind, Schema
from prediction_log.rows import RowFile

UNLOGGED: Final = "unlogged"
"""Why rows were lost that had no file to go to."""
NO_TRACE: Final = bytes(16)


class Noted(msgspec.Struct, frozen=True, gc=False):
    """What is recorded of a request whatever came of it; `time` in unix ns, `latency` in whole µs."""

    identifier: bytes
    time: int
    latency: int
    arm: Arm
    revision: int
    client_id: str | None = None
    trace_id: bytes = NO_TRACE


class StreamSpec(msgspec.Struct, frozen=True):
    """What a stream is opened with; `buffer_bytes` is the size of each of its file's two buffers."""

    kind: Kind
    schema: Schema
    buffer_bytes: int
    rate: float = 1.0


class Stream:
    """One stream of rows: its number, and its file where there was room for one (`unlogged` says why not)."""

    def __init__(self, spec: StreamSpec, number: int, file: RowFile | None, unlogged: str = "") -> None:
        self.spec = spec
        self.kind = spec.kind
        self.number = number
        self.file = file
        self.unlogged = unlogged
        self.lost = 0
        self._rate = spec.rate
        self._lost_without = 0
        self._skipped_without = 0

    @property
    def done(self) -> bool:
        """Whether an ended stream has nothing more to tell the log."""
        return not self._lost_without if self.file is None else self.file.empty

    def next_sequence(self) -> int:
        """The sequence number that the next row gets, logged or not."""
        if self.file is None:
            return self._lost_without + self._skipped_without
        return self.file.next_sequence

    @property
    def row_bytes(self) -> float:
        """What a row takes of the log; 0 where none is recorded."""
        return 0.0 if self.file is None else self.file.row_bytes

    def thin(self, rate: float) -> None:
        """From here on requests are drawn at this rate."""
        self._rate = rate
        if self.file is not None:
            self.file.thin(rate)

    def pass_by(self, rows: int) -> None:
        """Use up the sequence numbers of rows that have no file."""
        self._lost_without += rows

    def skip(self, rows: int) -> None:
        """Use up the sequence numbers of rows that were not drawn."""
        if self.file is None:
            self._skipped_without += rows
        else:
            self.file.skip(rows)

    def adopt(self, file: RowFile) -> None:
        """Go on with a file of our own, which first tells what was lost without one."""
        file.thin(self._rate)
        if self._lost_without:
            file.lose(self._lost_without, UNLOGGED)
        if self._skipped_without:
            file.skip(self._skipped_without)
        self._lost_without = self._skipped_without = 0
        self.file, self.unlogged = file, ""
