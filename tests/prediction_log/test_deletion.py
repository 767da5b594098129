"""Deletion: values go, rows stay, and the log says who wanted it."""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from groundwork.clock import FakeClock
from prediction_log import segment_file as files
from prediction_log.deletion import Deleted, Request, delete
from prediction_log.export import read_rows
from prediction_log.frame import Frame, decode, encode
from prediction_log.ids import PredictionIds
from prediction_log.labels import LabelRow, label_columns
from prediction_log.record import ALL_ROWS, Kind, Schema, Validity, label_schema, pair_schema, reject_schema
from prediction_log.segment_sink import SegmentSink
from prediction_log.segment_source import SegmentSource
from prediction_log.transport import START
from tests.prediction_log import samples

IDS = PredictionIds(bytes(range(16)))
FIRST, SECOND = IDS.encode(1, 1, 0), IDS.encode(1, 1, 2)


def written(folder: Path, *, segment_bytes: int = 1 << 20) -> SegmentSink:
    """Two predictions of two rows each in stream 1, with labels, a pair of the first, and a reject."""
    sink = SegmentSink(folder, segment_bytes=segment_bytes, clock=FakeClock(7, 0.0))
    ids = np.frombuffer(FIRST * 2 + SECOND * 2, np.uint8).reshape(4, 16)
    columns = {
        **samples.columns(0, 4),
        "id": ids,
        "row": [0, 1, 0, 1],
        "client_id": [b"wim"] * 2 + [b"bob"] * 2,
    }
    sink.write([samples.make_frame(columns=columns, rows=4)])
    labels = [
        LabelRow("yes", 1, id=FIRST),
        LabelRow(1.5, 2, id=SECOND),
        LabelRow(value=True, time=3, client_id=b"wim"),
        LabelRow(7, 4, client_id=b"bob"),
    ]
    sink.write([_encoded(Kind.LABEL, label_schema("loan"), label_columns(labels), rows=4, stream=2)])
    pair = pair_schema("loan", "1", "2", [("label", "<i8", ())])
    values = {"stable.label": [5, 6], "candidate.label": [5, 8]}
    meta = {"id": ids[[0, 2]], "row": 0, "time": 3, "revision": 1, "answered_by": 1}
    outcomes = {"stable_outcome": 1, "candidate_outcome": 1}
    sink.write([_encoded(Kind.PAIR, pair, {**meta, **outcomes, **values}, rows=2, stream=3)])
    return sink


def _encoded(kind: Kind, schema: object, columns: Mapping[str, object], *, rows: int, stream: int) -> bytes:
    return encode(kind, schema, columns, rows=rows, incarnation=1, stream=stream, first=0)  # type: ignore[arg-type]


def read(folder: Path) -> dict[int, Frame]:
    """The last frame of each kind."""
    with closing(SegmentSource(folder)) as source:
        return {frame.kind: frame for frame in (decode(body) for _, body in source.read(START, 100))}


def remove(folder: Path, sink: SegmentSink, *ids: bytes, model: str = "loan") -> Deleted:
    """Delete these predictions."""
    return delete(folder, Request(model, ids, "wim", "asked"), IDS, sink, FakeClock(9, 0.0))


@pytest.mark.parametrize("segment_bytes", [1, 1 << 20])
def test_values_go_and_rows_stay(tmp_path: Path, segment_bytes: int) -> None:
    """Inputs, outputs, client ids, labels and pairs of one id are gone; those of the other are untouched."""
    with closing(written(tmp_path, segment_bytes=segment_bytes)) as sink:
        done = remove(tmp_path, sink, FIRST)
    assert done == Deleted(ids=1, predictions=2, pairs=1, labels=2, rejects=0, unknown=())
    frames = read(tmp_path)
    row = frames[Kind.PREDICTION]
    assert row.rows == 4
    assert row.validity is not None
    assert row.validity.tolist() == [[Validity.DELETED] * 4] * 2 + [[0] * 4] * 2
    assert row.array("amount")[:2].tolist() == [[0.0] * 3] * 2
    assert row.array("amount")[2:].any()
    assert row.strings("client_id").tolist() == [b"", b"", b"bob", b"bob"]
    assert row.array("time").tolist() == [0, 1, 2, 3]
    labels = frames[Kind.LABEL]
    assert labels.array("value_kind").tolist() == [0, 2, 0, 1]
    assert labels.strings("text").tolist() == [b""] * 4
    assert labels.strings("client_id").tolist() == [b"", b"", b"", b"bob"]
    assert frames[Kind.PAIR].array("candidate.label").tolist() == [0, 8]


def test_the_log_says_who_and_why(tmp_path: Path) -> None:
    """One deletion frame holds every id, all of its rows, the time, the actor and the reason."""
    with closing(written(tmp_path)) as sink:
        remove(tmp_path, sink, FIRST, SECOND)
    told = read(tmp_path)[Kind.DELETION]
    assert told.schema.model == "loan"
    assert [bytes(identifier) for identifier in told.array("id")] == [FIRST, SECOND]
    assert told.array("row").tolist() == [ALL_ROWS] * 2
    assert told.array("time").tolist() == [9, 9]
    assert told.strings("actor").tolist() == [b"wim"] * 2
    assert told.strings("reason").tolist() == [b"asked"] * 2


def test_exports_leave_deleted_rows_out(tmp_path: Path) -> None:
    """What was deleted is in no later export."""
    with closing(written(tmp_path)) as sink:
        remove(tmp_path, sink, FIRST)
    assert read_rows(tmp_path, "loan")["id"].tolist() == [SECOND.hex()] * 2


def test_no_byte_of_a_value_is_left_in_the_folder(tmp_path: Path) -> None:
    """Neither the pages of a segment nor its write-ahead log hold the old values."""
    with closing(written(tmp_path)) as sink:
        told = b"".join(path.read_bytes() for path in tmp_path.iterdir())
        assert b"wim" in told
        assert b"yes" in told
        assert remove(tmp_path, sink, FIRST).emptied
        left = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"yes" not in left
    assert left.count(b"wim") == 1  # the actor of the deletion


def test_ids_that_name_nothing_are_told(tmp_path: Path) -> None:
    """A made-up id, and one of another model, delete nothing and are named; doing it twice does no harm."""
    with closing(written(tmp_path)) as sink:
        assert remove(tmp_path, sink, bytes(16)).unknown == (bytes(16),)
        assert remove(tmp_path, sink, FIRST, model="other").unknown == (FIRST,)
        assert Kind.DELETION not in read(tmp_path)
        assert remove(tmp_path, sink, FIRST).predictions == 2
        assert remove(tmp_path, sink, FIRST).predictions == 2


def test_a_reject_loses_its_message(tmp_path: Path) -> None:
    """The id of a refused request names a row whose message is blanked."""
    with closing(SegmentSink(tmp_path, clock=FakeClock(0, 0.0))) as sink:
        identifier = IDS.encode(1, 1, 0)
        texts = {"client_id": [b""], "code": [b"malformed"], "message": [b"found wim"], "version": [b""]}
        meta = {"id": np.frombuffer(identifier, np.uint8), "time": 1, "status": 400, "trace_id": np.zeros(16)}
        zero = dict.fromkeys(("row", "arm", "revision", "outcome", "latency", "kept"), 0)
        columns = {**texts, **meta, **zero, "model": [b"loan"]}
        sink.write([_encoded(Kind.REJECT, reject_schema(""), columns, rows=1, stream=1)])
        assert remove(tmp_path, sink, identifier).rejects == 1
    assert read(tmp_path)[Kind.REJECT].strings("message").tolist() == [b""]


def test_a_segment_that_retention_dropped_meanwhile_is_not_made_again(tmp_path: Path) -> None:
    """Values that went with their segment are gone, and what else there is of them is still deleted."""

    class Dropping(SegmentSink):
        """Drops the first segment once a prediction was found there."""

        def note(self, kind: int, schema: Schema, columns: Mapping[str, Any], *, rows: int) -> None:
            files.segment_path(tmp_path, 1).unlink()
            super().note(kind, schema, columns, rows=rows)

    written(tmp_path, segment_bytes=1).close()
    with closing(Dropping(tmp_path, clock=FakeClock(7, 0.0))) as sink:
        found = remove(tmp_path, sink, FIRST)
    assert (found.predictions, found.pairs, found.labels) == (0, 1, 2)
    assert files.numbers(tmp_path) == [2, 3]
