"""How much of the log lies behind a reader."""

from pathlib import Path

import pytest

from groundwork.clock import FakeClock
from prediction_log import segment_file as files
from prediction_log.backlog import Backlog, Behind
from prediction_log.segment_sink import SegmentSink
from prediction_log.segment_source import SegmentSource
from prediction_log.transport import START, Offset
from tests.prediction_log import samples
from tests.prediction_log.conftest import Held

ROWS = 4


@pytest.fixture
def sizes(tmp_path: Path, held: Held) -> list[int]:
    """A log of five frames in three segments; the size of each frame."""
    sink = held(SegmentSink(tmp_path, segment_bytes=1 << 20, clock=FakeClock()))
    bodies = [samples.make_frame(number * ROWS, ROWS) for number in range(5)]
    for number, body in enumerate(bodies):
        sink.write([body])
        if number in {1, 3}:
            sink.rotate(older_than=2**62)
    return [len(body) for body in bodies]


def test_what_lies_behind_is_counted_from_any_offset(tmp_path: Path, held: Held, sizes: list[int]) -> None:
    """After each frame in turn there are as many frames, rows and bytes as were written after it."""
    backlog = Backlog(tmp_path)
    source = held(SegmentSource(tmp_path))
    places = [START, *(offset for offset, _ in source.read(START, 10))]
    for read, place in enumerate(places):
        left = len(sizes) - read
        oldest = read * ROWS if left else None
        assert backlog.look(place) == Behind(left, left * ROWS, sum(sizes[read:]), oldest)


def test_a_sealed_segment_is_read_once(tmp_path: Path, sizes: list[int]) -> None:
    """What cannot change any more is remembered, and forgotten when its file is gone."""
    backlog = Backlog(tmp_path)
    assert backlog.look(START).frames == len(sizes)
    files.segment_path(tmp_path, 2).write_bytes(b"nobody reads this")
    assert backlog.look(START).frames == len(sizes)
    files.segment_path(tmp_path, 2).unlink()
    assert backlog.look(START).frames == len(sizes) - 2


def test_the_age_is_the_oldest_rows_and_never_negative() -> None:
    """It is told in seconds; nothing behind is no age, nor is a record time to come."""
    assert Behind(1, 1, 1, 2_000_000_000).seconds(5_500_000_000) == 3.5
    assert Behind(1, 1, 1, 9_000_000_000).seconds(5_500_000_000) == 0.0
    assert Behind().seconds(5_500_000_000) == 0.0


def test_an_empty_log_has_nothing_behind(tmp_path: Path) -> None:
    """Neither a folder that is not there nor an offset beyond the end is an error."""
    assert Backlog(tmp_path / "none").look(START) == Behind()
    assert Backlog(tmp_path).look(Offset(9, 9)) == Behind()
