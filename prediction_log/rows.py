"""The row file: where an answered prediction is before its client has the answer.

One file for one stream, in a worker's slot: two frames with room, allocated in full and mapped. One is
*active* and takes rows; the other is free, filled (waiting to be spooled) or taken (being spooled).

    event loop:   append append … swap ────────────── append append … swap
    flush thread:                 take → segment → release           take → …

Rules:

* `append`, `skip`, `lose` and `swap` belong to the event-loop thread; `take` and `release` to the flush
  thread. Neither waits for the other.
* A frame taken is written to a segment before it is released. A process killed between the two leaves it
  here; the segment's last sequence tells that it is there already.
* A request that is larger than an empty buffer goes into a file of its own (`spill.py`); what comes after it
  waits in the active buffer until that is in the log. `begin_large` and `end_large` belong to the event-loop
  thread too.
* Where both buffers are full the rows are lost, not waited for: their sequence numbers are used up and the
  active frame's `skipped` counts them, so that the loss travels in the log.
"""

import mmap
import os
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Final, Self

from groundwork.errors import NoRoomError
from groundwork.files import allocate
from prediction_log import frame, layout
from prediction_log.errors import LogError
from prediction_log.quick_pair import PairMeta
from prediction_log.quick_row import Buffer, Meta
from prediction_log.record import VARIABLE, Schema
from prediction_log.slot_buffer import SlotBuffer, empty_head
from prediction_log.spill import Spill, Spills
from prediction_log.validation import check_schema, read_head

SUFFIX: Final = ".rows"
"""What the name of every row file in a slot ends with."""

FULL: Final = "full"
OVERSIZED: Final = "oversized"

_PAGE: Final = 4096


class _Spare(Enum):
    """What the buffer that is not active is for."""

    FREE = "free"
    FILLED = "filled"
    TAKEN = "taken"


class RowFile:
    """One stream's rows on their way to the log; made by `create`, used as the file's rules say.

    `lost` counts the rows lost here since creation, `lost_by` by reason: FULL (both buffers), OVERSIZED (no
    room for these rows in an empty buffer, nor on the disk for a file of their own), and whatever reasons
    `lose` is given: what a gateway lost before it had this file, it tells by its own. `row_bytes` is what a
    row takes of the log, by the frames taken lately.
    """

    def __init__(self, path: Path, active: SlotBuffer, spare: SlotBuffer, spills: Spills) -> None:
        self.path = path
        self._spills = spills
        self.lost_by: dict[str, int] = {FULL: 0, OVERSIZED: 0}
        self._active = active
        self._spare = spare
        self._rate = active.rate
        self.row_bytes = len(active.memory) / active.capacity
        self._weighed = (0.0, 0.0)  # bytes and rows of the frames taken, each time halved
        self._state = _Spare.FREE
        self._finishing = False
        self._spilling = False

    @classmethod
    def create(  # noqa: PLR0913  what a row file is made of, each its own
        cls,
        path: Path,
        *,
        kind: int,
        incarnation: int,
        stream: int,
        schema: Schema,
        row_capacity: int,
        arena_bytes: int,
        rate: float = 1.0,
        reserve_bytes: int = 0,
    ) -> Self:
        """Allocate and map a new row file, whole or not at all; its name should end with SUFFIX.

        Each of the two buffers has room for `row_capacity` rows and, per variable-width column, `arena_bytes`
        bytes. Requests with files of their own leave `reserve_bytes` of the disk free. NoRoomError when the
        disk cannot hold it, FrameError when the schema cannot be.
        """
        check_schema(kind, schema)
        arenas = [arena_bytes for column in schema.columns if column.dtype == VARIABLE]
        places = layout.plan(schema, row_capacity, arenas, validity=True)
        half = -(-places.length // _PAGE) * _PAGE
        aside = path.with_name(f".{path.name}.new")
        aside.unlink(missing_ok=True)
        allocate(aside, 2 * half)
        memory = _map(aside)
        head = empty_head(kind, incarnation, stream, row_capacity, rate, places)
        active, spare = (
            SlotBuffer(memory[start : start + places.length], head, schema, places) for start in (0, half)
        )
        aside.rename(path)
        return cls(path, active, spare, Spills(path, head, schema, reserve_bytes))

    @property
    def next_sequence(self) -> int:
        """The sequence number that the next row appended, skipped or lost gets."""
        return self._active.end

    @property
    def lost(self) -> int:
        """Rows lost here since creation."""
        return sum(self.lost_by.values())

    @property
    def empty(self) -> bool:
        """Whether nothing is left here for a flush."""
        return self._state is _Spare.FREE and not self._spills and not self._holds(self._active)

    @property
    def full_enough(self) -> bool:
        """Whether the active buffer is half full, or a large request waits: time to swap and flush."""
        return self._active.half_full or self._spills.take() is not None

    @property
    def handed_over(self) -> bool:
        """Whether a buffer was handed over and no flush has taken it yet."""
        return self._state is _Spare.FILLED

    @property
    def waits(self) -> bool:
        """Whether something is left here when the next frame is taken and in the log."""
        before = (self._state is not _Spare.FREE) + len(self._spills)
        return before > 1 or (before > 0 and self._holds(self._active))

    def append(self, columns: Mapping[str, Any], rows: int = 1, validity: Any = None) -> int:
        """Copy `rows` rows in and publish them; returns the first's sequence number, lost or not.

        A fixed-width column is anything numpy broadcasts to [rows, *shape] (`bytes` for octets); a
        variable-width one a byte string for all, or rows * width of them. A column left out is zero or empty.
        `validity` broadcasts to [rows, value columns]. Some 4 µs for one row of 13 columns.
        """
        active = self._active
        sequence = active.end
        if not active.lacks(columns, rows):
            active.write(columns, rows, validity)
        elif reason := self._no_room(columns, rows, validity):
            self.lose(rows, reason)
        return sequence

    def append_quick(self, meta: Meta, values: Sequence[Buffer], rows: int = 1) -> bool:
        """As `append` of one answered prediction, drawn, without client id, with the bytes of its values.

        False where that cannot be so quick, for the schema's sake (`is_quick`) or because the buffer is full;
        nothing has happened then.
        """
        quick = self._active.quick
        if quick is None:
            return False
        return quick.write(meta, values) if rows == 1 else quick.write_many(meta, values, rows)

    def append_reject(
        self, identifier: bytes, time: int, latency: int, status: int, texts: Sequence[bytes]
    ) -> bool:
        """As `append` of one reject without client id; `texts` as `quick_reject.TEXTS` has them.

        False where that cannot be so quick, for the schema's sake or because the buffer is full; nothing has
        happened then.
        """
        quick = self._active.quick_reject
        return quick is not None and quick.write(identifier, time, latency, status, texts)

    def append_pairs(self, meta: PairMeta, values: Sequence[bytes]) -> bool:
        """As `append` of shadow pairs of a row each whose runs were all well, with all rows of each value.

        False where that cannot be so quick, for the schema's sake (`is_pair`) or because the buffer is full;
        nothing has happened then.
        """
        quick = self._active.quick_pair
        return quick is not None and quick.write(meta, values)

    def offer(self, columns: Mapping[str, Any], rows: int = 1, validity: Any = None) -> bool:
        """As `append`, but what cannot be kept is not lost and uses up nothing; whether it was kept."""
        if self._active.lacks(columns, rows):
            return not self._no_room(columns, rows, validity)
        self._active.write(columns, rows, validity)
        return True

    def begin_large(self, columns: Mapping[str, Any], rows: int = 1, validity: Any = None) -> Spill | None:
        """Draw the numbers of rows that fit no buffer; None, and nothing done, where `append` is to be used.

        `Spill.write` writes them, in any thread; then `end_large`. Rows are appended meanwhile as ever.
        """
        active = self._active
        if self._spills.full or self._spills.pending or not active.never_fits(columns, rows):
            return None
        if (active.rows or active.skipped) and not self.swap():
            return None
        return self._spills.begin(self._active, columns, rows, validity)

    def end_large(self, begun: Spill, rows: int, *, wanted: bool = True) -> None:
        """Let the log have what was written, or count as lost what could not be; forget what nobody wants.

        What nobody wants may still be being written; what is wanted may not.
        """
        active, first = self._active, self._active.first
        if wanted:
            # First, so that a kill in between leaves numbers without rows, and never rows twice.
            active.leave_before(begun.end)
            if begun.publish():
                return
            active.leave_before(first)
        self._spills.drop(begun)
        if wanted:
            active.count_lost(rows)
            self.lost_by[OVERSIZED] += rows

    def _no_room(self, columns: Mapping[str, Any], rows: int, validity: Any) -> str:
        """Keep rows for which the active buffer has no room elsewhere; why not, where they cannot be kept."""
        if self._active.never_fits(columns, rows):
            return self._no_spill(columns, rows, validity)
        if not self.swap():
            return FULL
        self._active.write(columns, rows, validity)
        return ""

    def _no_spill(self, columns: Mapping[str, Any], rows: int, validity: Any) -> str:
        """Give rows that fit no buffer a file of their own; why not, where they cannot have one."""
        if self._spills.full or self._spills.pending:
            return FULL
        try:
            following = self._spills.add(self._active, columns, rows, validity)
        except (NoRoomError, OSError):  # the disk cannot hold it: no other loss than one
            return OVERSIZED
        self._active.clear()
        self._active.begin(following, self._rate)
        return ""

    def skip(self, rows: int = 1) -> int:
        """Use up the sequence numbers of a request that sampling left out; returns the first."""
        sequence = self._active.end
        self._active.pass_over(rows)
        return sequence

    def lose(self, rows: int, reason: str) -> int:
        """Use up the sequence numbers of rows that cannot be kept, and count them; returns the first."""
        sequence = self._active.end
        self._active.lose(rows)
        self.lost_by[reason] = self.lost_by.get(reason, 0) + rows
        return sequence

    def thin(self, rate: float) -> None:
        """From here on requests are drawn at this rate; every frame says the lowest that it was filled at."""
        self._rate = rate
        self._active.thin(rate)

    def finish(self) -> None:
        """Nothing more is appended: the last frame may hold nothing but numbers that were not drawn."""
        self._finishing = True

    def swap(self) -> bool:
        """Hand the active buffer over to the flush; False when it holds nothing or others come before it."""
        filled, fresh = self._active, self._spare
        if self._state is not _Spare.FREE or self._spills or not self._holds(filled):
            return False
        fresh.begin(filled.end, self._rate)
        self._active, self._spare = fresh, filled
        self._state = _Spare.FILLED  # last: from here on the flush thread may take it
        return True

    def take(self) -> bytes | None:
        """The compact frame that comes next in the log, or None; the same frame again until `release`."""
        if self._state is _Spare.FREE:
            body = self._spills.take()
            self._spilling = body is not None
        else:
            self._state = _Spare.TAKEN
            body = frame.compact(self._spare.memory)
        if body is not None:
            self._weigh(body)
        return body

    def _weigh(self, body: bytes) -> None:
        """Learn what a row takes of the log: from many rows more than from few."""
        rows = read_head(memoryview(body)).rows
        if rows:
            before, counted = self._weighed
            self._weighed = before / 2 + len(body), counted / 2 + rows
            self.row_bytes = self._weighed[0] / self._weighed[1]

    def release(self) -> None:
        """The frame taken is in the log; its buffer is free again. LogError when none was taken."""
        if self._spilling:
            self._spilling = False
            self._spills.release()
            return
        if self._state is not _Spare.TAKEN:
            raise LogError(f"{self.path}: a buffer is released after it was taken and written, not before")
        self._spare.clear()
        self._state = _Spare.FREE  # last: from here on the loop thread may fill it

    def _holds(self, buffer: SlotBuffer) -> bool:
        """Whether there is something to tell; numbers passed over wait for the next row, or for the end."""
        return bool(buffer.rows or buffer.skipped or (self._finishing and buffer.passed))


def _map(path: Path) -> memoryview:
    descriptor = os.open(path, os.O_RDWR)
    try:
        return memoryview(mmap.mmap(descriptor, 0))
    finally:
        os.close(descriptor)
