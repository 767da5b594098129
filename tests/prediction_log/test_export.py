"""Exports: every prediction row of the window once, with the label that counts."""

import builtins
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from pyarrow import parquet

from prediction_log import labels, record
from prediction_log.errors import ExportError
from prediction_log.export import export, read_rows
from prediction_log.labels import LabelRow
from prediction_log.record import ALL_ROWS, Kind
from prediction_log.segment_sink import SegmentSink
from tests.prediction_log import samples


class Log:
    """A log folder written frame by frame; predictions of `rows` rows from `first`, time = sequence."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._sink = SegmentSink(folder, segment_bytes=1)
        self._sequence = 0

    def predict(self, first: int, rows: int, **change: Any) -> None:
        """One frame of predictions, each row an id of its own."""
        schema = change.pop("schema", samples.schema())
        columns = samples.columns(first, rows) | {"row": 0} | change
        wanted = {column.name: columns[column.name] for column in schema.columns}
        validity = change.get("validity")
        frame = samples.make_frame(first, rows, schema=schema, columns=wanted, validity=validity)
        self._sink.write([frame])

    def label(self, *rows: LabelRow) -> None:
        """One frame of labels."""
        self._write(Kind.LABEL, record.label_schema("loan"), labels.label_columns(rows), len(rows))

    def delete(self, identifier: bytes, row: int) -> None:
        """One deletion."""
        columns = {"id": [list(identifier)], "row": row, "time": 0, "reason": [b""], "actor": [b""]}
        self._write(Kind.DELETION, record.deletion_schema("loan"), columns, 1)

    def close(self) -> None:
        """Close the sink."""
        self._sink.close()

    def _write(self, kind: Kind, schema: record.Schema, columns: Any, rows: int) -> None:
        first = self._sequence
        self._sequence += rows
        self._sink.write(
            [samples.make_frame(first, rows, kind=kind, schema=schema, columns=columns, stream=99)]
        )


@pytest.fixture
def log(tmp_path: Path) -> Any:
    """A log with nothing in it yet."""
    made = Log(tmp_path / "log")
    yield made
    made.close()


def identifier(time: int) -> bytes:
    """The id that samples.columns gives to the row of that time."""
    return bytes([time % 250 + 1]) * 16


def labelled(log: Log, **window: Any) -> list[Any]:
    """The label column, None where there is none."""
    found = read_rows(log.folder, "loan", **window)
    pairs = zip(found["label"].tolist(), found["labelled"].tolist(), strict=True)
    return [label if known else None for label, known in pairs]


def test_the_latest_label_counts_whenever_it_came(log: Log) -> None:
    """A label may come before its prediction, after it, twice, or never."""
    log.label(LabelRow(1, 1, identifier(2)))
    log.predict(0, 4)
    log.label(LabelRow(1, 2, identifier(0)), LabelRow(1, 2, identifier(1)))
    log.label(LabelRow(0, 9, identifier(0)), LabelRow(1, 9, b"nobody's prediction"[:16]))
    assert labelled(log) == [0, 1, 1, None]


def test_a_client_id_counts_where_it_is_unique(log: Log) -> None:
    """A label by client id finds the one prediction that carries it; ambiguous and unknown ones are told."""
    log.predict(0, 4, client_id=[b"a", b"twice", b"twice", b""])
    log.label(
        LabelRow(1, 1, client_id=b"a"),
        LabelRow(1, 1, client_id=b"twice"),
        LabelRow(1, 1, client_id=b"nobody"),
        LabelRow(2, 1, identifier(0)),
    )
    assert labelled(log) == [2, None, None, None]
    log.label(LabelRow(3, 1, client_id=b"a"))
    assert labelled(log) == [3, None, None, None]
    summary = export(log.folder, "loan", out=log.folder / "out.parquet")
    assert (summary.rows, summary.labelled, summary.ambiguous, summary.unknown) == (4, 1, 1, 1)


def test_a_window_is_of_record_time(log: Log) -> None:
    """Rows recorded at or after `since` and before `until`, also inside one frame."""
    log.predict(0, 5)
    log.predict(5, 5)
    log.label(LabelRow(1, 100, identifier(3)))
    found = read_rows(log.folder, "loan", since_ns=3, until_ns=7)
    assert found["time"].tolist() == [3, 4, 5, 6]
    assert found["labelled"].tolist() == [True, False, False, False]
    assert read_rows(log.folder, "loan", since_ns=100)["time"].tolist() == []


def test_other_models_and_kinds_stay_out(log: Log) -> None:
    """Only predictions of the model asked for are rows."""
    log.predict(0, 2)
    log.predict(2, 3, schema=samples.schema("other"))
    assert len(read_rows(log.folder, "loan")["row"]) == 2
    assert len(read_rows(log.folder, "nobody")["row"]) == 0


def test_columns_are_named_by_element(log: Log) -> None:
    """Every element of every input and output has its column; metadata is readable."""
    log.predict(7, 1)
    log.label(LabelRow(0.25, 1, identifier(7)))
    found = read_rows(log.folder, "loan")
    assert {name: column.tolist() for name, column in found.items()} == {
        "id": [identifier(7).hex()],
        "version": ["1"],
        "arm": ["stable"],
        "outcome": ["ok"],
        "kept": ["sample"],
        "client_id": ["c7"],
        "trace_id": [None],
        "row": [0],
        "time": [7],
        "revision": [7],
        "latency": [250],
        "amount[0]": [1.75],
        "amount[1]": [1.75],
        "amount[2]": [1.75],
        "city": ["xx"],
        "output.label": [1],
        "probabilities[0]": [0.5],
        "probabilities[1]": [0.5],
        "label": [0.25],
        "labelled": [True],
    }


def test_versions_with_other_columns_are_joined(log: Log) -> None:
    """The union of the columns; what a version does not have, or was withheld, is absent."""
    wide = record.prediction_schema("loan", "2", "", [("amount", "<f8", ()), ("age", "<i4", ())], [])
    log.predict(0, 2)
    log.predict(2, 2, schema=wide, amount=[5.0, 6.0], age=[30, 40], validity=[[0, 0], [0, 2]])
    found = read_rows(log.folder, "loan")
    np.testing.assert_array_equal(found["age"], [np.nan, np.nan, 30, np.nan])
    np.testing.assert_array_equal(found["amount"], [np.nan, np.nan, 5, 6])
    assert found["city"].tolist() == ["", "x", None, None]
    assert found["version"].tolist() == ["1", "1", "2", "2"]


def test_deleted_rows_are_left_out(log: Log) -> None:
    """A deletion of one row, or of all rows of an id, is obeyed by every later export."""
    log.predict(0, 4)
    log.delete(identifier(1), 0)
    log.delete(identifier(2), ALL_ROWS)
    log.delete(identifier(3), 17)
    assert read_rows(log.folder, "loan")["time"].tolist() == [0, 3]


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([True, False], [True, False]),
        ([True, 3], [1, 3]),
        ([1, 0.5], [1.0, 0.5]),
        (["yes", "no"], ["yes", "no"]),
        (["yes", 1], ["yes", "1"]),
    ],
)
def test_labels_of_several_types_get_one_that_holds_all(
    log: Log, values: list[Any], wanted: list[Any]
) -> None:
    """A label column is as narrow as its values allow, and text when any is text."""
    log.predict(0, len(values))
    log.label(*(LabelRow(value, 1, identifier(index)) for index, value in enumerate(values)))
    found = read_rows(log.folder, "loan")["label"].tolist()
    assert found == wanted
    assert [type(value) for value in found] == [type(value) for value in wanted]


def test_a_parquet_file_holds_the_same_rows(log: Log) -> None:
    """The file has the columns of read_rows, nulls where a value is absent, and appears whole."""
    log.predict(0, 3)
    log.predict(3, 2, amount=np.ones((2, 3)))
    log.label(LabelRow(1, 1, identifier(1)))
    out = log.folder / "rows.parquet"
    summary = export(log.folder, "loan", out=out)
    assert msgspec.structs.asdict(summary) == {
        "rows": 5, "labelled": 1, "path": out, "ambiguous": 0, "unknown": 0,
    }  # fmt: skip
    table = parquet.read_table(out)
    assert table.column("label").to_pylist() == [None, 1, None, None, None]
    assert table.column("amount[1]").to_pylist() == [0.0, 0.25, 0.5, 1.0, 1.0]
    assert str(table.schema.field("time").type) == "timestamp[ns, tz=UTC]"
    assert set(table.column_names) == set(read_rows(log.folder, "loan")) - {"labelled"}
    assert not list(log.folder.glob(".*part"))


def test_an_export_of_an_unknown_model_is_an_error(log: Log) -> None:
    """A name that is in no frame is a mistake, and those that are there are told; a window may be empty."""
    log.predict(0, 1)
    with pytest.raises(ExportError, match="holds no row of model 'nope'; it holds loan"):
        export(log.folder, "nope", out=log.folder / "x.parquet")
    assert export(log.folder, "loan", until_ns=0, out=log.folder / "x.parquet").rows == 0


def test_an_export_into_no_folder_says_so(log: Log) -> None:
    """The error names the file, and what is wrong with its folder."""
    log.predict(0, 1)
    with pytest.raises(ExportError, match="nowhere is not a folder"):
        export(log.folder, "loan", out=log.folder / "nowhere" / "x.parquet")


def test_an_export_without_a_log_or_a_library_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says which folder, or what to install."""
    with pytest.raises(ExportError, match="holds no log segments"):
        read_rows(tmp_path, "loan")
    real = builtins.__import__

    def refuse(name: str, *rest: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ExportError, match=r"driftgate\[export\]"):
        export(tmp_path, "loan", out=tmp_path / "x.parquet")
