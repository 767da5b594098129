"""Worker slots: one folder per worker incarnation, alive while its lock is held, folded away when it is dead.

    slots/
      next              the next incarnation number, as text
      allocating.lock   held while a number is given out; retiring.lock while a slot is folded
      <incarnation>/    lock (held while the worker lives), slot.json (place, boot), counters, others' files
      retired.json      totals of the slots folded so far, and the ranges of incarnations they include

Rules:
1. An incarnation number is never given out twice in a folder: `next` is raised before the folder appears,
   and is never believed below what folders and retired.json have seen.
2. A slot appears whole: it is made under a hidden name, locked, filled, then renamed to its number.
3. Folding a dead slot is two steps: retired.json, which names it, is replaced; then the folder is removed. A
   reader therefore reads the folders first and retired.json second, and drops every folder named there: a
   slot is counted exactly once at every instant, and a total of counters never goes backwards.
4. A folder that vanishes while it is read was folded: retired.json, read afterwards, holds it.
5. A slot of a past boot may be torn: of each page of its mapped files an older state may be on the disk, or
   none. Counters only grow and names have checksums, so what can be read of them is true, if too low.

Refuses to know: what is counted, what a worker does, what else lies in its folder. Whoever retires a slot has
first taken what it wanted from there.
"""

import contextlib
import fcntl
import os
import shutil
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Final, Self

import msgspec

from groundwork.boot import boot_id, is_past
from groundwork.counters import Counters
from groundwork.errors import LockedError, NewerStoreError, StoreError
from groundwork.files import FolderLock, lock_is_held, write_atomic
from groundwork.retired import Retired, read_retired, write_retired
from groundwork.series import SeriesKey
from groundwork.series_table import SeriesTable, open_table
from groundwork.versioned import Step, read_document

LARGEST: Final = 2**32 - 1
"""Incarnation numbers are u32; this one is the last."""
UNREADABLE: Final = SeriesKey("driftgate_slots_unreadable", (), "gauge")
"""Appears in `totals`: slots whose counters could not be read, and are therefore missing from the sums."""
_FORMAT: Final = 2
_STEPS: Final[tuple[Step, ...]] = (lambda document: {**document, "format": 2, "boot": ""},)


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


class _Place(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The document slot.json."""

    incarnation: int
    place: int
    boot: str
    format: int = _FORMAT


class Slot:
    """A worker's own slot: made at its start, held until `close` or death."""

    def __init__(
        self, incarnation: int, place: int, folder: Path, lock: FolderLock, counters: Counters
    ) -> None:
        self.incarnation = incarnation
        self.place = place
        self.folder = folder
        self.counters = counters
        self._lock = lock

    @classmethod
    def create(cls, slots_folder: Path, *, place: int, boot: str | None = None) -> Self:
        """Make the next slot, for the worker at this place (0, 1, …); about 1 MB, two synced writes.

        `boot` is the boot of now where left out.
        NoRoomError when the disk is full, StoreError when the folder's own files are damaged.
        """
        slots_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _waiting_for(slots_folder / "allocating.lock"):
            _remove_leftovers(slots_folder)
            incarnation = _next_incarnation(slots_folder)
            hidden = slots_folder / f".new-{incarnation}"
            hidden.mkdir(mode=0o700)
            with contextlib.ExitStack() as undo:
                lock = FolderLock.acquire(hidden)
                undo.callback(lock.release)
                counters = Counters.create(hidden / "counters")
                undo.callback(counters.close)
                made = _Place(incarnation, place, boot_id() if boot is None else boot)
                write_atomic(hidden / "slot.json", msgspec.json.encode(made))
                folder = hidden.rename(slots_folder / str(incarnation))
                undo.pop_all()
        return cls(incarnation, place, folder, lock, counters)

    def close(self) -> None:
        """Let go of the slot: from here on it is a dead one, and its counters stay where they are."""
        self.counters.close()
        self._lock.release()


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


def retire(slots_folder: Path, incarnation: int, *, torn: bool = False) -> None:
    """Fold a dead slot's counters into retired.json, then remove its folder; safe to repeat after any crash.

    LockedError when the slot is alive, StoreError when its counters cannot be read: it then stays, but for a
    `torn` one, of a past boot, which is folded with none.
    """
    with _waiting_for(slots_folder / "retiring.lock"):
        _fold_in(slots_folder, incarnation, torn=torn)
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(slots_folder / str(incarnation))


def gather(
    slots_folder: Path, stays: Callable[[SeriesKey], bool], into: Mapping[str, str], *, most: int
) -> int:
    """Bound retired.json: of more than `most` series sum those that do not stay; how many fewer it has.

    Each goes to the series with the labels of `into` in place of its own. StoreError where it is damaged.
    """
    with _waiting_for(slots_folder / "retiring.lock"):
        retired = read_retired(slots_folder)
        if len(retired.series) <= most:
            return 0
        fewer = retired.gathered(stays, into)
        saved = len(retired.series) - len(fewer.series)
        if saved:
            write_retired(slots_folder, fewer)
        return saved


def whole(document: Path, now: str) -> bytes:
    """The slot.json for a copy of a slot, made in the boot `now`, of which no later power cut takes anything.

    StoreError where the one at `document` is damaged.
    """
    place = read_document(document, _Place, what="a slot", steps=_STEPS)
    return msgspec.json.encode(place if is_past(place.boot, now) else msgspec.structs.replace(place, boot=""))


def _fold_in(slots_folder: Path, incarnation: int, *, torn: bool = False) -> None:
    """Have retired.json include this dead slot, if it does not yet."""
    retired = read_retired(slots_folder)
    if not retired.includes(incarnation):
        folder = slots_folder / str(incarnation)
        _check_dead(folder)
        try:
            found = _counters_of(folder)
        except (StoreError, FileNotFoundError) as error:
            if not torn or isinstance(error, NewerStoreError):
                raise
            found = {}
        write_retired(slots_folder, retired.with_slot(incarnation, found))


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


def _counters_of(folder: Path) -> dict[SeriesKey, int]:
    counters = open_table(folder / "counters")
    try:
        return counters.read()
    finally:
        counters.close()


_Look = tuple[list[SlotReading], Retired]


_CountersOf = Callable[[Path], dict[SeriesKey, int]]


def _looking(slots_folder: Path, counters_of: _CountersOf = _counters_of) -> Generator[None, None, _Look]:
    """One look at all slots, in the order of rule 3; what happens meanwhile happens where it yields."""
    readings = []
    for folder in _folders(slots_folder):
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
        document = read_document(folder / "slot.json", _Place, what="a slot", steps=_STEPS)
        place, boot = document.place, document.boot
        series, fault = counters_of(folder), ""
    except FileNotFoundError:
        if not folder.exists():
            return None
        series, fault = {}, f"{folder}: files are missing"
    except StoreError as error:
        series, fault = {}, str(error)
    return SlotReading(int(folder.name), place, alive, folder, series, fault, boot)


def _folders(slots_folder: Path) -> list[Path]:
    """The folders of slots, by incarnation."""
    try:
        names = [
            entry.name for entry in os.scandir(slots_folder) if entry.name.isdecimal() and entry.is_dir()
        ]
    except FileNotFoundError:
        return []
    return [slots_folder / name for name in sorted(names, key=int)]


def _check_dead(folder: Path) -> None:
    """A dead slot never lives again, so that asking once is enough."""
    if not folder.is_dir():
        raise StoreError(f"{folder}: wanted a slot to retire, found none")
    if lock_is_held(folder):
        raise LockedError(
            f"{folder}: wanted a dead slot to retire, found its worker alive; stop that one first"
        )


def _next_incarnation(slots_folder: Path) -> int:
    """Take the next number, and have it on the disk that it is taken."""
    path = slots_folder / "next"
    try:
        promised = int(path.read_text("ascii"))
    except FileNotFoundError:
        promised = 1
    except ValueError as error:
        raise StoreError(f"{path}: wanted a number, found something else; restore a copy") from error
    seen = [int(folder.name) for folder in _folders(slots_folder)]
    incarnation = max(promised, *(number + 1 for number in [0, read_retired(slots_folder).highest, *seen]))
    if incarnation > LARGEST:
        raise StoreError(
            f"{slots_folder}: every incarnation number up to {LARGEST} is used; begin a new data folder"
        )
    write_atomic(path, b"%d\n" % (incarnation + 1))
    return incarnation


def _remove_leftovers(slots_folder: Path) -> None:
    """Remove slots that were half made when their worker died, or half removed when they were folded."""
    for leftover in slots_folder.glob(".new-*"):
        shutil.rmtree(leftover)
    retired = read_retired(slots_folder)
    for folder in _folders(slots_folder):
        if retired.includes(int(folder.name)):
            shutil.rmtree(folder, ignore_errors=True)  # whoever folds it now removes it too


@contextlib.contextmanager
def _waiting_for(file: Path) -> Iterator[None]:
    """Hold this lock file, waiting for whoever has it: they need milliseconds, and their death frees it."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
