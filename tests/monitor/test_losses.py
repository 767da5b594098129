"""Losses that the log tells of, through a whole pipeline."""

from pathlib import Path

from groundwork.clock import FakeClock
from groundwork.slot_readings import SlotReading
from monitor import metrics
from monitor.pipeline import Pipeline
from monitor.store import open_store
from prediction_log.memory import MemoryLog
from prediction_log.recovery import take_over
from prediction_log.transport import START, Offset
from tests.monitor import worlds
from tests.monitor.worlds import Traffic, registry, retention
from tests.prediction_log import samples

REGISTRY = registry("1", "2")


def test_what_the_limits_dropped_is_no_loss_where_it_was_read(tmp_path: Path) -> None:
    """Rows that were dropped unread are told apart from those this monitor has, also across a restart."""
    traffic = Traffic()
    bodies = [traffic.predictions(10)[0] for _ in range(3)]
    db = open_store(tmp_path)
    Pipeline(db, worlds.settings(), REGISTRY, worlds.IDS).feed(
        [(Offset(1, 1), bodies[0]), (Offset(1, 2), bodies[1])]
    )
    pipeline = Pipeline(db, worlds.settings(), REGISTRY, worlds.IDS)
    dropped = [retention("000001:2", 20), retention("000002:7", 70), retention("nonsense", 1)]
    pipeline.feed([(Offset(3, row), body) for row, body in enumerate(dropped, 1)])
    counts = pipeline.tally.counts
    assert counts[metrics.key(metrics.DROPPED, read="yes")] == 20
    assert counts[metrics.key(metrics.DROPPED, read="no")] == 70
    assert not any(key.name == metrics.LOST for key in counts)
    db.close()


def test_a_damaged_segment_is_a_loss_as_far_as_it_was_not_read(tmp_path: Path) -> None:
    """The log's word for a segment set aside is counted once, and less what this monitor had read of it."""
    traffic = Traffic()
    db = open_store(tmp_path)
    Pipeline(db, worlds.settings(), REGISTRY, worlds.IDS).feed([(Offset(1, 1), traffic.predictions(10)[0])])
    pipeline = Pipeline(db, worlds.settings(), REGISTRY, worlds.IDS)
    told = retention("000001:0", 25, b"damaged")
    unknown = retention("000002:0", 7, b"damaged, at most")
    pipeline.feed([(Offset(3, row), body) for row, body in enumerate([told, told, unknown], 1)])
    counts = pipeline.tally.counts
    assert counts[metrics.key(metrics.DROPPED, read="yes")] == 10
    of = {"model": "", "version": "", "kind": "unknown"}
    assert counts[metrics.key(metrics.LOST, reason="damaged", **of)] == 15
    assert counts[metrics.key(metrics.LOST, reason="damaged, at most", **of)] == 7
    db.close()


def test_what_a_power_cut_took_is_a_loss_once(tmp_path: Path) -> None:
    """The loss frame of a torn slot is counted with its reason, and not again when it comes again."""
    samples.row_file(tmp_path / "slot", incarnation=7).append(samples.columns(0, 5), 5)
    slot = SlotReading(7, 0, alive=False, folder=tmp_path / "slot", series={}, boot="before")
    log = MemoryLog()
    take_over(slot, log, "after", FakeClock())
    ((_, told),) = log.read(START, 9)
    db = open_store(tmp_path)
    pipeline = Pipeline(db, worlds.settings(), REGISTRY, worlds.IDS)
    pipeline.feed([(Offset(1, 1), told), (Offset(1, 2), told)])
    of = {"model": "", "version": "", "kind": "prediction"}
    assert pipeline.tally.counts[metrics.key(metrics.LOST, reason="power cut, at most", **of)] == 5
    db.close()


def test_losses_of_any_size_are_counted(tmp_path: Path) -> None:
    """Whatever a loss says was lost, it is counted as far as a counter goes, and so are those after it."""
    db = open_store(tmp_path)
    pipeline = Pipeline(db, worlds.settings(), REGISTRY, worlds.IDS)
    for row in range(1, 4):
        pipeline.feed([(Offset(1, row), retention("000001:1", 2**64 - 1, b"full"))])
    series = metrics.key(metrics.LOST, model="", version="", kind="unknown", reason="full")
    assert pipeline.tally.counts[series] == 2**63 - 1
    db.close()
