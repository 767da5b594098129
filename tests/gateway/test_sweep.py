"""Taking over what dead workers left."""

import io
from pathlib import Path

import pytest

from gateway.sweep import RETIRE_SECONDS, Sweeper
from groundwork.clock import FakeClock
from groundwork.logs import Log
from groundwork.retired import read_retired
from groundwork.slot_readings import SlotReading, read_slots, totals
from groundwork.slots import Slot
from prediction_log.errors import SegmentError
from prediction_log.recovery import Taken


class Recovery:
    """Counts what it is asked to recover; fails while told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.fails = False

    def __call__(self, slot: SlotReading) -> Taken:
        """Recover a slot's three rows."""
        self.asked.append(slot.folder.name)
        if self.fails:
            raise SegmentError("no room")
        return Taken(rows=3)


def sweeper(folder: Path, recovery: Recovery, clock: FakeClock) -> Sweeper:
    """A sweeper whose log nobody reads."""
    return Sweeper(folder, recovery, clock, Log(io.StringIO(), clock), boot="now")


def dead_slot(folder: Path, boot: str = "now") -> int:
    """A slot that counted 5 before it died; its number."""
    slot = Slot.create(folder, place=0, boot=boot)
    slot.counters.values[slot.counters.series("seen_total", {})] += 5
    slot.close()
    return slot.incarnation


def seen(folder: Path) -> int:
    """The count over all slots."""
    return sum(value for key, value in totals(folder).items() if key.name == "seen_total")


def test_recovers_once_and_returns_the_newly_dead(tmp_path: Path) -> None:
    """Each dead slot is recovered by the first sweep that finds it, and told once; no living one is."""
    clock, recovery = FakeClock(), Recovery()
    living = Slot.create(tmp_path, place=1)
    number = dead_slot(tmp_path)
    sweeping = sweeper(tmp_path, recovery, clock)
    assert [reading.incarnation for reading in sweeping.sweep()] == [number]
    assert sweeping.sweep() == []
    assert recovery.asked == [str(number)]
    living.close()


def test_counters_stay_readable_for_a_while(tmp_path: Path) -> None:
    """A dead slot is folded only after the pilot has had time to see its last counts; sums never change."""
    clock = FakeClock()
    number = dead_slot(tmp_path)
    sweeping = sweeper(tmp_path, Recovery(), clock)
    sweeping.sweep()
    clock.advance(RETIRE_SECONDS - 1)
    sweeping.sweep()
    assert [slot.incarnation for slot in read_slots(tmp_path)] == [number]
    assert seen(tmp_path) == 5
    clock.advance(1)
    sweeping.sweep()
    assert read_slots(tmp_path) == []
    assert seen(tmp_path) == 5


def test_what_cannot_be_recovered_is_kept_and_tried_again(tmp_path: Path) -> None:
    """While the log cannot be written a dead slot is never folded away, and is tried at every sweep."""
    clock, recovery = FakeClock(), Recovery()
    number = dead_slot(tmp_path)
    sweeping = sweeper(tmp_path, recovery, clock)
    recovery.fails = True
    assert sweeping.sweep() == []
    clock.advance(RETIRE_SECONDS * 2)
    assert sweeping.sweep() == []
    assert [slot.incarnation for slot in read_slots(tmp_path)] == [number]
    recovery.fails = False
    assert [reading.incarnation for reading in sweeping.sweep()] == [number]
    assert recovery.asked == [str(number)] * 3


@pytest.mark.parametrize(("state", "kept"), [("whole", 5), ("torn", 0)])
def test_counters_of_a_past_boot_are_folded_at_once(tmp_path: Path, state: str, kept: int) -> None:
    """What can be read of them counts, what cannot holds nothing up; no judge ever sees either."""
    number = dead_slot(tmp_path, boot="before the power was cut")
    if state == "torn":
        table = tmp_path / str(number) / "counters"
        table.write_bytes(bytes(table.stat().st_size))
    sweeping = sweeper(tmp_path, Recovery(), FakeClock())
    assert [reading.incarnation for reading in sweeping.sweep()] == [number]
    assert read_slots(tmp_path) == []
    assert seen(tmp_path) == kept


@pytest.mark.parametrize(("boot", "event"), [("now", "slot-unreadable"), ("before", "slot-torn")])
def test_rows_that_are_lost_are_told(tmp_path: Path, boot: str, event: str) -> None:
    """Why a dead slot's rows are missing from the log is one line, and those that came another."""
    said = io.StringIO()
    dead_slot(tmp_path, boot)
    clock = FakeClock()
    Sweeper(tmp_path, lambda _: Taken(3, 2), clock, Log(said, clock), boot="now").sweep()
    lines = said.getvalue()
    assert f"{event} incarnation=1 lost_at_most=2" in lines
    assert "slot-recovered incarnation=1 rows=3" in lines


def test_one_damaged_slot_does_not_stop_the_sweep(tmp_path: Path) -> None:
    """A slot that cannot be folded is told; the others are swept."""
    clock = FakeClock()
    damaged, sound = dead_slot(tmp_path), dead_slot(tmp_path)
    (tmp_path / str(damaged) / "counters").write_bytes(b"")
    said = io.StringIO()
    sweeping = Sweeper(tmp_path, Recovery(), clock, Log(said, clock), boot="now")
    sweeping.sweep()
    clock.advance(RETIRE_SECONDS)
    sweeping.sweep()
    assert "slot-not-retired" in said.getvalue()
    assert sound not in [slot.incarnation for slot in read_slots(tmp_path)]
    assert damaged in [slot.incarnation for slot in read_slots(tmp_path)]


def test_the_log_is_brought_to_the_disk_at_every_sweep(tmp_path: Path) -> None:
    """Each sweep syncs once, and a disk that refuses stops no sweep."""
    synced: list[int] = []

    def sync() -> None:
        synced.append(1)
        raise OSError("no")

    said = io.StringIO()
    sweeper = Sweeper(tmp_path, lambda _: Taken(), FakeClock(), Log(said, FakeClock()), sync=sync)
    assert sweeper.sweep() == sweeper.sweep() == []
    assert len(synced) == 2
    assert "log-not-synced" in said.getvalue()


def counted(slot: Slot, version: str, by: int) -> None:
    """Count requests of a version of `m`."""
    index = slot.counters.series("requests_total", {"model": "m", "version": version, "outcome": "ok"})
    slot.counters.values[index] += by


def test_totals_of_versions_that_nobody_counts_are_bounded(tmp_path: Path) -> None:
    """Beyond the most series, versions that no living worker counts are summed; others keep their names."""
    clock = FakeClock()
    living = Slot.create(tmp_path, place=1)
    counted(living, "7", 1)
    dead = Slot.create(tmp_path, place=0, boot="before")
    for version in range(40):
        counted(dead, str(version), version)
    dead.close()
    before = sum(totals(tmp_path).values())
    sweeping = Sweeper(tmp_path, Recovery(), clock, Log(io.StringIO(), clock), boot="now", most_totals=10)
    sweeping.sweep()
    found = {dict(key.labels).get("version"): value for key, value in totals(tmp_path).items() if key.labels}
    assert found == {"7": 8, "unloaded": sum(range(40)) - 7}
    assert sum(totals(tmp_path).values()) == before
    assert len(read_retired(tmp_path).series) == 2
    living.close()


def test_totals_keep_their_names_while_nobody_lives_or_they_are_few(tmp_path: Path) -> None:
    """A start after a stop finds every version as it was: nobody knows yet what will be counted on."""
    clock = FakeClock()
    dead = Slot.create(tmp_path, place=0, boot="before")
    for version in range(40):
        counted(dead, str(version), 1)
    dead.close()
    Sweeper(tmp_path, Recovery(), clock, Log(io.StringIO(), clock), boot="now", most_totals=10).sweep()
    living = Slot.create(tmp_path, place=1)
    counted(living, "7", 1)
    Sweeper(tmp_path, Recovery(), clock, Log(io.StringIO(), clock), boot="now", most_totals=40).sweep()
    assert len(read_retired(tmp_path).series) == 40
    living.close()
