"""Segments as they are read, while others drop them or take them away."""

from contextlib import closing
from pathlib import Path

import pytest

from prediction_log import segment_file as files
from prediction_log.errors import SegmentError
from prediction_log.record import Kind
from prediction_log.segment_source import SegmentSource
from prediction_log.selecting import select
from prediction_log.transport import START, Offset
from tests.prediction_log import samples
from tests.prediction_log.conftest import Held
from tests.prediction_log.segmented import sink_of


def test_large_frames_are_read_a_few_at_a_time(tmp_path: Path, held: Held) -> None:
    """No further than the bytes that are to be read at once, over segments too; and none is left out."""
    sink, frames = sink_of(held, tmp_path, segment_bytes=1), [samples.make_frame(3 * one) for one in range(6)]
    for frame in frames:
        sink.write([frame])
    source = held(SegmentSource(tmp_path, 2 * len(frames[0]) - 1))
    found, at = [], START
    while batch := source.read(at, 100):
        found.append([body for _, body in batch])
        at = batch[-1][0]
    assert found == [frames[:2], frames[2:4], frames[4:]]


def test_a_reader_goes_on_behind_dropped_segments(tmp_path: Path, held: Held) -> None:
    """Where the segment at the offset is gone, reading resumes with the oldest that is there."""
    sink = sink_of(held, tmp_path, segment_bytes=1)
    for index in range(4):
        sink.write([samples.make_frame(3 * index)])
    sink.close()
    source = held(SegmentSource(tmp_path))
    read = source.read(START, 1)
    last = source.end().segment
    for number in files.numbers(tmp_path)[:-2]:
        files.segment_path(tmp_path, number).unlink()
    resumed = held(SegmentSource(tmp_path))
    assert resumed.first() == Offset(last - 1, 0)
    assert [offset.segment for offset, _ in resumed.read(read[0][0], 10)] == [last - 1, last]


@pytest.mark.parametrize("replaced", [True, False])
def test_a_log_that_is_taken_away_below_its_reader_is_an_error_once(
    tmp_path: Path,
    held: Held,
    replaced: bool,  # noqa: FBT001
) -> None:
    """What it had open would never grow; afterwards it reads what is there, also while nothing is."""
    with closing(sink_of(held, tmp_path)) as sink:
        sink.write([samples.make_frame(0)])
    source = held(SegmentSource(tmp_path))
    (read,) = source.read(START, 10)
    files.segment_path(tmp_path, 1).rename(tmp_path / "kept")
    if replaced:
        with closing(sink_of(held, tmp_path)) as sink:
            sink.write([samples.make_frame(3), samples.make_frame(6)])
    with pytest.raises(SegmentError, match=r"000001\.seg was (replaced|taken away)"):
        source.read(read[0], 10)
    assert [offset.row for offset, _ in source.read(START, 10)] == ([1, 2] if replaced else [])


def test_who_goes_through_the_log_passes_over_what_is_dropped_meanwhile(tmp_path: Path, held: Held) -> None:
    """Frames of segments that went after the look began are left out; it is no error."""
    sink = sink_of(held, tmp_path, segment_bytes=1)
    for first in (0, 3, 6):
        sink.write([samples.make_frame(first)])
    frames = select(tmp_path, "loan", Kind.PREDICTION)
    assert next(frames).first == 0
    files.segment_path(tmp_path, 2).unlink()
    assert [frame.first for frame in frames] == [6]
