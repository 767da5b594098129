"""What is read of slots: sums that never go back."""

import itertools
import tempfile
import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, multiple, rule

from groundwork import slot_readings as module
from groundwork.retiring import fold_in, retire
from groundwork.slot_readings import UNREADABLE, SlotsReader, read_slots, totals
from groundwork.slots import Slot
from tests.counts import count
from tests.groundwork.counted import HITS, worker


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
        lambda: fold_in(tmp_path, 1),
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
        fold_in(self.folder, number)
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
