"""The short way of a reject into a row file: the same bytes as the general way, or nothing at all."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prediction_log import record
from prediction_log.quick_reject import TEXTS, is_reject
from prediction_log.record import Kept, Kind, Outcome
from prediction_log.rows import RowFile

Reject = tuple[bytes, int, int, int, list[bytes]]
REJECTS = st.tuples(
    st.binary(min_size=16, max_size=16),
    st.integers(0, 2**62),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**16 - 1),
    st.lists(st.binary(max_size=8), min_size=len(TEXTS), max_size=len(TEXTS)),
)
ONE: Reject = (b"i" * 16, 5, 250, 503, [b"too-late", b"later", b"1", b"m"])


def row_file(folder: Path, name: str = "1.rows", capacity: int = 8, arena_bytes: int = 64) -> RowFile:
    """A row file of rejects."""
    return RowFile.create(
        folder / name,
        kind=Kind.REJECT,
        incarnation=1,
        stream=1,
        schema=record.reject_schema(""),
        row_capacity=capacity,
        arena_bytes=arena_bytes,
    )


def append(file: RowFile, reject: Reject) -> None:
    """The same row the general way."""
    identifier, time, latency, status, texts = reject
    row = {"id": identifier, "time": time, "latency": latency, "status": status}
    fixed = {"outcome": int(Outcome.REJECTED), "kept": int(Kept.ALWAYS)}
    file.append({**row, **fixed, **dict(zip(TEXTS, texts, strict=True))})


@given(rejects=st.lists(REJECTS, min_size=1, max_size=8))
def test_both_ways_leave_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, rejects: list[Reject]
) -> None:
    """Whatever is refused, a frame of quick rejects is the frame of the same ones appended in general."""
    folder = tmp_path_factory.mktemp("rows")
    quick, general = row_file(folder), row_file(folder, "2.rows")
    for reject in rejects:
        assert quick.append_reject(*reject)
        append(general, reject)
    assert quick.swap()
    assert general.swap()
    assert quick.take() == general.take()


@pytest.mark.parametrize(("capacity", "arena_bytes"), [(1, 64), (8, 15)])
def test_without_room_nothing_happens(tmp_path: Path, capacity: int, arena_bytes: int) -> None:
    """A row beyond the last place, or a text beyond its arena, is not written, and what is there stays."""
    file = row_file(tmp_path, capacity=capacity, arena_bytes=arena_bytes)
    assert file.append_reject(*ONE)
    assert not file.append_reject(*ONE)
    assert file.next_sequence == 1
    append(file, ONE)
    other = row_file(tmp_path, "2.rows")
    append(other, ONE)
    assert other.swap()
    assert file.take() == other.take(), "the general way has swapped"
    assert file.next_sequence == 2


def test_only_rejects_are_written_so() -> None:
    """A schema with other columns is not taken for a reject's."""
    assert is_reject(record.reject_schema("m"))
    assert not is_reject(record.label_schema("m"))
