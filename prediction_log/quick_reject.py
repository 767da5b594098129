"""The rows of refusals, which under overload are most of all rows.

Rules: the bytes are those that `SlotBuffer.write` would leave, in a third of its time, for nothing is looked
up by name; the row is published as there, `end` first. Every column is written, so that nothing is left of a
write that failed.
"""

from collections.abc import Sequence
from typing import Final

from prediction_log import layout
from prediction_log.layout import Layout
from prediction_log.record import VARIABLE, Kept, Outcome, Schema, reject_schema

TEXTS: Final = ("code", "message", "version", "model")
"""The columns whose texts are given, in this order; `client_id` is left empty."""
_COLUMNS: Final = reject_schema("").columns
_END: Final = layout.END_AT // 8
_ROWS: Final = layout.ROWS_AT // 4
_ID_BYTES: Final = 16
_NO_TRACE: Final = bytes(16)
_REJECTED: Final = int(Outcome.REJECTED)
_ALWAYS: Final = int(Kept.ALWAYS)


def is_reject(schema: Schema) -> bool:
    """Whether rows of this schema can be written here."""
    return schema.columns == _COLUMNS


class QuickReject:
    """Writes such rows into one buffer, beside its `SlotBuffer`."""

    def __init__(self, memory: memoryview, schema: Schema, places: Layout, capacity: int) -> None:
        table = iter(places.table)
        pieces: dict[str, memoryview] = {}
        texts: dict[str, tuple[memoryview, memoryview, int]] = {}
        for column in schema.columns:
            offset, length = next(table)
            pieces[column.name] = piece = memory[offset : offset + length]
            if column.dtype == VARIABLE:
                offset, length = next(table)
                texts[column.name] = piece.cast("I"), memory[offset : offset + length], length
        self._u32 = memory.cast("I")
        self._u64 = memory.cast("Q")
        self._capacity = capacity
        self._id, self._trace = pieces["id"], pieces["trace_id"]
        self._row, self._latency = pieces["row"].cast("I"), pieces["latency"].cast("I")
        self._time, self._revision = pieces["time"].cast("q"), pieces["revision"].cast("Q")
        self._arm, self._outcome, self._kept = pieces["arm"], pieces["outcome"], pieces["kept"]
        self._status = pieces["status"].cast("H")
        self._client = texts["client_id"][0]
        self._texts = tuple(texts[name] for name in TEXTS)

    def write(self, identifier: bytes, time: int, latency: int, status: int, texts: Sequence[bytes]) -> bool:
        """Publish one row; False, and nothing published, where there is no room for it.

        `time` in unix ns, `latency` in µs.
        """
        at = self._u32[_ROWS]
        if at >= self._capacity:
            return False
        for (ends, held, size), text in zip(self._texts, texts, strict=True):
            start = ends[at]
            end = start + len(text)
            if end > size:
                return False
            held[start:end] = text
            ends[at + 1] = end
        self._client[at + 1] = self._client[at]
        start = at * _ID_BYTES
        self._id[start : start + _ID_BYTES] = identifier
        self._trace[start : start + _ID_BYTES] = _NO_TRACE
        self._row[at] = 0
        self._time[at] = time
        self._arm[at] = 0
        self._revision[at] = 0
        self._outcome[at] = _REJECTED
        self._latency[at] = latency
        self._kept[at] = _ALWAYS
        self._status[at] = status
        self._u64[_END] += 1
        self._u32[_ROWS] = at + 1
        return True
