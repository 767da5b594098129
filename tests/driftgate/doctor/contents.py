"""All that a data folder says, by the product's own readers: two folders that say the same are equal."""

import contextlib
from pathlib import Path
from typing import Any

from groundwork.clock import FakeClock
from groundwork.data_folder import read_stamp
from groundwork.slot_readings import read_slots, totals
from monitor.pipeline import Pipeline, states
from monitor.store import load_incidents, open_store
from prediction_log.frame import decode
from prediction_log.ids import load_key
from prediction_log.segment_source import SegmentSource
from prediction_log.transport import START
from rollouts.store import SqliteStore
from tests.monitor import worlds
from tests.prediction_log.samples import recovered


def contents(data: Path) -> dict[str, Any]:
    """Everything in it; opening brings every file forward to this version."""
    found: dict[str, Any] = {"stamp": read_stamp(data), "key": load_key(data)}
    with contextlib.closing(SqliteStore(data / "rollouts.db", FakeClock())) as store:
        found["routes"] = dict(store.routes())
        found["history"] = store.history()
        found["rollouts"] = store.rollouts()
        found["verified"] = store.verify()
    with contextlib.closing(SegmentSource(data / "log")) as source:
        frames = [(str(at), decode(body)) for at, body in source.read(START, 1_000_000)]
        found["log"] = [(at, frame.kind, frame.rows, frame.first, frame.end) for at, frame in frames]
    with contextlib.closing(open_store(data)) as db:
        pipeline = Pipeline(db, worlds.settings(data=str(data)), worlds.registry("1", "2"), worlds.IDS)
        found["monitor"] = states(pipeline)
        found["incidents"] = load_incidents(db)
        found["ledger"] = db.execute("SELECT * FROM predictions ORDER BY seq").fetchall()
    slots = read_slots(data / "slots")
    found["slots"] = [(slot.incarnation, slot.place, slot.alive, slot.fault) for slot in slots]
    found["rows"] = [recovered(path) for path in sorted((data / "slots").glob("*/*.rows"))]
    found["totals"] = totals(data / "slots")
    return found
