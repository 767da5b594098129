"""The rows of shadow pairs that most requests make: one instance, both runs well, values of fixed widths.

Rules: the bytes are those that `SlotBuffer.write` would leave, in a third of its time, for nothing is looked
up by name; whoever calls has made sure that each value is one row of its column, in its dtype; the row is
published as there, `end` first. Every column is written, so that nothing is left of a write that failed.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias

from prediction_log import layout
from prediction_log.layout import Layout
from prediction_log.record import PAIR, VARIABLE, Outcome, Schema

_END: Final = layout.END_AT // 8
_ROWS: Final = layout.ROWS_AT // 4
_ID_BYTES: Final = 16
_OK: Final = int(Outcome.OK)

PairMeta: TypeAlias = tuple[bytes, int, int, int]
"""Identifier, time, revision and the arm that answered, as the columns of `record.PAIR` have them."""


def is_pair(schema: Schema) -> bool:
    """Whether rows of this schema can be written here: a pair's, with values of fixed widths."""
    meta, values = schema.columns[: len(PAIR)], schema.columns[len(PAIR) :]
    return meta == PAIR and all(
        column.role != "meta" and column.dtype != VARIABLE and not column.hashed and not column.withheld
        for column in values
    )


class QuickPair:
    """Writes such rows into one buffer, beside its `SlotBuffer`; the schema `is_pair`."""

    def __init__(self, memory: memoryview, schema: Schema, places: Layout, capacity: int) -> None:
        pieces = [memory[offset : offset + length] for offset, length in places.table]
        named = dict(zip((column.name for column in PAIR), pieces, strict=False))
        self._u32 = memory.cast("I")
        self._u64 = memory.cast("Q")
        self._capacity = capacity
        self._id, self._row = named["id"], named["row"].cast("I")
        self._time, self._revision = named["time"].cast("q"), named["revision"].cast("Q")
        self._answered_by = named["answered_by"]
        self._stable, self._candidate = named["stable_outcome"], named["candidate_outcome"]
        self._values = tuple(
            (piece, column.width * layout.item_bytes(column.dtype))
            for piece, column in zip(pieces[len(PAIR) :], schema.columns[len(PAIR) :], strict=False)
        )

    def write(self, meta: PairMeta, values: Sequence[bytes]) -> bool:
        """Publish one row, `values` being the bytes of each value column; False where there is no room."""
        at = self._u32[_ROWS]
        if at >= self._capacity:
            return False
        identifier, time, revision, arm = meta
        start = at * _ID_BYTES
        self._id[start : start + _ID_BYTES] = identifier
        self._row[at] = 0
        self._time[at] = time
        self._revision[at] = revision
        self._answered_by[at] = arm
        self._stable[at] = _OK
        self._candidate[at] = _OK
        for (piece, width), value in zip(self._values, values, strict=True):
            start = at * width
            piece[start : start + width] = value
        self._u64[_END] += 1
        self._u32[_ROWS] = at + 1
        return True
