"""What the data folder holds: stores, slots and the log. It only reads, whether programs run or not."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from driftgate.doctor.finding import Finding, Subject, fail, ok, one_line, warn
from groundwork import data_folder
from groundwork.database import Schema, open_database
from groundwork.errors import DriftgateError, NewerStoreError, OlderStoreError
from groundwork.slot_readings import read_slots, totals
from monitor import store as monitor_store
from prediction_log import segment_file
from prediction_log.backlog import Backlog
from prediction_log.ids import PredictionIds
from prediction_log.recovery import UNREADABLE
from prediction_log.rows import SUFFIX
from rollouts import history, tables

RESTORE: Final = "restore a backup (`driftgate doctor restore`), or move the file away and lose what it held"
_LOST: Final = "driftgate_log_rows_lost_total"
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def stores(subject: Subject) -> Iterator[Finding]:
    """The stamp, both databases with their history, the id key, and that all is private."""
    data = subject.data
    if not data.is_dir():
        yield warn("stores", f"{data} is not there yet", "nothing: `driftgate up` makes it")
        return
    yield from _stamp(data)
    yield from _database(data / "rollouts.db", tables.SCHEMA, with_history=True)
    yield from _database(data / monitor_store.NAME, monitor_store.SCHEMA)
    yield from _id_key(data)
    yield from _counters(data)
    yield from _privacy(data)


def _stamp(data: Path) -> Iterator[Finding]:
    try:
        stamp = data_folder.read_stamp(data)
    except DriftgateError as error:
        yield _refused(error)
        return
    said = "without a stamp, from before 0.1.0" if stamp is None else f"written by {stamp.written_by}"
    yield ok("stores", f"{data} {said}")


def _id_key(data: Path) -> Iterator[Finding]:
    key = data / "id.key"
    if key.exists():
        try:
            PredictionIds(key.read_bytes())
            yield ok("stores", "id.key")
        except DriftgateError as error:
            yield fail("stores", f"{key}: {one_line(error)}", RESTORE)
    elif segment_file.numbers(data / "log"):
        yield fail(
            "stores",
            f"{key} is gone: labels, deletions and hashes of what was logged need it",
            "restore it from a backup before the gateway starts, which makes a new one",
        )


def _counters(data: Path) -> Iterator[Finding]:
    try:
        totals(data / "slots")
    except DriftgateError as error:
        yield fail(
            "stores", one_line(error), "`driftgate doctor --repair` sets it aside; metrics begin again"
        )


def _privacy(data: Path) -> Iterator[Finding]:
    open_to_others = [path for path in _files(data) if _is_open(path)]
    if open_to_others:
        yield warn(
            "stores",
            f"{len(open_to_others)} files can be read by others, {open_to_others[0]} among them",
            "`driftgate doctor --repair` makes them private",
        )


def _is_open(path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):  # programs that run make and remove files
        return bool(path.stat().st_mode & _OTHERS)
    return False


def _files(data: Path) -> Iterator[Path]:
    for place in (data, data / "log", data / "slots"):
        if place.is_dir():
            yield from (path for path in sorted(place.iterdir()) if path.is_file() and path.name != "lock")


def _database(path: Path, schema: Schema, *, with_history: bool = False) -> Iterator[Finding]:
    if not path.exists():
        yield ok("stores", f"{path.name} is not there yet")
        return
    fault = database_fault(path, schema)
    if fault is not None:
        yield fault
        return
    with contextlib.closing(open_database(path, schema, readonly=True)) as connection:
        told = f"{path.name}: schema {len(schema.migrations)}, intact"
        if with_history:
            try:
                told += f", {history.verify(connection)} history rows unchanged"
            except DriftgateError as error:
                yield fail(
                    "stores", one_line(error), "keep a copy and ask who could write the file; " + RESTORE
                )
        yield ok("stores", told)


def database_fault(path: Path, schema: Schema, area: str = "stores") -> Finding | None:
    """What is wrong with a database, by its version and by SQLite's own quick check; None for nothing.

    One of an earlier version is no more than a warning: its owner brings it forward.
    """
    try:
        with contextlib.closing(open_database(path, schema, readonly=True)) as connection:
            said = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except DriftgateError as error:
        return _refused(error, area)
    except sqlite3.Error as error:
        return fail(area, f"{path}: {one_line(error)}", RESTORE)
    return None if said == "ok" else fail(area, f"{path}: {' '.join(str(said).split())}", RESTORE)


def _refused(error: DriftgateError, area: str = "stores") -> Finding:
    if isinstance(error, OlderStoreError):
        return warn(area, one_line(error), "nothing: the next start of the programs brings it forward")
    newer = isinstance(error, NewerStoreError)
    return fail(area, one_line(error), "install the newer driftgate" if newer else RESTORE)


def slots(subject: Subject) -> Iterator[Finding]:
    """Dead workers' rows that are not in the log, slots that cannot be read, half-made ones."""
    folder = subject.data / "slots"
    found = read_slots(folder)
    workers = [slot for slot in found if slot.place >= 0]  # the supervisor counts in one at no place
    alive = sum(slot.alive for slot in workers)
    yield ok("slots", f"{alive} of {len(workers)} workers' slots have a living worker")
    waiting = [slot for slot in found if not slot.alive and any(slot.folder.glob(f"*{SUFFIX}"))]
    if waiting:
        yield warn(
            "slots",
            f"{len(waiting)} dead workers' slots hold rows that may not be in the log",
            "nothing: the supervisor takes them"
            if subject.running
            else "start the gateway, or `driftgate doctor --repair`",
        )
    for slot in found:
        if slot.fault:
            yield warn("slots", slot.fault, "`driftgate doctor --repair` sets it aside once it is dead")
    for path in sorted(folder.glob(f"*/*{UNREADABLE}")):
        yield warn("slots", f"{path} could not be read", "keep it for its values, or remove it")
    for path in sorted(folder.glob(".new-*")):
        if not subject.running:
            yield warn("slots", f"{path} was never finished", "`driftgate doctor --repair` removes it")


def log(subject: Subject) -> Iterator[Finding]:
    """Segments, how far behind the monitor is, what was lost, and the disk."""
    folder = subject.data / "log"
    present = segment_file.numbers(folder)
    faults = [fault for number in present if (fault := _segment_fault(folder, number))]
    repair = "`driftgate doctor --repair` sets it aside, so that readers and writers go on behind it"
    yield from (fail("log", fault.what, fault.do if "newer" in fault.do else repair) for fault in faults)
    if not faults:
        counted = "1 segment" if len(present) == 1 else f"{len(present)} segments"
        yield ok("log", f"{counted}, all readable")
        yield from _lag(subject)
    with contextlib.suppress(DriftgateError):
        lost = sum(value for key, value in totals(subject.data / "slots").items() if key.name == _LOST)
        if lost:
            yield warn("log", f"{lost} rows were lost since this folder began", "see docs/operations.md")
    yield from _disk(subject)


def _segment_fault(folder: Path, number: int) -> Finding | None:
    """What is wrong with a segment; nothing with one that the log's limits drop while it is looked at."""
    path = segment_file.segment_path(folder, number)
    fault = database_fault(path, segment_file.SEGMENT, "log")
    return fault if fault and fault.level == "fail" and path.exists() else None


def _lag(subject: Subject) -> Iterator[Finding]:
    try:
        with contextlib.closing(monitor_store.open_store(subject.data, readonly=True)) as connection:
            at = monitor_store.load_offset(connection)
        behind = Backlog(subject.data / "log").look(at)
    except (DriftgateError, sqlite3.Error):
        yield ok("log", "no monitor has read it yet")
        return
    late = behind.seconds(subject.now)
    told = f"{behind.rows} rows in {behind.frames} frames ({behind.bytes >> 10} KiB)"
    if not behind.frames:
        yield ok("log", f"the monitor has read all of it, up to {at}")
    elif late <= _LATE_SECONDS if subject.running else behind.frames <= _AT_ONCE:
        yield ok("log", f"the monitor has read it up to {at}, {told} are left, the oldest {late:.0f} s old")
    else:
        yield warn(
            "log",
            f"the monitor is {told} behind, the oldest {late:.0f} s old",
            "let it catch up (it goes on by itself), or look at its lines"
            if subject.running
            else "start it: it goes on from there, and counts nothing twice",
        )


_LATE_SECONDS: Final = 60.0
"""Beside a running gateway; the time since the programs were stopped says nothing."""
_AT_ONCE: Final = 1000


def _disk(subject: Subject) -> Iterator[Finding]:
    if not subject.data.is_dir():
        return
    usage = shutil.disk_usage(subject.data)
    limits = subject.gateway.log
    told = f"{usage.free >> 20} MiB free of {usage.total >> 20}"
    if usage.free < limits.reserve_bytes:
        yield fail(
            "log",
            f"{told}, less than log.reserve_bytes ({limits.reserve_bytes >> 20} MiB): no rows are written",
            "free disk",
        )
    elif usage.free < limits.min_free_bytes:
        yield fail(
            "log",
            f"{told}, less than log.min_free_bytes ({limits.min_free_bytes >> 20} MiB): old segments go",
            "free disk, or lower the setting",
        )
    elif usage.free < usage.total // 20:
        yield warn("log", f"{told}, less than a twentieth", "free disk, or lower the log's limits")
    else:
        yield ok("log", told)
