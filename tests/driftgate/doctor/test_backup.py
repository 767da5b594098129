"""Tests of driftgate.doctor.backup and .restore: a copy is a state that a crash could have left."""

import contextlib
import io
import os
import resource
import stat
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from driftgate.doctor.archive import CONTENTS
from driftgate.doctor.backup import backup
from driftgate.doctor.restore import UNFINISHED, restore
from driftgate.errors import CommandError
from groundwork import data_folder
from groundwork.clock import SystemClock
from groundwork.errors import DriftgateError, LockedError, NewerStoreError, StoreError
from groundwork.files import FolderLock
from groundwork.slot_readings import read_slots
from groundwork.slots import Slot
from prediction_log.frame import decode
from prediction_log.record import Kind
from prediction_log.recovery import recover_slot
from prediction_log.row_recovery import recover_buffers
from prediction_log.segment_sink import SegmentSink
from prediction_log.segment_source import SegmentSource
from prediction_log.snapshot import snapshot
from prediction_log.transport import START
from tests.disks import small_disk
from tests.driftgate.doctor import folders
from tests.driftgate.doctor.contents import contents
from tests.prediction_log import samples


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with something in every file."""
    folders.build(tmp_path / "data")
    return tmp_path / "data"


@pytest.mark.parametrize("name", ["backup.tar", "backup.tar.gz"])
def test_a_restored_folder_holds_what_was_backed_up(data: Path, tmp_path: Path, name: str) -> None:
    """Routes, history, log, monitor, slots and key come back the same, private, and nothing else does."""
    held = backup(data, tmp_path / name, SystemClock())
    assert restore(tmp_path / name, tmp_path / "again") == held
    assert contents(tmp_path / "again") == contents(data)
    files = [path for path in (tmp_path / "again").rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in [*files, tmp_path / name]} == {0o600}
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["again", "data", name])


def test_a_volume_that_is_mounted_is_filled(data: Path, tmp_path: Path) -> None:
    """An empty file system, which cannot be replaced, holds what was backed up, and no trace of how."""
    backup(data, tmp_path / "b.tar", SystemClock())
    with small_disk(tmp_path / "volume", 64) as volume:
        (volume / "lost+found").mkdir()
        restore(tmp_path / "b.tar", volume)
        assert contents(volume) == contents(data)
        assert not list(volume.glob(".*"))


def test_a_folder_that_is_there_is_filled_by_any_of_its_names(data: Path, tmp_path: Path) -> None:
    """An empty folder stays the one that it was, be it called `.` or by a link."""
    backup(data, tmp_path / "b.tar", SystemClock())
    (tmp_path / "empty").mkdir()
    was = (tmp_path / "empty").stat().st_ino
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    restore(tmp_path / "b.tar", tmp_path / "link")
    assert contents(tmp_path / "empty") == contents(data)
    assert (tmp_path / "empty").stat().st_ino == was
    (tmp_path / "here").mkdir()
    with contextlib.chdir(tmp_path / "here"):
        restore(tmp_path / "b.tar", Path())
    assert contents(tmp_path / "here") == contents(data)


def test_a_folder_in_use_is_not_filled(data: Path, tmp_path: Path) -> None:
    """Where a program holds the empty folder nothing is brought into it, and nothing is left beside."""
    backup(data, tmp_path / "b.tar", SystemClock())
    (tmp_path / "empty").mkdir()
    with FolderLock.acquire(tmp_path / "empty"), pytest.raises(LockedError, match="stop that one first"):
        restore(tmp_path / "b.tar", tmp_path / "empty")
    assert [path.name for path in (tmp_path / "empty").iterdir()] == ["lock"]


def test_a_restore_that_was_cut_is_refused_by_programs(tmp_path: Path) -> None:
    """The stamp of a folder that is being filled is that of no data folder, and says what to do."""
    (tmp_path / data_folder.NAME).write_bytes(UNFINISHED)
    with pytest.raises(StoreError, match=r"wanted a data folder of format 1 to 1, found 0; restore a copy"):
        data_folder.read_stamp(tmp_path)


def test_a_backup_is_taken_while_everything_is_written(data: Path, tmp_path: Path) -> None:
    """Rows appended before the backup begins are in it exactly once, however the worker goes on meanwhile."""
    stop = threading.Event()
    slot = Slot.create(data / "slots", place=0)
    file = samples.row_file(slot.folder, incarnation=slot.incarnation, row_capacity=64, arena_bytes=1024)
    sink = SegmentSink(data / "log", segment_bytes=400_000)
    told = [0]

    def work() -> None:
        while not stop.is_set():
            file.append(samples.columns(told[0], 3), 3)
            told[0] += 3
            if told[0] % 9 == 0 and file.swap():
                body = file.take()
                if body is not None:
                    sink.write([body])
                    file.release()
        sink.close()

    worker = threading.Thread(target=work)
    worker.start()
    try:
        for attempt in range(5):
            before = told[0]
            backup(data, tmp_path / f"{attempt}.tar", SystemClock())
            again = tmp_path / str(attempt)
            restore(tmp_path / f"{attempt}.tar", again)
            tokens = _recovered(again, slot.incarnation)
            assert len(tokens) == len(set(tokens))
            assert set(range(before)) <= set(tokens)
    finally:
        stop.set()
        worker.join()
        slot.close()


def _recovered(data: Path, incarnation: int) -> list[int]:
    """Times of one incarnation's rows once its slot is spooled."""
    sink, source = SegmentSink(data / "log"), SegmentSource(data / "log")
    for reading in read_slots(data / "slots"):
        assert not reading.alive
        recover_slot(reading.folder, sink, 0)
    frames = [decode(body) for _, body in source.read(START, 1_000_000)]
    sink.close()
    source.close()
    found: list[int] = []
    for frame in frames:
        if frame.kind == Kind.PREDICTION and frame.incarnation == incarnation:
            found += frame.array("time").tolist()
    return found


def test_a_snapshot_of_a_row_file_is_its_rows(tmp_path: Path) -> None:
    """A copy of a live row file gives the frames that the file itself would."""
    file = samples.row_file(tmp_path)
    file.append(samples.columns(0, 3), 3)
    file.swap()
    file.append(samples.columns(3, 2), 2)
    (tmp_path / "copy").write_bytes(snapshot(file.path))
    assert recover_buffers(tmp_path / "copy") == (samples.recovered(file.path), [])


def test_a_place_without_room_is_one_line_and_leaves_nothing(data: Path, tmp_path: Path) -> None:
    """A backup or a folder that the system does not let us write is refused by name."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    out = tmp_path / "backup.tar"
    backup(data, out, SystemClock())
    before = sorted(tmp_path.iterdir())
    with pytest.raises(CommandError, match=r"not-there.backup\.tar: cannot be written: No such file"):
        backup(data, tmp_path / "not-there" / "backup.tar", SystemClock())
    with pytest.raises(CommandError, match="again: cannot be written: File exists"):
        restore(out, out / "again")
    try:
        for most in (20_000, 100_000):  # neither a database has room nor, beside the first ones, the archive
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, limits[1]))
            with pytest.raises(CommandError, match=r"second\.tar: cannot be written: (File too l|No space)"):
                backup(data, tmp_path / "second.tar", SystemClock())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert sorted(tmp_path.iterdir()) == before


def test_a_backup_replaces_nothing(data: Path, tmp_path: Path) -> None:
    """Neither an existing backup nor a folder with files in it is written over."""
    backup(data, tmp_path / "b.tar", SystemClock())
    with pytest.raises(CommandError, match="is there already"):
        backup(data, tmp_path / "b.tar", SystemClock())
    with pytest.raises(CommandError, match="holds files already"):
        restore(tmp_path / "b.tar", data)
    with pytest.raises(CommandError, match="wanted a data folder"):
        backup(tmp_path / "nothing", tmp_path / "c.tar", SystemClock())


def _rewritten(change: Callable[[str, bytes], bytes | None]) -> Callable[[Path], None]:
    def rewrite(file: Path) -> None:
        made = io.BytesIO()
        with tarfile.open(file) as old, tarfile.open(fileobj=made, mode="w") as new:
            for member in old:
                content = old.extractfile(member)
                assert content is not None
                body = change(member.name, content.read())
                if body is not None:
                    member.size = len(body)
                    new.addfile(member, io.BytesIO(body))
        file.write_bytes(made.getvalue())

    return rewrite


def _newer(name: str, body: bytes) -> bytes:
    return msgspec.json.encode({**msgspec.json.decode(body), "format": 7}) if name == CONTENTS else body


def _with_stranger(file: Path) -> None:
    with tarfile.open(file, "a") as tar:
        tar.addfile(tarfile.TarInfo("../evil"), io.BytesIO())


DAMAGE: dict[str, tuple[Callable[[Path], None], type[DriftgateError], str]] = {
    "cut": (lambda file: os.truncate(file, file.stat().st_size // 2), StoreError, "backup"),
    "empty": (lambda file: os.truncate(file, 0), StoreError, "as a backup: it is no tar archive;"),
    "no list": (
        _rewritten(lambda name, body: None if name == CONTENTS else body),
        StoreError,
        "so it was cut",
    ),
    "changed": (
        _rewritten(lambda name, body: body[:-1] + b"x" if name == "id.key" else body),
        StoreError,
        "id.key is not what was backed up",
    ),
    "stranger": (_with_stranger, StoreError, "which no backup does"),
    "newer": (_rewritten(_newer), NewerStoreError, "format 1 or lower, found 7"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_backup_is_refused_whole(data: Path, tmp_path: Path, kind: str) -> None:
    """What is cut, changed, strange or newer is refused in one line, and no folder appears."""
    change, error, said = DAMAGE[kind]
    file = tmp_path / "b.tar"
    backup(data, file, SystemClock())
    change(file)
    with pytest.raises(error, match=said) as caught:
        restore(file, tmp_path / "again")
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.tar", "data"]


@pytest.mark.parametrize(
    ("made", "known"), [(None, ""), ("before the power was cut", "before the power was cut")]
)
def test_a_copied_slot_is_spooled_in_any_boot(
    data: Path, tmp_path: Path, made: str | None, known: str
) -> None:
    """A copy of a slot of this boot is whole, so it names none; of a torn one it says what the slot says."""
    slot = Slot.create(data / "slots", place=0, boot=made)
    slot.close()
    backup(data, tmp_path / "backup.tar", SystemClock())
    restore(tmp_path / "backup.tar", tmp_path / "again")
    (found,) = [
        reading
        for reading in read_slots(tmp_path / "again" / "slots")
        if reading.incarnation == slot.incarnation
    ]
    assert found.boot == known
