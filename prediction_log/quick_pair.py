"""The rows of shadow pairs that most requests make: one instance, both runs well, values of fixed widths.

Rules: the bytes are those that `SlotBuffer.write` would leave, in a fraction of its time, for nothing is
looked up by name, and several pairs are written at once; whoever calls has made sure that each value is rows
of its column, in its dtype; the rows are published as there, `end` first. Every column is written,
so that nothing is left of a write that failed.
"""

import struct
from collections.abc import Sequence
from typing import Final, TypeAlias

from prediction_log import layout
from prediction_log.layout import Layout
from prediction_log.record import PAIR, VARIABLE, Outcome, Schema

_END: Final = layout.END_AT // 8
_ROWS: Final = layout.ROWS_AT // 4
_ID_BYTES: Final = 16
_OK: Final = bytes([Outcome.OK])

PairMeta: TypeAlias = tuple[Sequence[bytes], Sequence[int], Sequence[int], Sequence[int]]
"""Of each pair the identifier, time, revision and the arm that answered, as `record.PAIR` has them."""


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
        self._id, self._row = named["id"], named["row"]
        self._time, self._revision = named["time"], named["revision"]
        self._answered_by = named["answered_by"]
        self._stable, self._candidate = named["stable_outcome"], named["candidate_outcome"]
        self._values = tuple(
            (piece, column.width * layout.item_bytes(column.dtype))
            for piece, column in zip(pieces[len(PAIR) :], schema.columns[len(PAIR) :], strict=False)
        )

    def write(self, meta: PairMeta, values: Sequence[bytes]) -> bool:
        """Publish a row for each pair, `values` being all rows of each value column; False: no room."""
        identifiers, times, revisions, arms = meta
        rows = len(identifiers)
        at = self._u32[_ROWS]
        end = at + rows
        if end > self._capacity:
            return False
        self._id[at * _ID_BYTES : end * _ID_BYTES] = b"".join(identifiers)
        self._row[4 * at : 4 * end] = bytes(4 * rows)
        self._time[8 * at : 8 * end] = struct.pack(f"<{rows}q", *times)
        self._revision[8 * at : 8 * end] = struct.pack(f"<{rows}Q", *revisions)
        self._answered_by[at:end] = bytes(arms)
        self._stable[at:end] = self._candidate[at:end] = _OK * rows
        for (piece, width), value in zip(self._values, values, strict=True):
            piece[at * width : end * width] = value
        self._u64[_END] += rows
        self._u32[_ROWS] = end
        return True
