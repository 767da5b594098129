"""What the slots of a folder hold now, and the sums over them and all that ever were.

Rules:
1. A look reads the folders first and retired.json second, and drops every folder named there: a slot is
   counted exactly once at every instant, and a total of counters never goes backwards.
2. A folder that vanishes while it is read was folded: retired.json, read afterwards, holds it.
3. A slot of a past boot may be torn: of each page of its mapped files an older state may be on the disk, or
   none. Counters only grow and names have checksums, so what can be read of them is true, if too low.
"""

import threading
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Final

import msgspec

from groundwork.errors import StoreError
from groundwork.files import lock_is_held
from groundwork.retired import Retired, read_retired
from groundwork.series import SeriesKey
from groundwork.series_table import SeriesTable, open_table
from groundwork.slots import read_place, slot_folders

UNREADABLE: Final = SeriesKey("driftgate_slots_unreadable", (), "gauge")
"""Appears in `totals`: slots whose counters could not be read, and are therefore missing from the sums."""


class SlotReading(msgspec.Struct, frozen=True):
    """What one look at a slot found; `fault` says why `series` is empty where it could not be read.

    `boot` is the boot it was made in (`groundwork.boot`); empty where nobody knows, or it is whole.
    """

    incarnation: int
    place: int
    alive: bool
    folder: Path
    series: dict[SeriesKey, int]
    fault: str = ""
    boot: str = ""


def read_slots(slots_folder: Path) -> list[SlotReading]:
    """Every slot standing now, by incarnation; those that vanish meanwhile or are folded are left out.

    Never raises for one slot's damage: its reading says so.
    """
    standing, _ = _finished(_looking(slots_folder))
    return standing


def totals(slots_folder: Path) -> dict[SeriesKey, int]:
    """The sum of every series: counters of all slots that ever were, gauges of the living.

    Counters never go backwards from one call to the next. StoreError when retired.json is damaged.
    """
    return _summed(*_finished(_looking(slots_folder)))


class SlotsReader:
    """Looks at the same slots over and over, for any thread: tables stay mapped, names are decoded once.

    A look costs some 60 µs per slot, where `read_slots` needs a millisecond for some hundred series.
    """

    def __init__(self, slots_folder: Path) -> None:
        self._slots_folder = slots_folder
        self._tables: dict[Path, SeriesTable] = {}
        self._looking = threading.Lock()

    def read(self) -> list[SlotReading]:
        """As `read_slots`."""
        return self._look()[0]

    def totals(self) -> dict[SeriesKey, int]:
        """As the function `totals`."""
        return _summed(*self._look())

    def close(self) -> None:
        """Let the tables go; another look maps them again."""
        with self._looking:
            for table in self._tables.values():
                table.close()
            self._tables.clear()

    def _look(self) -> "_Look":
        with self._looking:
            standing, retired = _finished(_looking(self._slots_folder, self._counters_of))
            for folder in self._tables.keys() - {reading.folder for reading in standing}:
                self._tables.pop(folder).close()
            return standing, retired

    def _counters_of(self, folder: Path) -> dict[SeriesKey, int]:
        table = self._tables.get(folder)
        if table is None:
            table = self._tables[folder] = open_table(folder / "counters")
        return table.read()


def counters_of(folder: Path) -> dict[SeriesKey, int]:
    """What the slot in this folder counted; StoreError where that cannot be read."""
    counters = open_table(folder / "counters")
    try:
        return counters.read()
    finally:
        counters.close()


_Look = tuple[list[SlotReading], Retired]


_CountersOf = Callable[[Path], dict[SeriesKey, int]]


def _looking(slots_folder: Path, counters_of: _CountersOf = counters_of) -> Generator[None, None, _Look]:
    """One look at all slots, in the order of rule 3; what happens meanwhile happens where it yields."""
    readings = []
    for folder in slot_folders(slots_folder):
        yield
        readings.append(_read_slot(folder, counters_of))
    yield
    retired = read_retired(slots_folder)
    found = [reading for reading in readings if reading is not None]
    return [reading for reading in found if not retired.includes(reading.incarnation)], retired


def _summed(standing: list[SlotReading], retired: Retired) -> dict[SeriesKey, int]:
    """The sums over one look."""
    sums = retired.sums()
    for reading in standing:
        for key, value in reading.series.items():
            if key.kind == "counter" or reading.alive:
                sums[key] = sums.get(key, 0) + value
    sums[UNREADABLE] = sum(1 for reading in standing if reading.fault)
    return sums


def _finished(look: Generator[None, None, _Look]) -> _Look:
    """What a look finds."""
    while True:
        try:
            next(look)
        except StopIteration as stop:
            found: _Look = stop.value
            return found


def _read_slot(folder: Path, counters_of: _CountersOf) -> SlotReading | None:
    """One slot as it is now; None when it vanished while it was read, or is no slot."""
    place, boot = -1, ""
    # Asked before the counters are read: what is read of a slot called dead is then final.
    alive = lock_is_held(folder / "lock")
    try:
        document = read_place(folder / "slot.json")
        place, boot = document.place, document.boot
        series, fault = counters_of(folder), ""
    except FileNotFoundError:
        if not folder.exists():
            return None
        series, fault = {}, f"{folder}: files are missing"
    except StoreError as error:
        series, fault = {}, str(error)
    return SlotReading(int(folder.name), place, alive, folder, series, fault, boot)
