"""Worker slots: numbers, liveness, sums that never go back."""

import itertools
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, multiple, rule

from groundwork import slots as module
from groundwork.errors import LockedError, StoreError
from groundwork.retired import read_retired
from groundwork.series import SeriesKey
from groundwork.series_table import REFUSED
from groundwork.slots import UNREADABLE, Slot, SlotsReader, read_slots, retire, totals
from tests.counts import count

HITS = SeriesKey("hits_total", ())
DEPTH = SeriesKey("depth", (), "gauge")
WORKER = """
import sys
from pathlib import Path
from groundwork.slots import Slot
slot = Slot.create(Path(sys.argv[1]), place=3)
slot.counters.values[slot.counters.series("hits_total", {})] += 11
print(slot.incarnation, flush=True)
sys.stdin.read()
"""


def worker(folder: Path, *, hits: int, depth: int = 0, place: int = 0) -> Slot:
    """A slot that has counted."""
    slot = Slot.create(folder, place=place)
    slot.counters.values[slot.counters.series("hits_total", {})] += hits
    slot.counters.values[slot.counters.series("depth", {}, kind="gauge")] = depth
    return slot


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
    module._fold_in(tmp_path, 1)
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


@pytest.mark.parametrize("name", ["counters", "slot.json"])
@pytest.mark.parametrize("content", [None, b"", b"x" * 100_000])
def test_a_damaged_slot_is_shown_and_hurts_no_other(tmp_path: Path, name: str, content: bytes | None) -> None:
    """Its reading says what is wrong, the sums count it as unreadable, and the others are summed."""
    for hits in (1, 10):
        worker(tmp_path, hits=hits).close()
    damaged = tmp_path / "1" / name
    damaged.unlink()
    if content is not None:
        damaged.write_bytes(content)
    assert [bool(reading.fault) for reading in read_slots(tmp_path)] == [True, False]
    assert (totals(tmp_path)[HITS], totals(tmp_path)[UNREADABLE]) == (10, 1)


def test_no_folder_is_no_slots(tmp_path: Path) -> None:
    """Readers come before the first worker, and make nothing."""
    assert read_slots(tmp_path / "slots") == []
    assert totals(tmp_path / "slots") == {UNREADABLE: 0}
    assert not (tmp_path / "slots").exists()


@pytest.mark.parametrize("order", sorted(set(itertools.permutations("LLRRR"))))
def test_a_slot_retired_under_a_look_is_counted_once(tmp_path: Path, order: tuple[str, ...]) -> None:
    """However the steps of retiring fall between the steps of a look, its sum is the true one."""
    for hits in (1, 10):
        worker(tmp_path, hits=hits).close()
    look = module._looking(tmp_path)
    next(look)
    steps: list[Callable[[], None]] = [
        lambda: module._fold_in(tmp_path, 1),
        (tmp_path / "1" / "counters").unlink,
        lambda: retire(tmp_path, 1),
    ]
    retiring = iter(steps)
    for turn in order:
        if turn == "R":
            next(retiring)()
        else:
            next(look)
    assert module._summed(*module._finished(look))[HITS] == 11


def test_a_reader_that_stays_finds_what_a_new_one_finds(tmp_path: Path) -> None:
    """With tables kept mapped, a look sees new series, new slots, deaths and retirements as they are."""
    reader = SlotsReader(tmp_path)
    slots: list[Slot] = []
    for number in range(3):
        slots.append(worker(tmp_path, hits=1, depth=1))
        assert reader.totals() == totals(tmp_path)
        slots[0].counters.values[slots[0].counters.series(f"new{number}_total", {})] += 1
        assert reader.read() == read_slots(tmp_path)
    for slot in slots:
        slot.close()
        assert reader.totals() == totals(tmp_path)
        retire(tmp_path, slot.incarnation)
        assert reader.totals() == totals(tmp_path)
    assert reader._tables == {}
    slots.append(worker(tmp_path, hits=1))
    assert reader.totals()[HITS] == 4
    reader.close()
    assert reader.totals()[HITS] == 4
    slots[-1].close()


def test_many_threads_look_by_one_reader(tmp_path: Path) -> None:
    """A look in the middle of another's finds whole tables, though slots die and are retired meanwhile."""
    reader, slots = SlotsReader(tmp_path), [worker(tmp_path, hits=1) for _ in range(6)]
    ended = threading.Event()

    def look() -> set[int]:
        found = {reader.totals()[HITS]}
        while not ended.is_set():
            found.add(reader.totals()[HITS])
        return found

    with ThreadPoolExecutor(4) as pool:
        looks = [pool.submit(look) for _ in range(4)]
        for slot in slots:
            slot.close()
            retire(tmp_path, slot.incarnation)
        ended.set()
        assert {total for one in looks for total in one.result()} == {6}
    reader.close()


class Interleaving(RuleBasedStateMachine):
    """Workers that count, die and are retired in steps, while looks at them are under way.

    A look may begin, pause between any two of its steps, and end. Whatever happens meanwhile, its sum lies
    between what had been counted when it began and what has been when it ends: a later look never goes back.
    """

    living = Bundle("living")
    dead = Bundle("dead")
    folded = Bundle("folded")
    looks = Bundle("looks")

    def __init__(self) -> None:
        super().__init__()
        self._scratch = tempfile.TemporaryDirectory()
        self.folder = Path(self._scratch.name)
        self.truth = 0
        self.slots: list[Slot] = []

    @rule(target=living)
    def start(self) -> Slot:
        """A worker starts."""
        self.slots.append(worker(self.folder, hits=0, depth=1))
        return self.slots[-1]

    @rule(slot=living, hits=st.integers(1, 9))
    def hit(self, slot: Slot, hits: int) -> None:
        """A worker counts."""
        slot.counters.values[slot.counters.series("hits_total", {})] += hits
        self.truth += hits

    @rule(target=dead, slot=consumes(living))
    def die(self, slot: Slot) -> int:
        """A worker dies."""
        slot.close()
        return slot.incarnation

    @rule(target=folded, number=consumes(dead))
    def fold(self, number: int) -> int:
        """Retiring begins, and stops after its first step."""
        module._fold_in(self.folder, number)
        return number

    @rule(number=folded, name=st.sampled_from(["lock", "slot.json", "counters"]))
    def tear(self, number: int, name: str) -> None:
        """Removing the folder begins, and stops within."""
        (self.folder / str(number) / name).unlink(missing_ok=True)

    @rule(number=consumes(folded) | consumes(dead))
    def retire(self, number: int) -> None:
        """Retiring is done, from the start or from where it stopped."""
        retire(self.folder, number)

    @rule(target=looks)
    def begin(self) -> tuple[int, Generator[None, None, module._Look]]:
        """A reader begins: its first step is taken at once, so that its list of folders is of now."""
        look = module._looking(self.folder)
        next(look)
        return self.truth, look

    @rule(target=looks, paused=consumes(looks))
    def go_on(self, paused: tuple[int, Generator[None, None, module._Look]]) -> object:
        """A reader takes one more step, which may be its last."""
        before, look = paused
        try:
            next(look)
        except StopIteration as stop:
            self.check(before, stop.value)
            return multiple()
        return paused

    @rule(paused=consumes(looks))
    def end(self, paused: tuple[int, Generator[None, None, module._Look]]) -> None:
        """A reader takes all its other steps."""
        self.check(paused[0], module._finished(paused[1]))

    def check(self, before: int, found: module._Look) -> None:
        """The sum of a finished look is one that was true while it was under way."""
        readings, retired = found
        assert [reading.fault for reading in readings if reading.fault] == []
        assert before <= module._summed(readings, retired).get(HITS, 0) <= self.truth

    def teardown(self) -> None:
        """Nothing stays behind."""
        for slot in self.slots:
            slot.close()
        self._scratch.cleanup()


TestInterleaving = Interleaving.TestCase
TestInterleaving.settings = settings(max_examples=count(25, 300), stateful_step_count=40)
