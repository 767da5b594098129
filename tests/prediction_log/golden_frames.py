"""The frames whose bytes are kept in tests/golden/prediction_log, as they were once made.

To add one: add an entry to FRAMES, run `GOLDEN=add pytest tests/prediction_log/test_golden.py`, read the new
`.json` line by line, and commit both files. Existing files are never written again.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np

from prediction_log import record
from prediction_log.frame import encode
from prediction_log.labels import LabelRow, label_columns
from prediction_log.record import ALL_ROWS, Kind, Schema
from prediction_log.rows import RowFile

_IDS: Final = np.arange(48, dtype="|u1").reshape(3, 16)
_TIME: Final = 1_767_225_600_000_000_000  # 2026-01-01T00:00:00Z


def _schema() -> Schema:
    """One column of each dtype and of several shapes; one that gave way to a metadata column."""
    inputs: list[record.ValueColumn] = [
        (dtype.strip("<|"), dtype, ())
        for dtype in ("|b1", "|u1", "|i1", "<u2", "<u4", "<u8", "<i2", "<i4", "<i8", "<f2", "<f8")
    ]
    inputs += [("pixels", "<f4", (2, 2)), ("words", "bytes", (2,)), ("time", "<f4", ())]
    return record.prediction_schema(
        "loan", "3", "sha256:ab", inputs, [("label", "bytes", ()), ("p", "<f4", (2,))]
    )


def _answered(rows: int) -> dict[str, Any]:
    return {
        "id": _IDS[:rows],
        "row": np.arange(rows),
        "time": _TIME + np.arange(rows),
        "arm": [1, 2, 4][:rows],
        "revision": 2**40,
        "outcome": [1, 3, 1][:rows],
        "latency": 1234,
        "kept": [1, 2, 1][:rows],
        "client_id": [b"", b"caf\xc3\xa9", b"\xff\x00"][:rows],
        "trace_id": _IDS[:rows] * 2,
    }


def _extremes(dtype: str) -> Any:
    """The smallest, the largest and a common value of a dtype."""
    kind = np.dtype(dtype).kind
    if kind == "b":
        return np.array([False, True, True])
    limits: Any = np.finfo(dtype) if kind == "f" else np.iinfo(dtype)
    return np.array([limits.min, limits.max, 1], dtype)


def _prediction(rows: int = 3) -> dict[str, Any]:
    numbers = {
        column.name: np.resize(_extremes(column.dtype), (3, *column.shape))[:rows]
        for column in _schema().values
        if column.dtype != "bytes"
    }
    words = [b"a", b"", b"bc", b"def", b"", b"g"]
    return _answered(rows) | numbers | {"words": words[: 2 * rows], "label": [b"yes", b"no", b""][:rows]}


def prediction() -> bytes:
    """Predictions with gaps: of 10 sequences, 3 rows, 2 lost, 5 not drawn."""
    validity = np.zeros((3, len(_schema().values)), "|u1")
    validity[0, 0], validity[1, 1], validity[2, 2] = 1, 2, 3
    return encode(
        Kind.PREDICTION, _schema(), _prediction(),
        rows=3, incarnation=7, stream=2, first=2**33, end=2**33 + 10, rate=0.25, skipped=2, validity=validity,
    )  # fmt: skip


def reject() -> bytes:
    """A reject of a known model, and one of none."""
    columns = _answered(2) | {
        "status": [404, 400],
        "code": [b"unknown-version", b"bad-json"],
        "message": [b"version 9 of loan is not there", b"byte 17"],
        "version": [b"9", b""],
        "model": [b"loan", b""],
    }
    return encode(Kind.REJECT, record.reject_schema(""), columns, rows=2, incarnation=7, stream=1, first=0)


def pair() -> bytes:
    """A shadow pair that agrees in one output, and one whose candidate failed."""
    schema = record.pair_schema("loan", "3", "4", [("label", "<i8", ()), ("p", "<f4", (2,))])
    columns = {
        "id": _IDS[:2], "row": [0, 1], "time": _TIME, "revision": 5, "answered_by": [1, 2],
        "stable_outcome": 1, "candidate_outcome": [1, 3], "stable.label": [1, 0], "stable.p": 0.5,
        "candidate.label": [1, 0], "candidate.p": [[0.25, 0.75], [0, 0]],
    }  # fmt: skip
    validity = [[0, 0, 0, 0], [0, 0, 1, 1]]
    return encode(
        Kind.PAIR,
        schema,
        columns,
        rows=2,
        incarnation=7,
        stream=3,
        first=40,
        validity=np.array(validity, "|u1"),
    )


def label() -> bytes:
    """A label of each value kind, the last one by client id."""
    rows = [
        LabelRow(-(2**63), _TIME, bytes(_IDS[0]), 0),
        LabelRow(0.1, _TIME + 1, bytes(_IDS[0]), 1),
        LabelRow("größer", _TIME + 2, bytes(_IDS[1]), 2**32 - 1),
        LabelRow(value=True, time=_TIME + 3, client_id=b"order-17"),
    ]
    return encode(
        Kind.LABEL, record.label_schema("loan"), label_columns(rows), rows=4, incarnation=7, stream=4, first=0
    )


def loss() -> bytes:
    """Rows lost outside a slot, and frames dropped by age."""
    columns = {
        "time": _TIME, "kind": [1, 0], "incarnation": [7, 0], "stream": [2, 0], "count": [17, 2**40],
        "reason": [b"unreadable", b"retention"], "upto": [b"", b"000003:99"],
    }  # fmt: skip
    return encode(Kind.LOSS, record.loss_schema(), columns, rows=2, incarnation=0, stream=0, first=0)


def deletion() -> bytes:
    """One row of a prediction, and all rows of another."""
    columns = {
        "id": _IDS[:2], "row": [1, ALL_ROWS], "time": _TIME, "reason": [b"asked", b"asked"],
        "actor": [b"operator:ann", b""],
    }  # fmt: skip
    return encode(
        Kind.DELETION, record.deletion_schema("loan"), columns, rows=2, incarnation=0, stream=0, first=2
    )


def later_kind() -> bytes:
    """A kind that this version does not know."""
    schema = Schema("loan", "", "", (record.ColumnSpec("mood", "<i2", (), "meta"),))
    return encode(201, schema, {"mood": [-1, 1]}, rows=2, incarnation=7, stream=5, first=0)


def slot_buffer() -> bytes:
    """A slot's buffer as it lies in its file: a frame with room."""
    with TemporaryDirectory() as folder:
        file = RowFile.create(
            Path(folder) / "1.rows",
            kind=Kind.PREDICTION, incarnation=7, stream=2, schema=_schema(), row_capacity=5, arena_bytes=40,
            rate=0.5,
        )  # fmt: skip
        file.append(_prediction(2), 2)
        file.skip(4)
        content = file.path.read_bytes()
    return content[: int.from_bytes(content[56:64], "little")]


FRAMES: Final[Mapping[str, Callable[[], bytes]]] = {
    "deletion": deletion,
    "label": label,
    "later_kind": later_kind,
    "loss": loss,
    "pair": pair,
    "prediction": prediction,
    "reject": reject,
    "slot_buffer": slot_buffer,
}
