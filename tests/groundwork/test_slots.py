"""Worker slots: numbers and liveness."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from groundwork.errors import LockedError, StoreError
from groundwork.retiring import retire
from groundwork.series_table import REFUSED
from groundwork.slot_readings import read_slots, totals
from groundwork.slots import Slot
from tests.counts import count
from tests.groundwork.counted import DEPTH, HITS, worker

WORKER = """
import sys
from pathlib import Path
from groundwork.slots import Slot
slot = Slot.create(Path(sys.argv[1]), place=3)
slot.counters.values[slot.counters.series("hits_total", {})] += 11
print(slot.incarnation, flush=True)
sys.stdin.read()
"""


def test_a_slot_appears_whole(tmp_path: Path) -> None:
    """As soon as its folder is there it is locked, says its place, and has counters."""
    folder = tmp_path / "slots"
    slot = worker(folder, hits=3, place=2)
    [reading] = read_slots(folder)
    assert (reading.incarnation, reading.place, reading.alive, reading.folder) == (1, 2, True, slot.folder)
    assert reading.series == {HITS: 3, DEPTH: 0, REFUSED: 0}
    assert folder.stat().st_mode & 0o777 == 0o700
    slot.close()
    assert [reading.alive for reading in read_slots(folder)] == [False]


def test_numbers_are_never_used_twice(tmp_path: Path) -> None:
    """Neither after retiring, nor when the file of the next number is lost, nor when it is behind."""
    for _ in range(3):
        Slot.create(tmp_path, place=0).close()
    for number in (1, 2, 3):
        retire(tmp_path, number)
    (tmp_path / "next").unlink()
    slot = Slot.create(tmp_path, place=0)
    assert slot.incarnation == 4
    slot.close()
    (tmp_path / "next").write_text("2")
    last = Slot.create(tmp_path, place=0)
    assert last.incarnation == 5
    last.close()
    retire(tmp_path, 5)
    assert int((tmp_path / "next").read_text()) == 6


def test_a_damaged_next_number_is_refused(tmp_path: Path) -> None:
    """No number is guessed where the file does not hold one, and the last number is the last."""
    (tmp_path / "next").write_text("seven")
    with pytest.raises(StoreError, match="next: wanted a number"):
        Slot.create(tmp_path, place=0)
    (tmp_path / "next").write_text(str(2**32 - 1))
    Slot.create(tmp_path, place=0).close()
    with pytest.raises(StoreError, match="every incarnation number"):
        Slot.create(tmp_path, place=0)


def test_many_may_ask_for_a_number_at_once(tmp_path: Path) -> None:
    """Each gets its own."""
    numbers: list[int] = []

    def ask() -> None:
        for _ in range(count(3, 30)):
            slot = Slot.create(tmp_path, place=0)
            numbers.append(slot.incarnation)
            slot.close()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(1, len(numbers) + 1))


def test_a_slot_half_made_is_no_slot(tmp_path: Path) -> None:
    """What a worker left that died while its slot was made is not read, and is cleared by the next."""
    (tmp_path / ".new-1").mkdir()
    (tmp_path / ".new-1" / "counters").touch()
    assert read_slots(tmp_path) == []
    Slot.create(tmp_path, place=0).close()
    assert not list(tmp_path.glob(".new-*"))


def test_a_killed_worker_leaves_a_dead_slot_with_its_counts(tmp_path: Path) -> None:
    """Death ends the lock, and not a number that was counted."""
    with subprocess.Popen(
        [sys.executable, "-c", WORKER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"1\n"
        assert [reading.alive for reading in read_slots(tmp_path)] == [True]
        with pytest.raises(LockedError, match="found its worker alive"):
            retire(tmp_path, 1)
        process.kill()
        process.wait()
    [reading] = read_slots(tmp_path)
    assert (reading.alive, reading.place, reading.series[HITS]) == (False, 3, 11)
    assert totals(tmp_path)[HITS] == 11
