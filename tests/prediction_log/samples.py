"""Frames, schemas and row files that the tests of the log share."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from prediction_log import frame, record
from prediction_log.record import Kind, Schema
from prediction_log.row_recovery import recover_buffers
from prediction_log.rows import RowFile


def schema(model: str = "loan", version: str = "1") -> Schema:
    """A version with one numeric and one text input, and two outputs."""
    return record.prediction_schema(
        model,
        version,
        "sha256:" + "0" * 64,
        [("amount", "<f4", (3,)), ("city", "bytes", ())],
        [("label", "<i8", ()), ("probabilities", "<f4", (2,))],
    )


def columns(first: int, rows: int) -> dict[str, Any]:
    """Rows whose `time` is first, first + 1, … and whose other values follow from it."""
    times = np.arange(first, first + rows)
    return {
        "id": np.repeat(times[:, None] % 250 + 1, 16, axis=1),
        "row": np.arange(rows),
        "time": times,
        "arm": 1,
        "revision": 7,
        "outcome": 1,
        "latency": 250,
        "kept": 1,
        "client_id": [b"c%d" % time for time in times],
        "trace_id": np.zeros((rows, 16)),
        "amount": np.repeat(times[:, None] / 4, 3, axis=1),
        "city": [b"x" * (time % 5) for time in times],
        "label": times % 2,
        "probabilities": np.full((rows, 2), 0.5),
    }


def make_frame(first: int = 0, rows: int = 3, *, incarnation: int = 1, stream: int = 1, **more: Any) -> bytes:
    """A compact prediction frame of sequences [first, first + rows)."""
    return frame.encode(
        more.pop("kind", Kind.PREDICTION),
        more.pop("schema", schema()),
        more.pop("columns", columns(first, rows)),
        rows=rows,
        incarnation=incarnation,
        stream=stream,
        first=first,
        **more,
    )


def row_file(folder: Path, *, incarnation: int = 1, stream: int = 1, **more: Any) -> RowFile:
    """A small row file of predictions."""
    folder.mkdir(parents=True, exist_ok=True)
    sizes: Mapping[str, Any] = {"row_capacity": 8, "arena_bytes": 64, "kind": Kind.PREDICTION} | more
    return RowFile.create(
        folder / f"{stream}.rows",
        incarnation=incarnation,
        stream=stream,
        schema=sizes.get("schema", schema()),
        **{key: value for key, value in sizes.items() if key != "schema"},
    )


def recovered(path: Path) -> list[bytes]:
    """The frames of a dead worker's row file, of which every part can be read."""
    frames, unreadable = recover_buffers(path)
    assert unreadable == []
    return frames
