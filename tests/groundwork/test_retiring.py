"""Tests of groundwork.retiring."""

from pathlib import Path

import pytest

from groundwork.errors import StoreError
from groundwork.retired import read_retired
from groundwork.retiring import fold_in, retire
from groundwork.slot_readings import UNREADABLE, read_slots, totals
from tests.groundwork.counted import DEPTH, HITS, worker


def test_counters_outlive_their_slot_and_gauges_do_not(tmp_path: Path) -> None:
    """Counters of the living, the dead and the retired are summed; gauges of the living only."""
    slots = [worker(tmp_path, hits=10**place, depth=place + 1) for place in range(3)]
    assert (totals(tmp_path)[HITS], totals(tmp_path)[DEPTH]) == (111, 6)
    slots[0].close()
    assert (totals(tmp_path)[HITS], totals(tmp_path)[DEPTH]) == (111, 5)
    retire(tmp_path, 1)
    assert not slots[0].folder.exists()
    assert (totals(tmp_path)[HITS], totals(tmp_path)[DEPTH]) == (111, 5)
    for slot in slots[1:]:
        slot.close()
        retire(tmp_path, slot.incarnation)
    assert totals(tmp_path) == {HITS: 111, UNREADABLE: 0}
    assert read_retired(tmp_path).included == ((1, 3),)


def test_retiring_may_be_repeated_after_any_crash(tmp_path: Path) -> None:
    """Once included a slot is never added again, whatever is left of its folder."""
    worker(tmp_path, hits=5).close()
    fold_in(tmp_path, 1)
    (tmp_path / "1" / "counters").unlink()
    assert read_slots(tmp_path) == []
    for _ in range(2):
        retire(tmp_path, 1)
        assert totals(tmp_path)[HITS] == 5
        assert not (tmp_path / "1").exists()


def test_what_is_left_of_a_folded_slot_goes_when_the_next_is_made(tmp_path: Path) -> None:
    """A crash in the middle of its removal leaves no folder for ever, and its counters stay."""
    worker(tmp_path, hits=5).close()
    retire(tmp_path, 1)
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "counters").write_bytes(b"half removed")
    worker(tmp_path, hits=1).close()
    assert not (tmp_path / "1").exists()
    assert totals(tmp_path)[HITS] == 6


def test_only_a_slot_can_be_retired(tmp_path: Path) -> None:
    """A number that never was a slot is an error."""
    with pytest.raises(StoreError, match="wanted a slot to retire"):
        retire(tmp_path, 7)
