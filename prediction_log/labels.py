"""Labels: what turned out to be true, said later about one row of one prediction.

Rules:

* A label names its row by (prediction id, row) or, where the client gave an id of its own, by that.
* Its value keeps its type: an integer, a number, a text or a truth value. It is never parsed out of a text.
* Of several labels of one row an export takes the one that comes last in the log; the monitor, whose counts
  never go back, takes the first. A label may come before its prediction: the log's order across workers is
  not causal.

It knows the columns of a label frame; who may send labels, and over what, is the gateway's.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec
import numpy as np

from prediction_log.errors import LabelError
from prediction_log.frame import Frame
from prediction_log.record import ValueKind

Value: TypeAlias = bool | int | float | str

NO_ID: Final = bytes(16)
MAX_TEXT_BYTES: Final = 4096

_INTEGERS: Final = range(-(2**63), 2**63)


class LabelRow(msgspec.Struct, frozen=True):
    """One label: its value, and the prediction row it names by `id` (16 bytes) or by `client_id`.

    `id` is NO_ID where `client_id` names it. `time` is when it was recorded, in unix nanoseconds.
    """

    value: Value
    time: int
    id: bytes = NO_ID
    row: int = 0
    client_id: bytes = b""


def label_columns(labels: Sequence[LabelRow]) -> Mapping[str, Any]:
    """The columns of a label frame for these labels; LabelError for one that cannot be recorded."""
    cells = [_cells(label) for label in labels]
    integers, numbers, texts, kinds = zip(*cells, strict=True) if cells else ((), (), (), ())
    return {
        "label_id": np.frombuffer(b"".join(label.id for label in labels), np.uint8).reshape(-1, 16),
        "row": np.array([label.row for label in labels], "<u4"),
        "time": np.array([label.time for label in labels], "<i8"),
        "integer": np.array(integers, "<i8"),
        "number": np.array(numbers, "<f8"),
        "text": list(texts),
        "value_kind": np.array(kinds, "|u1"),
        "client_id": [label.client_id for label in labels],
    }


def read_labels(frame: Frame) -> list[LabelRow]:
    """The labels of a label frame, in order; a row of a value kind of a later version is left out."""
    identifiers: bytes = frame.array("label_id").tobytes()
    columns: Iterable[tuple[Any, ...]] = zip(
        values(frame),
        frame.array("time").tolist(),
        frame.array("row").tolist(),
        frame.strings("client_id").tolist(),
        strict=True,
    )
    return [
        LabelRow(value, time, identifiers[16 * index : 16 * index + 16], row, client_id)
        for index, (value, time, row, client_id) in enumerate(columns)
        if value is not None
    ]


def values(frame: Frame) -> list[Value | None]:
    """The typed value of each row of a label frame; None for a value kind of a later version."""
    kinds = frame.array("value_kind").tolist()
    integers = frame.array("integer").tolist()
    numbers = frame.array("number").tolist()
    texts = frame.strings("text").tolist()
    return [
        _value(kind, integer, number, text)
        for kind, integer, number, text in zip(kinds, integers, numbers, texts, strict=True)
    ]


def _value(kind: int, integer: int, number: float, text: bytes) -> Value | None:
    match kind:
        case ValueKind.INTEGER:
            return integer
        case ValueKind.NUMBER:
            return number
        case ValueKind.TEXT:
            return text.decode(errors="replace")
        case ValueKind.BOOL:
            return bool(integer)
        case _:
            return None


def _cells(label: LabelRow) -> tuple[int, float, bytes, ValueKind]:
    """(integer, number, text, kind) of a label, once it is known to fit."""
    if len(label.id) != len(NO_ID) or (label.id == NO_ID and not label.client_id):
        raise LabelError(
            "a label names its row by 16 bytes of prediction id or by a client id; found neither"
        )
    if not 0 <= label.row < 2**32 or label.time not in _INTEGERS:
        raise LabelError(f"a label's row is 0 to {2**32 - 1}, its time in nanoseconds; found row {label.row}")
    match label.value:
        case bool():
            return int(label.value), 0.0, b"", ValueKind.BOOL
        case int() if label.value in _INTEGERS:
            return label.value, 0.0, b"", ValueKind.INTEGER
        case float():
            return 0, label.value, b"", ValueKind.NUMBER
        case str() if len(encoded := label.value.encode()) <= MAX_TEXT_BYTES:
            return 0, 0.0, encoded, ValueKind.TEXT
        case int():
            raise LabelError(f"a label's integer fits 64 bits; found one of {label.value.bit_length()} bits")
        case _:
            raise LabelError(f"a label's text has at most {MAX_TEXT_BYTES} bytes; send a shorter one")
