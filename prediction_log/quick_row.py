"""The rows that most requests make: instances that were answered, whose every value has a fixed width.

Rules: the bytes are those that `SlotBuffer.write` would leave, in a third of its time, for nothing is looked
up by name; whoever calls has made sure that each value is the rows of its column, in its dtype; the rows are
published as there, `end` first. Every column is written, so that nothing is left of a write that failed.
"""

import functools
import struct
from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np

from prediction_log import layout
from prediction_log.layout import Layout
from prediction_log.record import META, VARIABLE, Kept, Outcome, Schema

_END: Final = layout.END_AT // 8
_ROWS: Final = layout.ROWS_AT // 4
_ID_BYTES: Final = 16
_U32: Final = struct.Struct("<I").pack
_I64: Final = struct.Struct("<q").pack
_U64: Final = struct.Struct("<Q").pack
_OK: Final = int(Outcome.OK)
_SAMPLE: Final = int(Kept.SAMPLE)
_OK_BYTE: Final = _OK.to_bytes()
_SAMPLE_BYTE: Final = _SAMPLE.to_bytes()

Buffer: TypeAlias = bytes | memoryview
Meta: TypeAlias = tuple[bytes, int, int, int, int, bytes]
"""Identifier, time, arm, revision, latency and trace id, as the columns of `record.META` have them."""


def is_quick(schema: Schema) -> bool:
    """Whether rows of this schema can be written here: a prediction's, with values of fixed widths."""
    meta, values = schema.columns[: len(META)], schema.columns[len(META) :]
    return meta == META and all(
        column.role != "meta" and column.dtype != VARIABLE and not column.hashed and not column.withheld
        for column in values
    )


@functools.lru_cache(maxsize=64)
def _counting(rows: int) -> bytes:
    """The numbers 0 to `rows` - 1 as the column `row` has them."""
    return np.arange(rows, dtype="<u4").tobytes()


class QuickRow:
    """Writes such rows into one buffer, beside its `SlotBuffer`; the schema `is_quick`."""

    def __init__(self, memory: memoryview, schema: Schema, places: Layout, capacity: int) -> None:
        table = iter(places.table)
        pieces: dict[str, memoryview] = {}
        for column in schema.columns:
            offset, length = next(table)
            pieces[column.name] = memory[offset : offset + length]
            if column.dtype == VARIABLE:
                next(table)
        self._u32 = memory.cast("I")
        self._u64 = memory.cast("Q")
        self._capacity = capacity
        self._pieces = pieces
        self._id, self._trace = pieces["id"], pieces["trace_id"]
        self._row, self._latency = pieces["row"].cast("I"), pieces["latency"].cast("I")
        self._time, self._revision = pieces["time"].cast("q"), pieces["revision"].cast("Q")
        self._arm, self._outcome, self._kept = pieces["arm"], pieces["outcome"], pieces["kept"]
        self._texts = pieces["client_id"].cast("I")
        self._values = tuple(
            (pieces[column.name], column.width * layout.item_bytes(column.dtype))
            for column in schema.columns[len(META) :]
        )

    def write(self, meta: Meta, values: Sequence[Buffer]) -> bool:
        """Publish one row, `values` being the bytes of each value column; False where there is no room."""
        at = self._u32[_ROWS]
        if at >= self._capacity:
            return False
        identifier, time, arm, revision, latency, trace = meta
        start = at * _ID_BYTES
        self._id[start : start + _ID_BYTES] = identifier
        self._trace[start : start + _ID_BYTES] = trace
        self._row[at] = 0
        self._time[at] = time
        self._arm[at] = arm
        self._revision[at] = revision
        self._outcome[at] = _OK
        self._latency[at] = latency
        self._kept[at] = _SAMPLE
        for (piece, width), value in zip(self._values, values, strict=True):
            start = at * width
            piece[start : start + width] = value
        self._texts[at + 1] = self._texts[at]
        self._u64[_END] += 1
        self._u32[_ROWS] = at + 1
        return True

    def write_many(self, meta: Meta, values: Sequence[Buffer], rows: int) -> bool:
        """Publish the rows of one request, `values` being all rows of each value column; False: no room.

        A value that all rows share is repeated as bytes, which numpy takes twice to eight times as long for.
        """
        at = self._u32[_ROWS]
        end = at + rows
        if end > self._capacity:
            return False
        identifier, time, arm, revision, latency, trace = meta
        self._id[at * _ID_BYTES : end * _ID_BYTES] = identifier * rows
        self._trace[at * _ID_BYTES : end * _ID_BYTES] = trace * rows
        self._arm[at:end] = arm.to_bytes() * rows
        self._outcome[at:end] = _OK_BYTE * rows
        self._kept[at:end] = _SAMPLE_BYTE * rows
        pieces = self._pieces
        pieces["row"][4 * at : 4 * end] = _counting(rows)
        pieces["latency"][4 * at : 4 * end] = _U32(latency) * rows
        pieces["time"][8 * at : 8 * end] = _I64(time) * rows
        pieces["revision"][8 * at : 8 * end] = _U64(revision) * rows
        pieces["client_id"][4 * at + 4 : 4 * end + 4] = _U32(self._texts[at]) * rows
        for (piece, width), value in zip(self._values, values, strict=True):
            piece[at * width : end * width] = value
        self._u64[_END] += rows
        self._u32[_ROWS] = end
        return True
