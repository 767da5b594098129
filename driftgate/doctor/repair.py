"""What can be put right without losing anything: each step says what it did, and removes nothing of value.

Rules: the folder's locks are held meanwhile, so no program is using it (else LockedError). What cannot be
read is renamed to `*.damaged`, never deleted, and only where something goes on without it. A file of a newer
driftgate is left alone. Repeating a repair, or killing it, does no harm.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from driftgate.doctor.finding import one_line
from driftgate.doctor.state import database_fault
from driftgate.errors import CommandError
from driftgate.ring_folder import remove_dead
from groundwork import data_folder
from groundwork.boot import boot_id, is_past
from groundwork.clock import Clock
from groundwork.errors import DriftgateError, NewerStoreError, StoreError
from groundwork.files import FolderLock, sync_folder
from groundwork.retired import read_retired
from groundwork.slot_readings import read_slots
from monitor.store import LOCK as MONITOR_LOCK
from prediction_log import damage, segment_file
from prediction_log.record import Kind, loss_schema
from prediction_log.recovery import take_over
from prediction_log.segment_sink import SegmentSink
from rollouts.ballast import Ballast

DAMAGED: Final = ".damaged"
# On its way there: out of the log, and its loss not told yet.
_OPEN: Final = ".untold"
_NEWEST: Final = ".untold-newest"
PRIVATE: Final = 0o600


def repair(data: Path, clock: Clock) -> list[str]:
    """Put right what can be; a line for each thing done. LockedError while a program uses the folder."""
    if not data.is_dir():
        raise CommandError(f"{data}: wanted a data folder, found none; nothing to repair")
    data_folder.read_stamp(data)
    with FolderLock.acquire(data), FolderLock.acquire(data / MONITOR_LOCK):
        data_folder.claim(data)
        return [line for step in STEPS for line in step(data, clock)]


def _leftovers(data: Path, _: Clock) -> Iterator[str]:
    """Files and folders that a killed program was still making; they were never part of anything."""
    hidden = [".new-*", ".*.new", ".folder.json.*", ".retired.json.*", ".next.*", ".id.key.*"]
    hidden += [f".{name}.????????????*" for name in ("rollouts.db", "monitor.db", "*.seg")]
    for place in (data, data / "log", data / "slots", *(data / "slots").glob("[0-9]*")):
        for path in sorted({found for pattern in hidden for found in place.glob(pattern)}):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
            yield f"removed {path}, which was never finished"
    yield from (f"removed {path}, which a killed `up` left" for path in remove_dead(data))


def _retired(data: Path, _: Clock) -> Iterator[str]:
    slots = data / "slots"
    try:
        read_retired(slots)
    except NewerStoreError:
        raise
    except StoreError as error:
        aside = _set_aside(slots / "retired.json")
        yield f"set {aside} aside: {one_line(error)}; totals of folded slots begin again"


def _segments(data: Path, clock: Clock) -> Iterator[str]:
    log = data / "log"
    for number in segment_file.numbers(log):
        path = segment_file.segment_path(log, number)
        fault = database_fault(path, segment_file.SEGMENT, "log")
        if fault is None or fault.level != "fail" or "newer" in fault.do:
            continue
        aside = _OPEN
        if number == segment_file.numbers(log)[-1]:
            # The next number is begun first: this one's rows may have been read, and are given to no other.
            _begin(log, number, clock)
            aside = _NEWEST
        _rename(path, path.with_name(path.name + aside))
        yield f"{path}: {fault.what}; readers go on behind it"
    for path in [*log.glob(f"*{_OPEN}"), *log.glob(f"*{_NEWEST}")]:
        yield _told(log, path, clock)


def _told(log: Path, path: Path, clock: Clock) -> str:
    """Let the log say what a segment taken out of it held; killed before the end, it says so twice."""
    number = int(path.name.partition(".")[0])
    lost = damage.measure(log, number, path, newest=path.name.endswith(_NEWEST))
    with contextlib.closing(SegmentSink(log, clock=clock)) as sink:
        sink.note(Kind.LOSS, loss_schema(), lost.columns(clock.now()), rows=1)
        sink.sync()
    aside = path.with_name(f"{number:06d}{segment_file.SUFFIX}{DAMAGED}")
    _rename(path, aside)
    told = lost.reason.decode().removeprefix("damaged").removeprefix(", ")
    return f"set {aside} aside and counted its loss in the log: {f'{told} {lost.rows}'.strip()} rows"


def _rename(path: Path, to: Path) -> None:
    """A segment with what SQLite keeps beside it."""
    for suffix in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(to.with_name(to.name + suffix))
    path.rename(to)
    sync_folder(path.parent)


def _begin(log: Path, after: int, clock: Clock) -> None:
    """Begin the segment behind a damaged one, with the sequences of the newest that can be read."""
    carried: list[segment_file.StreamEnd] = []
    for number in reversed([found for found in segment_file.numbers(log) if found < after]):
        with (
            contextlib.suppress(DriftgateError),
            contextlib.closing(segment_file.open_segment(log, number, readonly=True)) as connection,
        ):
            carried = segment_file.sequences(connection)
            break
    with contextlib.closing(segment_file.open_segment(log, after + 1)) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        segment_file.begin_segment(connection, after + 1, clock.now(), boot_id(), carried)


def _slots(data: Path, clock: Clock) -> Iterator[str]:
    with contextlib.closing(SegmentSink(data / "log", clock=clock)) as sink:
        for slot in read_slots(data / "slots"):
            taken = take_over(slot, sink, boot_id(), clock)
            if taken.rows:
                yield f"spooled {taken.rows} rows of slot {slot.incarnation} into the log"
            if taken.lost:
                torn = is_past(slot.boot, boot_id())
                yield (
                    f"counted at most {taken.lost} rows of slot {slot.incarnation} as lost in the log: "
                    + ("the power was cut before they were there" if torn else "their file cannot be read")
                )
            if slot.fault and "newer" not in slot.fault:
                aside = slot.folder.with_name(slot.folder.name + DAMAGED)
                slot.folder.rename(aside)
                yield f"set {aside} aside: {slot.fault}"


def _ballast(data: Path, _: Clock) -> Iterator[str]:
    ballast = Ballast(data / "rollouts.ballast")
    if (data / "rollouts.db").exists() and ballast.held < ballast.size:
        if ballast.ensure():
            yield f"took {ballast.size >> 20} MiB of ballast again, for rollbacks on a full disk"
        else:
            yield "could not take the ballast again: the disk is full; free space"


def _modes(data: Path, _: Clock) -> Iterator[str]:
    for path in sorted(data.rglob("*")):
        if path.is_file() and not path.is_symlink() and path.stat().st_mode & 0o077:
            path.chmod(PRIVATE)
            yield f"made {path} private"


STEPS: Final[tuple[Callable[[Path, Clock], Iterator[str]], ...]] = (
    _leftovers,
    _retired,
    _segments,
    _slots,
    _ballast,
    _modes,
)


def _set_aside(path: Path) -> Path:
    aside = path.with_name(path.name + DAMAGED)
    path.rename(aside)
    sync_folder(path.parent)
    return aside
