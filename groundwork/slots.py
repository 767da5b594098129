"""Worker slots: one folder per worker incarnation, alive while its lock is held.

    slots/
      next              the next incarnation number, as text
      allocating.lock   held while a number is given out; retiring.lock while a slot is folded
      <incarnation>/    lock (held while the worker lives), slot.json (place, boot), counters, others' files
      retired.json      totals of the slots folded so far, and the ranges of incarnations they include

Rules:
1. An incarnation number is never given out twice in a folder: `next` is raised before the folder appears,
   and is never believed below what folders and retired.json have seen.
2. A slot appears whole: it is made under a hidden name, locked, filled, then renamed to its number.

Refuses to know: what is counted, what a worker does, what else lies in its folder; who reads it
(`groundwork.slot_readings`), and what becomes of a dead one (`groundwork.retiring`).
"""

import contextlib
import os
import shutil
from pathlib import Path
from typing import Final, Self

import msgspec

from groundwork.boot import boot_id, is_past
from groundwork.counters import Counters
from groundwork.errors import StoreError
from groundwork.files import FolderLock, waiting_for, write_atomic
from groundwork.retired import read_retired
from groundwork.versioned import Step, read_document

LARGEST: Final = 2**32 - 1
"""Incarnation numbers are u32; this one is the last."""
FORMAT: Final = 2
_STEPS: Final[tuple[Step, ...]] = (lambda document: {**document, "format": 2, "boot": ""},)


class Place(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The document slot.json: who made a slot, and in which boot."""

    incarnation: int
    place: int
    boot: str
    format: int = FORMAT


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
        with waiting_for(slots_folder / "allocating.lock"):
            _remove_leftovers(slots_folder)
            incarnation = _next_incarnation(slots_folder)
            hidden = slots_folder / f".new-{incarnation}"
            hidden.mkdir(mode=0o700)
            with contextlib.ExitStack() as undo:
                lock = FolderLock.acquire(hidden)
                undo.callback(lock.release)
                counters = Counters.create(hidden / "counters")
                undo.callback(counters.close)
                made = Place(incarnation, place, boot_id() if boot is None else boot)
                write_atomic(hidden / "slot.json", msgspec.json.encode(made))
                folder = hidden.rename(slots_folder / str(incarnation))
                undo.pop_all()
        return cls(incarnation, place, folder, lock, counters)

    def close(self) -> None:
        """Let go of the slot: from here on it is a dead one, and its counters stay where they are."""
        self.counters.close()
        self._lock.release()


def read_place(document: Path) -> Place:
    """The slot.json there; StoreError where it is damaged."""
    return read_document(document, Place, what="a slot", steps=_STEPS)


def whole(document: Path, now: str) -> bytes:
    """The slot.json for a copy of a slot, made in the boot `now`, of which no later power cut takes anything.

    StoreError where the one at `document` is damaged.
    """
    place = read_place(document)
    return msgspec.json.encode(place if is_past(place.boot, now) else msgspec.structs.replace(place, boot=""))


def slot_folders(slots_folder: Path) -> list[Path]:
    """The folders of slots, by incarnation."""
    try:
        names = [
            entry.name for entry in os.scandir(slots_folder) if entry.name.isdecimal() and entry.is_dir()
        ]
    except FileNotFoundError:
        return []
    return [slots_folder / name for name in sorted(names, key=int)]


def _next_incarnation(slots_folder: Path) -> int:
    """Take the next number, and have it on the disk that it is taken."""
    path = slots_folder / "next"
    try:
        promised = int(path.read_text("ascii"))
    except FileNotFoundError:
        promised = 1
    except ValueError as error:
        raise StoreError(f"{path}: wanted a number, found something else; restore a copy") from error
    seen = [int(folder.name) for folder in slot_folders(slots_folder)]
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
    for folder in slot_folders(slots_folder):
        if retired.includes(int(folder.name)):
            shutil.rmtree(folder, ignore_errors=True)  # whoever folds it now removes it too
