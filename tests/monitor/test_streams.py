"""Streams: what was read is known by its sequences, wherever in the log it comes again."""

import contextlib
import io
import itertools
import shutil
from pathlib import Path
from typing import Final

import pytest

from groundwork.clock import FakeClock
from groundwork.database import transaction
from groundwork.logs import Log
from monitor import metrics
from monitor.evidence_out import EvidenceOut
from monitor.loop import Loop
from monitor.pipeline import Pipeline
from monitor.store import open_store
from monitor.streams import StreamEnds, resumed
from prediction_log.frame import Frame, decode
from prediction_log.memory import MemoryLog
from prediction_log.segment_sink import SegmentSink
from prediction_log.segment_source import SegmentSource
from prediction_log.transport import START, Offset
from rollouts.evidence import PairTotals
from rollouts.history import Entry
from tests.counts import count
from tests.monitor import worlds
from tests.power_cut import Disk

FLUSHES: Final = count(6, 40)
TAILS: Final = count(2, 12)
ROWS: Final = 5
REGISTRY: Final = worlds.registry("1")


class Quiet:
    """A rollouts store in which nothing happens."""

    def history(self, *_: object, **__: object) -> list[Entry]:
        """No rows."""
        return []

    def put_pairs(self, *totals: PairTotals) -> None:
        """Nobody asks."""

    def beat(self, name: str) -> None:
        """Nobody asks."""


def frame(first: int, rows: int = ROWS, *, stream: int = 1) -> Frame:
    """Predictions of sequences [first, first + rows)."""
    traffic = worlds.Traffic(first, stream=stream)
    traffic.sequence = first
    return decode(traffic.predictions(rows)[0])


def is_taken(ends: StreamEnds, frame: Frame) -> bool:
    """Whether the frame was new; from now on it is not."""
    known = ends.knows(frame)
    if not known:
        ends.take(frame, frame.rows)
    return not known


def read(data: Path) -> dict[str, int]:
    """What a monitor that is started on the folder, reads everything and ends has counted of predictions."""
    clock = FakeClock(worlds.START)
    with (
        contextlib.closing(open_store(data)) as db,
        contextlib.closing(SegmentSource(data / "log")) as source,
    ):
        pipeline = Pipeline(db, worlds.settings(), REGISTRY, worlds.IDS)
        loop = Loop(pipeline, source, Quiet(), EvidenceOut(Quiet(), clock), clock, Log(io.StringIO(), clock))
        while loop.round():
            pass
        of = {"model": worlds.MODEL, "version": "1", "kind": "prediction"}
        counts = pipeline.tally.counts
        return {
            "rows": counts.get(metrics.key(metrics.ROWS, **of), 0),
            "ledger": db.execute("SELECT count(*) FROM predictions").fetchone()[0],
            "again": counts.get(metrics.key(metrics.REPEATED), 0),
        }


@pytest.mark.torture
def test_a_row_that_a_power_cut_gives_back_is_counted_once(tmp_path: Path) -> None:
    """The monitor synced what the log then lost, at any commit; the slot gives it again, and more follows."""
    data, traffic = tmp_path / "data", worlds.Traffic(3)
    data.mkdir()
    sink = SegmentSink(data / "log", clock=FakeClock(worlds.START), boot="before")
    sink.sync()
    disk, frames = Disk(data / "log" / "000001.seg"), []
    for flush in range(FLUSHES):
        frames.append(traffic.predictions(ROWS)[0])
        sink.write([frames[-1]])
        disk.committed()
        assert read(data)["rows"] == (flush + 1) * ROWS
        for copy, _ in disk.cuts(tmp_path / "cuts", TAILS):
            later = worlds.Traffic(9)
            later.sequence = traffic.sequence
            assert _after_the_cut(copy.parent, data, frames, later) == (len(frames) + 1) * ROWS
            shutil.rmtree(copy.parent)
    sink.close()


def _after_the_cut(place: Path, before: Path, frames: list[bytes], later: worlds.Traffic) -> int:
    """Rows counted when the machine is up again: slots recovered, and one frame of somebody new."""
    log = place / "log"
    log.mkdir()
    for part in place.glob("000001.seg*"):
        part.rename(log / part.name)
    for part in before.glob("monitor.db*"):
        shutil.copyfile(part, place / part.name)
    with contextlib.closing(SegmentSink(log, clock=FakeClock(worlds.START), boot="after")) as again:
        for body in frames:
            again.write([body])  # what is in the log still is skipped there
        again.write([later.predictions(ROWS)[0]])
    found = read(place)
    assert found["ledger"] == found["rows"]
    return found["rows"]


@pytest.mark.parametrize("left", [0, 1, 2])
def test_a_log_that_begins_anew_is_read_from_its_beginning(tmp_path: Path, left: int) -> None:
    """Its row numbers come again below the offset: what is new is counted, what was read is not."""
    traffic = worlds.Traffic(4)
    frames = [traffic.predictions(ROWS)[0] for _ in range(5)]
    with contextlib.closing(SegmentSink(tmp_path / "log", clock=FakeClock(worlds.START))) as sink:
        sink.write(frames)
    assert read(tmp_path)["rows"] == 5 * ROWS
    shutil.rmtree(tmp_path / "log")
    with contextlib.closing(SegmentSink(tmp_path / "log", clock=FakeClock(worlds.START))) as sink:
        sink.write([*frames[:left], traffic.predictions(ROWS)[0]])
    found = read(tmp_path)
    assert (found["rows"], found["again"]) == (6 * ROWS, left * ROWS)


def test_a_failed_round_takes_nothing_as_read(tmp_path: Path) -> None:
    """What a rolled back round had read is new again, also to the next process."""
    with contextlib.closing(open_store(tmp_path)) as db:
        ends = StreamEnds(db)
        assert is_taken(ends, frame(0))
        assert not is_taken(ends, frame(0))
        assert not StreamEnds(db).knows(frame(0))
        with transaction(db):
            ends.save()
        again = StreamEnds(db)
        assert not is_taken(again, frame(0))
        assert is_taken(again, frame(ROWS))
        assert is_taken(again, frame(0, stream=2))


def test_of_a_frame_that_was_begun_the_taken_rows_are_known(tmp_path: Path) -> None:
    """After a restart too; another of the stream is begun at its first row, and none once it is whole."""
    with contextlib.closing(open_store(tmp_path)) as db:
        ends = StreamEnds(db)
        ends.take(frame(0), 3)
        assert StreamEnds(db).begun(frame(0)) == 0
        with transaction(db):
            ends.save()
        again = StreamEnds(db)
        assert (again.begun(frame(0)), again.begun(frame(ROWS)), again.begun(frame(0, stream=2))) == (3, 0, 0)
        assert not again.knows(frame(0))
        assert is_taken(again, frame(0))
        with transaction(db):
            again.save()
        assert db.execute("SELECT count(*) FROM begun").fetchone() == (0,)


def test_only_the_last_streams_are_remembered(tmp_path: Path) -> None:
    """The table is bounded; the stream that was not used for longest goes first."""
    with contextlib.closing(open_store(tmp_path)) as db:
        ends = StreamEnds(db, most=2)
        sequences = itertools.count(step=ROWS)
        for stream in (1, 2, 1, 3):
            assert is_taken(ends, frame(next(sequences), stream=stream))
        with transaction(db):
            ends.save()
        assert [row[0] for row in db.execute("SELECT stream FROM streams ORDER BY turn")] == [1, 3]
        assert not StreamEnds(db).knows(frame(ROWS, stream=2))  # forgotten


def test_where_a_log_is_read_on() -> None:
    """At the offset while the log reaches it; else where its rows may begin again."""
    log = MemoryLog()
    assert resumed(START, log) == START
    assert resumed(Offset(1, 3), log) == START
    traffic = worlds.Traffic(5)
    log.write([traffic.predictions(ROWS)[0] for _ in range(2)])
    assert resumed(Offset(1, 2), log) == Offset(1, 2)
    assert resumed(Offset(1, 3), log) == Offset(1, 0)
    assert resumed(Offset(7, 1), log) == log.first()
