"""A power cut at every commit of monitor.db: offset and state agree, and reading on ends as without one."""

import contextlib
import shutil
from pathlib import Path
from typing import Any, Final

import pytest

from groundwork.clock import FakeClock
from monitor.pipeline import Pipeline, states
from monitor.store import open_store
from prediction_log.segment_sink import SegmentSink
from prediction_log.segment_source import SegmentSource
from prediction_log.transport import START, Offset
from tests.counts import count
from tests.monitor import worlds
from tests.power_cut import Disk

FRAMES: Final = count(24, 120)
TAILS: Final = count(2, 12)
ROUND: Final = 3
REGISTRY: Final = worlds.registry("1")


def story() -> list[tuple[Offset, bytes]]:
    """A log whose rows change half-way, with labels."""
    traffic, frames = worlds.Traffic(5), []
    for step in range(FRAMES // 2):
        bad = step > FRAMES // 4
        body, labels = traffic.predictions(40, shift=1.5 if bad else 0.0, wrong=0.6 if bad else 0.1)
        frames += [body, traffic.labels(labels)]
    return [(Offset(1, row), body) for row, body in enumerate(frames, 1)]


def _left(folder: Path, frames: list[tuple[Offset, bytes]]) -> dict[str, Any]:
    """Everything in the folder's monitor.db once it has read the frames that it had not."""
    with contextlib.closing(open_store(folder)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        pipeline = Pipeline(db, worlds.settings(), REGISTRY, worlds.IDS)
        pipeline.feed([(at, body) for at, body in frames if at > pipeline.offset])
        tables = ("incidents", "events", "deliveries", "predictions", "pairings")
        return states(pipeline) | {
            table: db.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608  ours
            for table in tables
        }


@pytest.mark.torture
def test_offset_and_state_agree_after_a_power_cut(tmp_path: Path) -> None:
    """However a checkpoint was torn, the monitor goes on from its offset and counts every frame once."""
    frames = story()
    (tmp_path / "whole").mkdir()
    wanted = _left(tmp_path / "whole", frames)
    (tmp_path / "running").mkdir()
    db = open_store(tmp_path / "running")
    db.execute("PRAGMA wal_autocheckpoint = 40")
    pipeline = Pipeline(db, worlds.settings(), REGISTRY, worlds.IDS)
    disk = Disk(tmp_path / "running" / "monitor.db")
    for start in range(0, len(frames), ROUND):
        pipeline.feed(frames[start : start + ROUND])
        disk.committed()
        for copy, acknowledged in disk.cuts(tmp_path / "cuts", TAILS):
            if acknowledged:
                assert _offset(copy.parent) == pipeline.offset
            assert _left(copy.parent, frames) == wanted
            shutil.rmtree(copy.parent)
    db.close()


def _offset(folder: Path) -> Offset:
    with contextlib.closing(open_store(folder)) as db:
        return Pipeline(db, worlds.settings(), REGISTRY, worlds.IDS).offset


def test_a_log_behind_the_monitor_s_offset_is_read_on(tmp_path: Path) -> None:
    """The log may lose its last commits in a power cut; what is written next is read, and nothing twice."""
    sink = SegmentSink(tmp_path / "log", clock=FakeClock(worlds.START), boot="before")
    traffic = worlds.Traffic(6)
    sink.write([traffic.predictions(4)[0] for _ in range(3)])
    sink.close()
    # The monitor had synced an offset that the log forgot.
    read = Offset(1, 5)
    again = SegmentSink(tmp_path / "log", clock=FakeClock(worlds.START), boot="after")
    again.write([traffic.predictions(4)[0]])
    again.close()
    with contextlib.closing(SegmentSource(tmp_path / "log")) as source:
        assert [at for at, _ in source.read(read, 100)] == [Offset(2, 1)]
        assert len(source.read(START, 100)) == 4
