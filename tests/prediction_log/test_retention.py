"""Retention: oldest first, never the active segment, and never without saying so."""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from groundwork.clock import FakeClock
from groundwork.errors import NoRoomError
from prediction_log import segment_file as files
from prediction_log.errors import SegmentError
from prediction_log.reading import Reader
from prediction_log.record import Kind, Schema
from prediction_log.retention import DAY_NS, Limits, drop_oldest, free_bytes, keep_limits, log_bytes
from prediction_log.segment_sink import SegmentSink
from prediction_log.segment_source import SegmentSource
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


def test_a_segment_that_cannot_be_read_does_not_keep_the_log_from_its_limits(tmp_path: Path) -> None:
    """It is dropped in its turn, and the log says that at most so many rows are lost as others leave open."""
    sink = five_segments(tmp_path)
    files.segment_path(tmp_path, 1).write_bytes(b"not a database" * 1000)
    assert drop_oldest(tmp_path, ROOMY, sink, FakeClock(DAY_NS, 0.0)) == []
    tight = Limits(max_bytes=0, max_age_ns=1 << 62, min_free_bytes=0)
    assert drop_oldest(tmp_path, tight, sink, FakeClock(DAY_NS, 0.0)) == [1, 2, 3, 4]
    assert losses(tmp_path)[:2] == [(3, b"damaged, at most", b"000001:0"), (3, b"retention", b"000002:1")]
    sink.close()


def test_a_segment_that_is_only_newer_is_no_damage(tmp_path: Path) -> None:
    """What a later driftgate wrote is left to it."""
    sink = five_segments(tmp_path)
    with closing(files.open_segment(tmp_path, 1)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(SegmentError, match=r"cannot be read now: .*newer driftgate"):
        drop_oldest(tmp_path, Limits(max_bytes=0), sink, FakeClock(DAY_NS, 0.0))
    assert files.numbers(tmp_path)[0] == 1
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


class FullDisk(SegmentSink):
    """A sink whose disk is full while `folder` holds more than so many segments."""

    def __init__(self, folder: Path, most: int) -> None:
        super().__init__(folder, segment_bytes=1, clock=FakeClock(0, 0.0))
        self._watched = folder
        self._most = most

    def note(self, kind: int, schema: Schema, columns: Mapping[str, Any], *, rows: int) -> None:
        """As before, while there is room."""
        if len(files.numbers(self._watched)) > self._most:
            raise NoRoomError("the disk is full")
        super().note(kind, schema, columns, rows=rows)


def test_on_a_full_disk_the_file_makes_room_for_its_own_record(tmp_path: Path) -> None:
    """Where no loss frame fits, the oldest segment goes first and is told of afterwards."""
    five_segments(tmp_path).close()
    limits = Limits(max_bytes=0, max_age_ns=1 << 62, min_free_bytes=0)
    with closing(FullDisk(tmp_path, 4)) as sink:
        assert drop_oldest(tmp_path, limits, sink, FakeClock(DAY_NS, 0.0)) == [1, 2, 3, 4]
    assert [upto for _, _, upto in losses(tmp_path)] == [b"%06d:1" % number for number in (1, 2, 3, 4)]


def test_the_rows_of_a_quiet_gateway_leave_too(tmp_path: Path) -> None:
    """A segment that holds rows is sealed when it is an eighth of the greatest age old, whatever its size."""
    limits = Limits(max_bytes=1 << 40, max_age_ns=8 * DAY_NS, min_free_bytes=0)
    clock = FakeClock(0, 0.0)
    with closing(SegmentSink(tmp_path, clock=clock)) as sink:
        sink.write([samples.make_frame()])
        clock.advance(86_400)
        assert keep_limits(tmp_path, limits, sink, clock) == []
        assert files.numbers(tmp_path) == [1]
        clock.advance(1)
        assert keep_limits(tmp_path, limits, sink, clock) == []
        assert files.numbers(tmp_path) == [1, 2]
        clock.advance(2 * 86_400)
        assert keep_limits(tmp_path, limits, sink, clock) == []
        assert files.numbers(tmp_path) == [1, 2]
        clock.advance(6 * 86_400)
        assert keep_limits(tmp_path, limits, sink, clock) == [1]


def test_the_size_of_the_log_counts_what_lies_beside_it(tmp_path: Path) -> None:
    """Write-ahead logs are part of it; a folder that is not there holds nothing."""
    assert log_bytes(tmp_path / "none") == 0
    with closing(five_segments(tmp_path)):
        assert log_bytes(tmp_path) == sum(path.stat().st_size for path in tmp_path.iterdir())
