"""Room for the slot of a worker that starts on a full disk: without a slot it could not answer at all.

A ballast beside the slots is as large as the slots of all workers. Its blocks are given up for a worker that
finds no room, and taken again by the supervisor when there is some.
"""

from pathlib import Path
from typing import Final

from groundwork.errors import NoRoomError
from groundwork.logs import Log
from groundwork.slots import Slot
from rollouts.ballast import Ballast

SLOT_BYTES: Final = 1_150_000
"""A table of counters, and some blocks for documents, locks and names."""


def ballast_of(data: Path, slots: int = 0) -> Ballast:
    """The ballast of a data folder, for so many slots."""
    return Ballast(data / "slots.ballast", slots * SLOT_BYTES)


def open_slot(data: Path, place: int, log: Log) -> Slot:
    """A new slot for the worker of this place; gives the ballast up where it must.

    NoRoomError where even that is not enough: the worker ends, and is started again after a while.
    """
    try:
        return Slot.create(data / "slots", place=place)
    except NoRoomError as error:
        if not ballast_of(data).release():
            raise
        log.warning("slot-ballast-given", fault=error)
        return Slot.create(data / "slots", place=place)
