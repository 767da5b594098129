"""The totals of slots that are no more."""

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundwork.errors import StoreError
from groundwork.retired import Retired, join_ranges, read_retired, write_retired
from groundwork.series import SeriesKey

HITS = SeriesKey("hits_total", (("a", "b"),))
DEPTH = SeriesKey("depth", (), "gauge")


def test_a_slot_is_added_and_named(tmp_path: Path) -> None:
    """Counters are added, gauges and zeros are not kept, and the document is read as it was written."""
    retired = (
        Retired().with_slot(1, {HITS: 2, DEPTH: 9}).with_slot(3, {HITS: 5, SeriesKey("none_total", ()): 0})
    )
    assert retired.sums() == {HITS: 7}
    assert [number for number in range(6) if retired.includes(number)] == [1, 3]
    assert (retired.highest, Retired().highest) == (3, 0)
    write_retired(tmp_path, retired)
    assert read_retired(tmp_path) == retired


def test_no_document_is_no_slot(tmp_path: Path) -> None:
    """Before the first slot is retired there is nothing to read."""
    assert read_retired(tmp_path) == Retired()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "wanted retired totals"),
        (b'{"format": 1, "included": 3}', "wanted retired totals"),
        (b'{"included": []}', "found None"),
        (b'{"format": "1"}', "found '1'"),
        (b'{"format": 2, "more": 1}', "found 2, written by a newer driftgate"),
    ],
)
def test_a_damaged_document_is_an_error(tmp_path: Path, content: bytes, said: str) -> None:
    """Sums that would silently start again from nothing are refused."""
    (tmp_path / "retired.json").write_bytes(content)
    with pytest.raises(StoreError, match=said):
        read_retired(tmp_path)


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 5)).map(lambda r: (r[0], r[0] + r[1]))))
def test_ranges_hold_the_same_numbers_joined(ranges: list[tuple[int, int]]) -> None:
    """Nothing is lost, nothing is added, and no two ranges could be one."""
    joined = join_ranges(ranges)
    assert {n for first, last in joined for n in range(first, last + 1)} == {
        n for first, last in ranges for n in range(first, last + 1)
    }
    assert all(left[1] + 1 < right[0] for left, right in itertools.pairwise(joined))
