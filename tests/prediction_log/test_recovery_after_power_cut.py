"""After a power cut a slot may be torn: nothing of it is believed but how far its numbers went."""

import contextlib
import logging
from pathlib import Path

import pytest

from groundwork.clock import FakeClock
from groundwork.slot_readings import SlotReading
from prediction_log.frame import Frame, decode
from prediction_log.memory import MemoryLog
from prediction_log.reading import Reader, lost_rows
from prediction_log.record import Kind
from prediction_log.recovery import POWER_CUT, Taken, take_over
from prediction_log.segment_sink import SegmentSink
from prediction_log.segment_source import SegmentSource
from prediction_log.transport import START, Sink
from tests.prediction_log import samples

PAGE = 4096


def dead(folder: Path, boot: str = "before") -> SlotReading:
    """The slot in this folder, of a boot, its worker dead."""
    return SlotReading(1, 0, alive=False, folder=folder, series={}, boot=boot)


def tear(path: Path) -> bytes:
    """Heads on the disk, columns not: what a power cut leaves of mapped pages. What it was before."""
    whole = path.read_bytes()
    half = len(whole) // 2
    torn = [part[:PAGE].ljust(half, b"\0") for part in (whole[:half], whole[half:])]
    path.write_bytes(b"".join(torn))
    return whole


def taken(slot: SlotReading, sink: Sink, boot: str = "after") -> Taken:
    """What becomes of the slot in this boot."""
    return take_over(slot, sink, boot, FakeClock())


def frames(log: MemoryLog) -> list[Frame]:
    """What the log holds."""
    return [frame for _, frame in Reader(log, START).read(100)]


def test_no_torn_row_enters_the_log_and_its_loss_does_once(tmp_path: Path) -> None:
    """Of three rows in the log and five in the slot, five are told as lost, however often it is tried."""
    log = MemoryLog()
    file = samples.row_file(tmp_path)
    file.append(samples.columns(0, 3), 3)
    file.swap()
    body = file.take()
    assert body is not None
    log.write([body])
    file.append(samples.columns(3, 5), 5)
    whole = tear(file.path)
    for lost in (5, 0):
        assert taken(dead(tmp_path), log) == Taken(lost=lost)
        assert list(tmp_path.iterdir()) == []
        file.path.write_bytes(whole)
    rows, loss = frames(log)
    assert (rows.kind, rows.rows, loss.kind, loss.first, loss.end) == (Kind.PREDICTION, 3, Kind.LOSS, 3, 8)
    assert loss.strings("reason").tolist() == [POWER_CUT]
    assert (loss.array("kind")[0], lost_rows(loss)) == (Kind.PREDICTION, 5)


@pytest.mark.parametrize(("made", "now"), [("one", "one"), ("", "one"), ("one", "")])
def test_a_slot_of_this_boot_is_spooled(tmp_path: Path, made: str, now: str) -> None:
    """A process that is killed tears nothing; where a machine does not name its boots, all are one."""
    log = MemoryLog()
    samples.row_file(tmp_path).append(samples.columns(0, 5), 5)
    assert taken(dead(tmp_path, made), log, now) == Taken(rows=5)
    assert [frame.kind for frame in frames(log)] == [Kind.PREDICTION]


def test_a_spilled_request_is_counted_too(tmp_path: Path) -> None:
    """Rows in a file of their own belong to their stream: two in the buffer, twelve spilled, one after."""
    log = MemoryLog()
    file = samples.row_file(tmp_path)
    file.append(samples.columns(0, 2), 2)
    file.append(samples.columns(2, 12), 12)
    file.append(samples.columns(14, 1), 1)
    assert len(list(tmp_path.iterdir())) == 2
    assert taken(dead(tmp_path), log) == Taken(lost=15)
    assert [(frame.kind, frame.first, frame.end) for frame in frames(log)] == [(Kind.LOSS, 0, 15)]
    assert list(tmp_path.iterdir()) == []


def test_a_file_without_any_head_is_kept_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where not even the heads reached the disk nothing is known, and nothing is made up."""
    log = MemoryLog()
    slot = tmp_path / "7"
    path = samples.row_file(slot).path
    path.write_bytes(bytes(path.stat().st_size))
    with caplog.at_level(logging.ERROR):
        assert taken(dead(slot), log) == Taken()
    assert list(slot.iterdir()) == []
    kept = tmp_path / "unreadable" / "7-1.rows.unreadable"
    assert kept.is_file()
    assert str(kept) in caplog.text
    assert frames(log) == []


def test_the_log_s_own_lost_commits_are_among_them(tmp_path: Path) -> None:
    """Rows that were in the log, but not on its disk, and not in the slot any more are counted as well."""
    file = samples.row_file(tmp_path / "slot")
    for first in (0, 3):
        file.append(samples.columns(first, 3), 3)
        file.swap()
        file.take()
        file.release()  # the log took it, and lost it again with the power
    file.append(samples.columns(6, 1), 1)
    with contextlib.closing(SegmentSink(tmp_path / "log", boot="after")) as sink:
        assert taken(dead(tmp_path / "slot"), sink) == Taken(lost=7)
        assert sink.reached(1, 1) == 7
    with contextlib.closing(SegmentSource(tmp_path / "log")) as source:
        assert [lost_rows(decode(body)) for _, body in source.read(START, 9)] == [7]
