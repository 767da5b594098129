"""The short way of a shadow pair into a row file: the same bytes as the general way, or nothing at all."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prediction_log import record
from prediction_log.quick_pair import is_pair
from prediction_log.record import VARIABLE, Kind
from prediction_log.rows import RowFile

Meta = tuple[bytes, int, int, int]
Pair = tuple[Meta, int, list[float]]
PAIRS = st.tuples(
    st.tuples(
        st.binary(min_size=16, max_size=16), st.integers(0, 2**62), st.integers(0, 2**63), st.integers(1, 4)
    ),
    st.integers(-(2**63), 2**63 - 1),
    st.lists(st.floats(), min_size=2, max_size=2),
)
ONE: Pair = ((b"i" * 16, 5, 7, 1), 1, [0.25, 0.75])
OUTPUTS: list[record.ValueColumn] = [("label", "<i8", ()), ("probabilities", "<f8", (2,))]


def row_file(folder: Path, name: str = "1.rows", capacity: int = 8) -> RowFile:
    """A row file of the pairs of two versions with a label and two probabilities."""
    return RowFile.create(
        folder / name,
        kind=Kind.PAIR,
        incarnation=1,
        stream=1,
        schema=record.pair_schema("m", "1", "2", OUTPUTS),
        row_capacity=capacity,
        arena_bytes=64,
    )


def append(file: RowFile, pair: Pair) -> None:
    """The same row the general way."""
    (identifier, time, revision, arm), label, numbers = pair
    file.append(
        {
            "id": identifier, "row": 0, "time": time, "revision": revision, "answered_by": arm,
            "stable_outcome": 1, "candidate_outcome": 1,
            "stable.label": np.array([label], "<i8"), "stable.probabilities": np.array([numbers], "<f8"),
            "candidate.label": np.array([0], "<i8"), "candidate.probabilities": np.ones((1, 2), "<f8"),
        }
    )  # fmt: skip


def append_quick(file: RowFile, *pairs: Pair) -> bool:
    """The rows the short way."""
    metas = [meta for meta, _, _ in pairs]
    said = [meta[0] for meta in metas], [meta[1] for meta in metas]
    noted = [meta[2] for meta in metas], [meta[3] for meta in metas]
    labels = np.array([label for _, label, _ in pairs], "<i8").tobytes()
    numbers = np.array([numbers for _, _, numbers in pairs], "<f8").tobytes()
    theirs = [bytes(8 * len(pairs)), np.ones(2 * len(pairs), "<f8").tobytes()]
    return file.append_pairs((*said, *noted), [labels, numbers, *theirs])


@given(pairs=st.lists(PAIRS, min_size=1, max_size=8), first=st.integers(0, 8))
def test_both_ways_leave_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[Pair], first: int
) -> None:
    """Whatever the pairs say, a frame of quick ones is the frame of the same ones appended in general."""
    folder = tmp_path_factory.mktemp("rows")
    quick, general = row_file(folder), row_file(folder, "2.rows")
    for some in (pairs[:first], pairs[first:]):
        assert append_quick(quick, *some)
    for pair in pairs:
        append(general, pair)
    assert quick.swap()
    assert general.swap()
    assert quick.take() == general.take()


def test_without_room_nothing_happens(tmp_path: Path) -> None:
    """A pair beyond the last place is not written, and the general way goes on from there."""
    file = row_file(tmp_path, capacity=1)
    assert append_quick(file, ONE)
    assert not append_quick(file, ONE)
    assert file.next_sequence == 1
    append(file, ONE)
    assert file.next_sequence == 2


def test_only_plain_pairs_are_written_so() -> None:
    """A schema of another kind, or with texts among its values, is not taken for such a pair's."""
    assert is_pair(record.pair_schema("m", "1", "2", OUTPUTS))
    assert not is_pair(record.pair_schema("m", "1", "2", [*OUTPUTS, ("name", VARIABLE, ())]))
    assert not is_pair(record.label_schema("m"))
