"""Retention: oldest first, never the active segment, and never without saying so."""

from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np
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
    clock = FakeClock(0, 0.0)
    sink = SegmentSink(folder, segment_bytes=1, clock=clock)
    for index in range(5):
        sink.write([samples.make_frame(3 * index)])
        clock.advance(3e-9)  # the rows' times are 0, 1, 2, …
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


class WrongClock(FakeClock):
    """A clock that is ahead of the time, or behind it (negative), by so many days."""

    days_ahead: float = 0.0

    def now(self) -> int:
        """Wall-clock time in unix nanoseconds."""
        return super().now() + round(self.days_ahead * DAY_NS)


EIGHT_DAYS = Limits(max_bytes=1 << 40, max_age_ns=8 * DAY_NS, min_free_bytes=0)
DAILY = 2
"""Rows that are written a day; a row's sequence says when."""
WRONG = range(3 * DAILY, 4 * DAILY)
"""Rows that are written while the clock is wrong, and nothing is looked after."""


def held(folder: Path) -> list[int]:
    """The sequences of all rows in the log, in its order."""
    with closing(SegmentSource(folder)) as source:
        found = [frame for _, frame in Reader(source, START).read(1000)]
    return [frame.first for frame in found if frame.kind == Kind.PREDICTION]


def ages_of_a_month(
    folder: Path, *, row_ahead: float = 0.0, clock_ahead: float = 0.0, boots: bool = False
) -> list[float]:
    """How old the oldest row was after each look; one is dated so many days ahead on day 2.

    On day 3 the clock is wrong by so many, in a boot of its own if `boots`. Only the oldest ever miss.
    """
    clock, ages = WrongClock(), []
    with ExitStack() as sinks:
        for now in range(20 * DAILY):
            clock.days_ahead = clock_ahead if now in WRONG else 0.0
            if now == 0 or (boots and now in {WRONG.start, WRONG.stop}):
                boot = str(now in WRONG)
                sink = sinks.enter_context(closing(SegmentSink(folder, clock=clock, boot=boot)))
            time = clock.now() + round(row_ahead * DAY_NS) * (now == 2 * DAILY)
            columns = samples.columns(now, 1) | {"time": np.array([time])}
            sink.write([samples.make_frame(now, 1, columns=columns)])
            if now not in WRONG:
                keep_limits(folder, EIGHT_DAYS, sink, clock)
            found = held(folder)
            assert found == list(range(found[0], now + 1))
            ages.append((now - found[0]) / DAILY)
            clock.advance(86_400 / DAILY)
    return ages[10 * DAILY :]


@pytest.mark.parametrize("row_ahead", [0, 2, 400])
@pytest.mark.parametrize(
    ("wrong", "early", "late"),
    [
        ({}, 0, 0),
        ({"clock_ahead": 2}, 0, 0),
        ({"clock_ahead": 400}, 0, 0),
        ({"clock_ahead": 400, "boots": True}, 0, 0),
        ({"clock_ahead": 2, "boots": True}, 0, 2),  # as much longer as the clock was ahead
        ({"clock_ahead": -2}, 0, 0),
        ({"clock_ahead": -400}, 0, 0),
        ({"clock_ahead": -400, "boots": True}, 1, 0),  # what has times of that day alone is as old as it says
    ],
)
def test_wrong_times_neither_keep_nor_drop_other_rows(
    tmp_path: Path, row_ahead: float, wrong: dict[str, Any], early: float, late: float
) -> None:
    """Rows leave when they are old, an eighth later at most, whatever times were written beside them."""
    ages = ages_of_a_month(tmp_path, row_ahead=row_ahead, **wrong)
    between_looks = 1.5
    assert 8 - early <= min(ages) <= max(ages) <= 9 + between_looks + late


def test_a_segment_that_cannot_be_read_grows_old_too(tmp_path: Path) -> None:
    """Its rows, and all that are behind it, leave when the next segment has been there for so long."""
    sink = five_segments(tmp_path)
    files.segment_path(tmp_path, 1).write_bytes(b"not a database" * 1000)
    (tmp_path / "000002.seg").write_bytes(b"not a database" * 1000)
    assert drop_oldest(tmp_path, EIGHT_DAYS, sink, FakeClock(8 * DAY_NS, 0.0)) == []
    assert drop_oldest(tmp_path, EIGHT_DAYS, sink, FakeClock(9 * DAY_NS, 0.0)) == [1, 2, 3, 4]
    sink.close()


def test_a_quiet_log_that_was_begun_by_a_clock_ahead_grows_old(tmp_path: Path) -> None:
    """Its segment is left even without rows, so that the next one tells how old those before it are."""
    clock = WrongClock()
    clock.days_ahead = 400
    with closing(SegmentSink(tmp_path, clock=clock)) as sink:
        sink.write([samples.make_frame(columns=samples.columns(0, 3) | {"time": np.full(3, clock.now())})])
        sink.rotate(older_than=clock.now() + 1)
        clock.days_ahead = 0
        assert keep_limits(tmp_path, EIGHT_DAYS, sink, clock) == []
        clock.advance(8 * 86_400)
        assert keep_limits(tmp_path, EIGHT_DAYS, sink, clock) == []
        clock.advance(1)
        assert keep_limits(tmp_path, EIGHT_DAYS, sink, clock) == [1, 2]


def test_the_size_of_the_log_counts_what_lies_beside_it(tmp_path: Path) -> None:
    """Write-ahead logs are part of it; a folder that is not there holds nothing."""
    assert log_bytes(tmp_path / "none") == 0
    with closing(five_segments(tmp_path)):
        assert log_bytes(tmp_path) == sum(path.stat().st_size for path in tmp_path.iterdir())
