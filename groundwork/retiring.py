"""Folding dead slots away: their counters go into retired.json, their folders go.

Folding is two steps: retired.json, which names the slot, is replaced; then the folder is removed. Readers
(`groundwork.slot_readings`) leave out a folder that is named there. Whoever retires a slot has first
taken what it wanted from there.
"""

import contextlib
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from groundwork.errors import LockedError, NewerStoreError, StoreError
from groundwork.files import lock_is_held, waiting_for
from groundwork.retired import read_retired, write_retired
from groundwork.series import SeriesKey
from groundwork.slot_readings import counters_of


def retire(slots_folder: Path, incarnation: int, *, torn: bool = False) -> None:
    """Fold a dead slot's counters into retired.json, then remove its folder; safe to repeat after any crash.

    LockedError when the slot is alive, StoreError when its counters cannot be read: it then stays, but for a
    `torn` one, of a past boot, which is folded with none.
    """
    with waiting_for(slots_folder / "retiring.lock"):
        fold_in(slots_folder, incarnation, torn=torn)
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(slots_folder / str(incarnation))


def gather(
    slots_folder: Path, stays: Callable[[SeriesKey], bool], into: Mapping[str, str], *, most: int
) -> int:
    """Bound retired.json: of more than `most` series sum those that do not stay; how many fewer it has.

    Each goes to the series with the labels of `into` in place of its own. StoreError where it is damaged.
    """
    with waiting_for(slots_folder / "retiring.lock"):
        retired = read_retired(slots_folder)
        if len(retired.series) <= most:
            return 0
        fewer = retired.gathered(stays, into)
        saved = len(retired.series) - len(fewer.series)
        if saved:
            write_retired(slots_folder, fewer)
        return saved


def fold_in(slots_folder: Path, incarnation: int, *, torn: bool = False) -> None:
    """Have retired.json include this dead slot, if it does not yet."""
    retired = read_retired(slots_folder)
    if not retired.includes(incarnation):
        folder = slots_folder / str(incarnation)
        _check_dead(folder)
        try:
            found = counters_of(folder)
        except (StoreError, FileNotFoundError) as error:
            if not torn or isinstance(error, NewerStoreError):
                raise
            found = {}
        write_retired(slots_folder, retired.with_slot(incarnation, found))


def _check_dead(folder: Path) -> None:
    """A dead slot never lives again, so that asking once is enough."""
    if not folder.is_dir():
        raise StoreError(f"{folder}: wanted a slot to retire, found none")
    if lock_is_held(folder):
        raise LockedError(
            f"{folder}: wanted a dead slot to retire, found its worker alive; stop that one first"
        )
