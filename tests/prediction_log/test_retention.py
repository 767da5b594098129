"""Retention: oldest first, never the active segment, and never without saying so."""

from contextlib import closing
from pathlib import Path

import pytest

from groundwork.clock import FakeClock
from prediction_log import segment_file as files
from prediction_log.reading import Reader
from prediction_log.record import Kind
from prediction_log.retention import DAY_NS, Limits, drop_oldest, free_bytes
from prediction_log.segments import SegmentSink, SegmentSource
from prediction_log.transport import START
from tests.prediction_log import samples

ROOMY = Limits(max_bytes=1 << 40, max_age_ns=1 << 62, min_free_bytes=0)


def five_segments(folder: Path) -> SegmentSink:
    """A sink that has written one frame of 3 rows into each of five segments."""
    sink = SegmentSink(folder, segment_bytes=1, clock=FakeClock(0, 0.0))
    for index in range(5):
        sink.write([samples.make_frame(3 * index)])
    return sink


def losses(folder: Path) -> list[tuple[int, bytes, bytes]]:
    """(rows, reason, upto) of every loss frame in the log."""
    with closing(SegmentSource(folder)) as source:
        frames = [frame for _, frame in Reader(source, START).read(100) if frame.kind == Kind.LOSS]
    return [
        (int(frame.array("count")[0]), frame.strings("reason")[0], frame.strings("upto")[0])
        for frame in frames
    ]


def test_a_log_within_its_limits_is_left_alone(tmp_path: Path) -> None:
    """Nothing is dropped and nothing is noted; the disk is asked how much it has left."""
    sink = five_segments(tmp_path)
    assert drop_oldest(tmp_path, ROOMY, sink, FakeClock(DAY_NS, 0.0)) == []
    assert losses(tmp_path) == []
    assert free_bytes(tmp_path) > 0
    sink.close()


@pytest.mark.parametrize(
    ("limits", "dropped"),
    [
        (Limits(max_bytes=0, max_age_ns=1 << 62, min_free_bytes=0), [1, 2, 3, 4]),
        (Limits(max_bytes=1 << 40, max_age_ns=DAY_NS - 6, min_free_bytes=0), [1, 2]),
        (Limits(max_bytes=1 << 40, max_age_ns=1 << 62, min_free_bytes=103), [1, 2, 3]),
    ],
)
def test_each_limit_drops_the_oldest_and_says_so(tmp_path: Path, limits: Limits, dropped: list[int]) -> None:
    """Bytes, age and free disk drop whole segments; a loss frame tells how many rows and up to where."""
    sink = five_segments(tmp_path)
    files_at_first = 105 - len(files.numbers(tmp_path))

    def free(folder: Path) -> int:
        return files_at_first + 5 - len(files.numbers(folder))

    assert drop_oldest(tmp_path, limits, sink, FakeClock(DAY_NS, 0.0), free=free) == dropped
    assert [upto for _, _, upto in losses(tmp_path)] == [b"%06d:1" % number for number in dropped]
    assert {(rows, reason) for rows, reason, _ in losses(tmp_path)} == {(3, b"retention")}
    assert sink.write([samples.make_frame(12), samples.make_frame(15)]) == 1
    sink.close()


def test_an_empty_log_has_nothing_to_drop(tmp_path: Path) -> None:
    """Neither a folder without segments nor one with the active segment alone is touched."""
    sink = SegmentSink(tmp_path, clock=FakeClock(0, 0.0))
    nothing = Limits(max_bytes=0, max_age_ns=0, min_free_bytes=1 << 62)
    assert drop_oldest(tmp_path, nothing, sink, FakeClock(1, 0.0)) == []
    sink.write([samples.make_frame()])
    assert drop_oldest(tmp_path, nothing, sink, FakeClock(DAY_NS, 0.0)) == []
    sink.close()
