"""The lifelong formats: bytes written once are read the same for ever.

The files in tests/golden/prediction_log are never written again; how to add one stands in golden_frames.py.
"""

import json
import os
import sqlite3
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from prediction_log.frame import Frame, Strings, compact, decode
from prediction_log.ids import PredictionIds
from prediction_log.labels import read_labels
from prediction_log.record import Kind
from prediction_log.segment_sink import SegmentSink
from tests.prediction_log import samples
from tests.prediction_log.golden_frames import FRAMES

GOLDEN: Final = Path(__file__).parents[1] / "golden" / "prediction_log"
ADDING: Final = os.environ.get("GOLDEN") == "add"


def described(frame: Frame) -> dict[str, Any]:
    """All that a frame says, as a JSON document; bytes in hexadecimal."""
    return {
        "kind": frame.kind,
        "incarnation": frame.incarnation,
        "stream": frame.stream,
        "first": frame.first,
        "end": frame.end,
        "rows": frame.rows,
        "rate": frame.rate,
        "skipped": frame.skipped,
        "model": frame.schema.model,
        "version": frame.schema.version,
        "digest": frame.schema.digest,
        "partner": frame.schema.partner,
        "columns": [
            {
                "name": column.name,
                "dtype": column.dtype,
                "shape": list(column.shape),
                "role": column.role,
                "origin": column.origin,
                "values": _listed(frame.columns[column.name]),
            }
            for column in frame.schema.columns
        ],
        "validity": None if frame.validity is None else frame.validity.tolist(),
    }


def _listed(column: Any) -> Any:
    if isinstance(column, Strings):
        return [value.hex() for value in column.tolist()]
    octets = column.dtype == np.uint8 and column.ndim > 1
    return [row.tobytes().hex() for row in column] if octets else column.tolist()


def golden(name: str, made: bytes) -> bytes:
    """The kept bytes; a file that is not there yet is added when that was asked for."""
    path = GOLDEN / name
    if ADDING and not path.exists():
        path.write_bytes(made)
    return path.read_bytes()


@pytest.mark.parametrize("name", sorted(FRAMES))
def test_a_kept_frame_is_read_as_it_was(name: str) -> None:
    """Every kept frame decodes to what it said when it was written, compacted or not."""
    body = golden(f"{name}.frame", FRAMES[name]() if ADDING else b"")
    document = json.dumps(described(decode(body)), indent=1, ensure_ascii=False) + "\n"
    wanted = json.loads(golden(f"{name}.json", document.encode()))
    assert described(decode(body)) == wanted
    assert described(decode(compact(body))) == wanted


def test_every_kind_is_kept() -> None:
    """There is a kept frame of each kind, and no kept frame that no test reads."""
    kinds = {decode((GOLDEN / f"{name}.frame").read_bytes()).kind for name in FRAMES}
    assert kinds >= set(Kind)
    assert {path.stem for path in GOLDEN.glob("*.frame")} == set(FRAMES)


def test_this_version_still_writes_the_kept_bytes() -> None:
    """Until the format grows, what is written today is what was written then, byte for byte."""
    for name, make in FRAMES.items():
        assert make() == (GOLDEN / f"{name}.frame").read_bytes(), name


def test_kept_labels_keep_value_and_type() -> None:
    """Integer, number, text and truth value are told apart for ever."""
    found = [label.value for label in read_labels(decode((GOLDEN / "label.frame").read_bytes()))]
    assert found == [-(2**63), 0.1, "größer", True]
    assert [type(value) for value in found] == [int, float, str, bool]


def test_kept_ids_decode_as_they_were_made() -> None:
    """The permutation of a key never changes: ids that people hold keep naming their rows."""
    key = bytes(range(16))
    triples = [(0, 0, 0), (1, 2, 3), (2**32 - 1, 2**32 - 1, 2**64 - 1), (7, 2, 2**33)]
    ids = PredictionIds(key)
    made = {ids.encode(*triple).hex(): list(triple) for triple in triples}
    kept = json.loads(golden("ids.json", (json.dumps(made, indent=1) + "\n").encode()))
    assert {text: list(ids.decode(bytes.fromhex(text))) for text in kept} == kept
    assert made == kept


def test_a_segment_s_tables_are_the_kept_ones(tmp_path: Path) -> None:
    """A new segment has exactly the tables that other readers were promised."""
    sink = SegmentSink(tmp_path)
    sink.write([samples.make_frame()])
    sink.close()
    connection = sqlite3.connect(tmp_path / "000001.seg")
    rows = connection.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name").fetchall()
    marks = [
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("user_version", "application_id")
    ]
    connection.close()
    made = "\n".join(" ".join(sql.split()) + ";" for (sql,) in rows) + f"\n-- {marks}\n"
    assert golden("segment.sql", made.encode()).decode() == made
