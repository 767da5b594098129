"""Slots of workers that have counted."""

from pathlib import Path

from groundwork.series import SeriesKey
from groundwork.slots import Slot

HITS = SeriesKey("hits_total", ())
DEPTH = SeriesKey("depth", (), "gauge")


def worker(folder: Path, *, hits: int, depth: int = 0, place: int = 0) -> Slot:
    """A slot that has counted."""
    slot = Slot.create(folder, place=place)
    slot.counters.values[slot.counters.series("hits_total", {})] += hits
    slot.counters.values[slot.counters.series("depth", {}, kind="gauge")] = depth
    return slot
