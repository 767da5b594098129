"""Tests of driftgate.doctor.repair."""

import contextlib
import os
import stat

import pytest

from driftgate.doctor.repair import repair
from groundwork.clock import FakeClock, SystemClock
from groundwork.errors import LockedError
from groundwork.files import FolderLock
from groundwork.slot_readings import read_slots, totals
from groundwork.slots import Slot
from prediction_log import damage
from prediction_log.frame import decode
from prediction_log.record import Kind
from prediction_log.segment_sink import SegmentSink
from prediction_log.segment_source import SegmentSource
from prediction_log.transport import START, Offset
from tests.driftgate.doctor import folders
from tests.driftgate.doctor.contents import contents
from tests.driftgate.doctor.patients import Patient, flip, make_newer
from tests.prediction_log import samples


def test_a_dead_worker_s_rows_are_spooled_once(patient: Patient) -> None:
    """--repair takes rows into the log; a second repair finds nothing to do."""
    lines = repair(patient.data, FakeClock(patient.now))
    assert f"spooled {folders.IN_SLOT} rows of slot 2 into the log" in lines
    assert repair(patient.data, FakeClock(patient.now)) == []
    assert patient.faults("slots") == []


def test_what_was_never_finished_is_removed(patient: Patient) -> None:
    """Hidden files and folders of killed programs go; nothing else does."""
    before = contents(patient.data)
    (patient.data / "slots" / ".new-9").mkdir()
    for name in (".rollouts.db.0123456789ab", "log/.000009.seg.0123456789ab-wal", "slots/2/.7.rows.new"):
        (patient.data / name).write_bytes(b"half")
    lines = repair(patient.data, FakeClock(patient.now))
    assert sum("never finished" in line for line in lines) == 4
    after = contents(patient.data)
    assert {key: after[key] for key in ("routes", "history", "monitor", "totals")} == {
        key: before[key] for key in ("routes", "history", "monitor", "totals")
    }


def test_ballast_and_modes_come_back(patient: Patient) -> None:
    """The ballast is taken again, and files are made private again."""
    (patient.data / "rollouts.ballast").unlink()
    (patient.data / "id.key").chmod(0o644)
    repair(patient.data, FakeClock(patient.now))
    assert (patient.data / "rollouts.ballast").stat().st_size > 0
    assert stat.S_IMODE((patient.data / "id.key").stat().st_mode) == 0o600


def test_cut_totals_begin_again(patient: Patient) -> None:
    """Totals that cannot be read are set aside, so that metrics can be shown again; the file is kept."""
    os.truncate(patient.data / "slots" / "retired.json", 3)
    repair(patient.data, FakeClock(patient.now))
    assert sum(v for k, v in totals(patient.data / "slots").items() if "hits" in k.name) == 7
    assert (patient.data / "slots" / "retired.json.damaged").exists()


@pytest.mark.parametrize("which", ["first", "last"])
def test_a_corrupt_segment_is_set_aside(patient: Patient, which: str) -> None:
    """Readers go on behind a segment that cannot be read, writers too, and no row number is given twice."""
    with contextlib.closing(SegmentSource(patient.data / "log")) as source:
        frames = source.read(START, 1_000)
        end = source.end()
    number = 1 if which == "first" else end.segment
    flip(patient.data / "log" / f"{number:06d}.seg")
    lines = repair(patient.data, FakeClock(patient.now))
    assert any("readers go on behind it" in line for line in lines)
    assert patient.faults("log") == []
    with contextlib.closing(SegmentSink(patient.data / "log", boot="b")) as sink:
        sink.write([samples.make_frame(incarnation=77)])
    with contextlib.closing(SegmentSource(patient.data / "log")) as source:
        left = source.read(START, 1_000)
        kept = [at for at, _ in frames if at.segment != number]
        assert [at for at, _ in left][: len(kept)] == kept
        assert source.end() > end
        assert source.read(Offset(number, end.row), 1_000)
    losses = [frame for frame in (decode(body) for _, body in left) if frame.kind == Kind.LOSS]
    (loss,) = [frame for frame in losses if frame.strings("reason")[0] in damage.REASONS]
    assert loss.strings("upto")[0] == str(Offset(number, 0)).encode()
    held = [decode(body) for at, body in frames if at.segment == number]
    rows, told = sum(frame.rows for frame in held if frame.incarnation), int(loss.array("count")[0])
    assert told >= rows if which == "first" else told <= rows
    assert repair(patient.data, FakeClock(patient.now)) == []
    assert (patient.data / "log" / f"{number:06d}.seg.damaged").exists()


def test_a_newer_segment_is_left_alone(patient: Patient) -> None:
    """What a later program wrote is not damaged, and is not set aside."""
    make_newer(patient.data / "log" / "000001.seg")
    repair(patient.data, FakeClock(patient.now))
    assert (patient.data / "log" / "000001.seg").exists()
    (fault,) = (fault for fault in patient.faults("log") if "000001" in fault.what)
    assert "newer" in fault.do


def test_a_slot_that_cannot_be_read_is_set_aside(patient: Patient) -> None:
    """A dead slot without readable counters keeps nobody from reading the others."""
    slot = Slot.create(patient.data / "slots", place=0)
    slot.close()
    os.truncate(slot.folder / "counters", 10)
    repair(patient.data, FakeClock(patient.now))
    assert slot.incarnation not in [reading.incarnation for reading in read_slots(patient.data / "slots")]


@pytest.mark.parametrize("lock", ["", "monitor.lock"])
def test_nothing_is_repaired_while_a_program_runs(patient: Patient, lock: str) -> None:
    """With the gateway or the monitor on the folder, repair is refused and changes nothing."""
    with FolderLock.acquire(patient.data / lock), pytest.raises(LockedError):
        repair(patient.data, SystemClock())
