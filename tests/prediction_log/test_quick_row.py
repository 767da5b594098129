"""The short way into a row file: the same bytes as the general way, or nothing at all."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prediction_log import record
from prediction_log.frame import decode
from prediction_log.quick_row import Meta, is_quick
from prediction_log.record import Kind, Schema
from prediction_log.rows import RowFile
from tests.prediction_log import samples

FLOATS = st.lists(st.floats(width=32), min_size=3, max_size=3)
METAS = st.tuples(
    st.binary(min_size=16, max_size=16),
    st.integers(0, 2**62),
    st.integers(1, 4),
    st.integers(0, 2**63),
    st.integers(0, 2**32 - 1),
    st.binary(min_size=16, max_size=16),
)
ONE: Meta = (b"i" * 16, 5, 1, 7, 250, bytes(16))


def schema() -> Schema:
    """A version with three numbers in and two tensors out, all of fixed widths."""
    return record.prediction_schema(
        "loan",
        "1",
        "sha256:" + "0" * 64,
        [("amount", "<f4", (3,))],
        [("label", "<i8", ()), ("probabilities", "<f8", (2,))],
    )


def row_file(folder: Path, name: str = "1.rows", capacity: int = 8) -> RowFile:
    """A row file of that version."""
    return RowFile.create(
        folder / name,
        kind=Kind.PREDICTION,
        incarnation=1,
        stream=1,
        schema=schema(),
        row_capacity=capacity,
        arena_bytes=64,
    )


def values(numbers: list[float], label: int = 1) -> tuple[dict[str, Any], list[bytes]]:
    """The same values as columns and as bytes."""
    columns = {
        "amount": np.array([numbers], "<f4"),
        "label": np.array([label], "<i8"),
        "probabilities": np.array([[0.25, 0.75]], "<f8"),
    }
    return columns, [column.tobytes() for column in columns.values()]


def columns_of(meta: Meta, more: dict[str, Any]) -> dict[str, Any]:
    """The row as the general way takes it."""
    identifier, time, arm, revision, latency, trace = meta
    return {
        "id": identifier, "row": 0, "time": time, "arm": arm, "revision": revision, "outcome": 1,
        "latency": latency, "kept": 1, "trace_id": trace, **more,
    }  # fmt: skip


@given(rows=st.lists(st.tuples(METAS, FLOATS, st.integers(-(2**63), 2**63 - 1)), min_size=1, max_size=8))
def test_both_ways_leave_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[Meta, list[float], int]]
) -> None:
    """Whatever the values, a frame of quick rows is the frame of the same rows appended in general."""
    folder = tmp_path_factory.mktemp("rows")
    quick, general = row_file(folder), row_file(folder, "2.rows")
    for meta, numbers, label in rows:
        columns, raw = values(numbers, label)
        assert quick.append_quick(meta, raw)
        general.append(columns_of(meta, columns))
    assert quick.swap()
    assert general.swap()
    assert quick.take() == general.take()


@given(
    requests=st.lists(
        st.tuples(
            METAS, st.lists(st.tuples(FLOATS, st.integers(-(2**63), 2**63 - 1)), min_size=2, max_size=9)
        ),
        min_size=1,
        max_size=4,
    )
)
def test_many_rows_leave_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, requests: list[tuple[Meta, list[tuple[list[float], int]]]]
) -> None:
    """Whatever the values and the sizes, so do requests of many rows, which count from 0."""
    folder = tmp_path_factory.mktemp("rows")
    quick, general = row_file(folder, capacity=40), row_file(folder, "2.rows", capacity=40)
    for meta, rows in requests:
        columns = {
            "amount": np.array([numbers for numbers, _ in rows], "<f4"),
            "label": np.array([label for _, label in rows], "<i8"),
            "probabilities": np.array([[0.25, 0.75]] * len(rows), "<f8"),
        }
        raw = [column.data.cast("B") for column in columns.values()]
        assert quick.append_quick(meta, raw, len(rows))
        general.append({**columns_of(meta, columns), "row": np.arange(len(rows))}, len(rows))
    assert quick.swap()
    assert general.swap()
    assert quick.take() == general.take()


def test_many_rows_go_in_whole_or_not_at_all(tmp_path: Path) -> None:
    """A request that has no room for its last row leaves nothing behind."""
    file = row_file(tmp_path, capacity=3)
    _, raw = values([1, 2, 3])
    assert file.append_quick(ONE, [value * 2 for value in raw], 2)
    assert not file.append_quick(ONE, [value * 2 for value in raw], 2)
    assert file.append_quick(ONE, raw)
    assert (file.next_sequence, file.lost) == (3, 0)
    file.swap()
    assert decode(file.take() or b"").array("row").tolist() == [0, 1, 0]


def test_both_ways_share_a_buffer(tmp_path: Path) -> None:
    """Quick rows stand between others, texts of clients included, and sequence numbers run on."""
    file = row_file(tmp_path)
    columns, raw = values([1, 2, 3])
    file.append({**columns_of(ONE, columns), "client_id": b"me"})
    assert file.append_quick(ONE, raw)
    assert file.append({**columns_of(ONE, columns), "client_id": b"you"}) == 2
    assert file.next_sequence == 3
    file.swap()
    found = decode(file.take() or b"")
    assert found.strings("client_id").tolist() == [b"me", b"", b"you"]
    assert found.array("amount").tolist() == [[1, 2, 3]] * 3


def test_a_full_buffer_takes_nothing(tmp_path: Path) -> None:
    """Where there is no room nothing happens, and the general way decides what becomes of the row."""
    file = row_file(tmp_path, capacity=1)
    _, raw = values([1, 2, 3])
    assert file.append_quick(ONE, raw)
    assert not file.append_quick(ONE, raw)
    assert (file.next_sequence, file.lost) == (1, 0)


def test_texts_have_no_short_way(tmp_path: Path) -> None:
    """A version with a text among its values is written in general, and so is what is no prediction."""
    assert is_quick(schema())
    assert not is_quick(samples.schema())
    assert not is_quick(record.reject_schema(""))
    assert not samples.row_file(tmp_path).append_quick(ONE, [])
