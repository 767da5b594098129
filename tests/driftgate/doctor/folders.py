"""A data folder with something in every file, as programs leave it that were killed.

What stands in it is written out in `FACTS`, so that a folder made by an old release can be held against it.
"""

import contextlib
from pathlib import Path
from typing import Final

from groundwork.clock import FakeClock
from groundwork.data_folder import claim
from groundwork.retiring import retire
from groundwork.slots import Slot
from monitor.pipeline import Pipeline
from monitor.store import open_store
from prediction_log.ids import load_key
from prediction_log.segment_sink import SegmentSink
from prediction_log.segment_source import SegmentSource
from prediction_log.transport import START
from rollouts import edits
from rollouts.history import Entry
from rollouts.store import SqliteStore
from tests.monitor import worlds
from tests.prediction_log import samples

LOGGED: Final = 15
"""Prediction rows in the log."""
IN_SLOT: Final = 4
"""Rows in the slot of the dead worker."""
HITS: Final = 12
"""driftgate_test_hits_total over all incarnations."""
MODEL: Final = worlds.MODEL
NOW: Final = worlds.START


def build(data: Path) -> None:
    """Make the folder.

    Routes with history; ten frames of log in five segments; a monitor that has read six of them; one
    folded slot, and one dead slot with rows.
    """
    data.mkdir(mode=0o700, parents=True)
    claim(data)
    load_key(data)
    clock = FakeClock(NOW)
    _routes(data, clock)
    _log(data, clock)
    _monitor(data)
    _slots(data)


def _routes(data: Path, clock: FakeClock) -> None:
    with contextlib.closing(SqliteStore(data / "rollouts.db", clock)) as store:
        route = store.ensure_first(MODEL, "1", "gateway")
        clock.advance(1.0)
        route = edits.start(route, "2", weight=2**28, salt="s")
        store.edit(MODEL, 1, route, Entry(actor="operator:ann", verb="start", reason="try 2"))
        clock.advance(1.0)
        store.edit(MODEL, 2, edits.abort(route), Entry(actor="operator:ann", verb="abort", reason="no"))


def _log(data: Path, clock: FakeClock) -> None:
    traffic = worlds.Traffic(1)
    with contextlib.closing(SegmentSink(data / "log", segment_bytes=1, clock=clock, boot="b")) as sink:
        for _ in range(5):
            body, labels = traffic.predictions(3)
            sink.write([body, traffic.labels(labels)])


def _monitor(data: Path) -> None:
    source = SegmentSource(data / "log")
    with contextlib.closing(open_store(data)) as db, contextlib.closing(source):
        Pipeline(db, worlds.settings(data=str(data)), worlds.registry("1", "2"), worlds.IDS).feed(
            source.read(START, 6)
        )


def _slots(data: Path) -> None:
    slots = data / "slots"
    for place, hits in ((0, 5), (1, 7)):
        slot = Slot.create(slots, place=place)
        slot.counters.values[slot.counters.series("driftgate_test_hits_total", {"model": MODEL})] += hits
        if place:
            file = samples.row_file(slot.folder, incarnation=slot.incarnation)
            file.append(samples.columns(1, IN_SLOT), IN_SLOT)
        slot.close()
        if not place:
            retire(slots, slot.incarnation)
