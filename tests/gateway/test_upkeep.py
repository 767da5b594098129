"""The supervisor's care for the log."""

import asyncio
import threading
from pathlib import Path

import pytest

from gateway.log_settings import LogSettings
from gateway.metrics import DISK_FLOOR, DISK_FREE, LOG_BYTES, disk
from gateway.settings import GatewaySettings, checked
from gateway.upkeep import Upkeep, limits_of
from groundwork.clock import FakeClock
from groundwork.errors import SettingsError
from groundwork.logs import Log
from prediction_log import segment_file
from prediction_log.retention import DAY_NS, log_bytes
from prediction_log.segment_sink import SegmentSink
from tests.facts import until
from tests.gateway.worlds import Lines
from tests.prediction_log.samples import make_frame

SMALL = LogSettings(segment_bytes=1, max_bytes=2, min_free_bytes=0, reserve_bytes=0)


def test_a_log_beyond_its_limits_is_cut_and_that_is_said(tmp_path: Path) -> None:
    """One look drops what is too much, down to the segment that is written to."""
    lines, clock = Lines(), FakeClock()
    sink = SegmentSink(tmp_path, segment_bytes=1, clock=clock)
    for first in (0, 3, 6):
        sink.write([make_frame(first)])
    sink.close()
    upkeep = Upkeep(tmp_path, SMALL, clock, Log(lines, clock))
    upkeep.look()
    upkeep.close()
    assert segment_file.numbers(tmp_path) == [3]
    assert sum("log-segment-dropped" in line for line in lines.written) == 2


class SettableClock(FakeClock):
    """A clock whose wall reading can be set, as a machine's can."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead = 0

    def now(self) -> int:
        """Wall-clock time in unix nanoseconds."""
        return super().now() + self.ahead


def test_a_clock_that_was_set_makes_nothing_old(tmp_path: Path) -> None:
    """Segments leave for their age only when the clock has stood as it is for an hour."""
    lines, clock = Lines(), SettableClock()
    sink = SegmentSink(tmp_path, segment_bytes=1, clock=clock)
    for first in (0, 3, 6):
        sink.write([make_frame(first)])
    sink.close()
    settings = LogSettings(segment_bytes=1, max_age=86_400.0, min_free_bytes=0, reserve_bytes=0)
    upkeep = Upkeep(tmp_path, settings, clock, Log(lines, clock))
    clock.ahead = 30 * DAY_NS
    upkeep.look()
    clock.advance(3_599)
    upkeep.look()
    kept = segment_file.numbers(tmp_path)
    clock.advance(2)
    upkeep.look()
    upkeep.close()
    assert kept == [1, 2, 3]
    assert 1 not in segment_file.numbers(tmp_path)
    assert sum("clock-set" in line for line in lines.written) == 1


def test_a_log_that_grows_steadily_stays_below_its_size(tmp_path: Path) -> None:
    """What is written between two looks has room below the limit, not above it."""
    clock = FakeClock()
    sink = SegmentSink(tmp_path, segment_bytes=1, clock=clock)
    sink.write([make_frame(0)])
    most = 20 * log_bytes(tmp_path)
    settings = LogSettings(segment_bytes=1, max_bytes=most, min_free_bytes=0, reserve_bytes=0)
    upkeep = Upkeep(tmp_path, settings, clock, Log(Lines(), clock))
    sizes = []
    for at in range(1, 40):
        sink.write([make_frame(3 * at)])
        sizes.append(log_bytes(tmp_path))
        upkeep.look()
    upkeep.close()
    sink.close()
    assert most // 2 < max(sizes) <= most


def test_a_log_that_cannot_be_kept_is_told_once(tmp_path: Path) -> None:
    """What fails is said when it begins, not at every look, and harms nobody."""
    (tmp_path / "000001.seg").write_bytes(b"no segment")
    lines, clock = Lines(), FakeClock()
    upkeep = Upkeep(tmp_path, SMALL, clock, Log(lines, clock))
    for _ in range(3):
        upkeep.look()
    upkeep.close()
    assert sum("log-not-kept" in line for line in lines.written) == 1


async def test_what_nobody_foresaw_ends_no_upkeep(tmp_path: Path) -> None:
    """It is told, and the log is kept within its limits by a later look."""

    class Broken(FakeClock):
        """A clock that cannot be read once."""

        broken = False

        def now(self) -> int:
            """Wall-clock time in unix nanoseconds."""
            if self.broken:
                self.broken = False
                raise RuntimeError("nobody foresaw this")
            return super().now()

    lines, clock = Lines(), Broken()
    sink = SegmentSink(tmp_path, segment_bytes=1, clock=clock)
    for first in (0, 3, 6):
        sink.write([make_frame(first)])
    sink.close()
    upkeep = Upkeep(tmp_path, SMALL, clock, Log(lines, FakeClock()))
    clock.broken = True
    keeping = asyncio.create_task(upkeep.run())
    await until(lambda: segment_file.numbers(tmp_path) == [3], "the log is cut")
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    upkeep.close()
    assert sum("nobody foresaw this" in line for line in lines.written) == 1


def test_closing_waits_for_a_look(tmp_path: Path) -> None:
    """The file is let go when the look that uses it has ended, and not before."""
    begun, go, closed = threading.Event(), threading.Event(), threading.Event()

    class Slow(Lines):
        """A log whose lines take as long as they are let."""

        def write(self, text: str, /) -> object:
            """Wait in the middle of a look."""
            begun.set()
            assert go.wait(10)
            return super().write(text)

    clock = FakeClock()
    sink = SegmentSink(tmp_path, segment_bytes=1, clock=clock)
    for first in (0, 3, 6):
        sink.write([make_frame(first)])
    sink.close()
    upkeep = Upkeep(tmp_path, SMALL, clock, Log(Slow(), clock))

    def close() -> None:
        upkeep.close()
        closed.set()

    looking, closing = threading.Thread(target=upkeep.look), threading.Thread(target=close)
    looking.start()
    assert begun.wait(10)
    closing.start()
    assert not closed.wait(0.05)
    go.set()
    looking.join()
    closing.join()
    assert closed.is_set()


def test_no_greatest_age_is_never() -> None:
    """An age of 0 drops nothing for its age."""
    assert limits_of(LogSettings(max_age=0.0)).max_age_ns > 10**18
    assert limits_of(LogSettings(max_age=1.0)).max_age_ns == 10**9


@pytest.mark.parametrize(
    ("log", "named"),
    [
        (LogSettings(segment_bytes=1 << 20, max_bytes=1 << 20), "log.max_bytes"),
        (LogSettings(min_free_bytes=1, reserve_bytes=2), "log.reserve_bytes"),
    ],
)
def test_limits_that_contradict_each_other_are_refused(log: LogSettings, named: str) -> None:
    """A limit that could not be kept is an error which names the setting."""
    with pytest.raises(SettingsError, match=named):
        checked(GatewaySettings(log=log))


def test_the_room_left_is_measured_when_it_is_asked_for(tmp_path: Path) -> None:
    """The log's size, the disk's room and the floor are gauges."""
    found = {key.name: value for key, value in disk(tmp_path, 17).items()}
    assert found[LOG_BYTES] == 0
    assert found[DISK_FREE] > 0
    assert found[DISK_FLOOR] == 17
