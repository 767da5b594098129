"""Copy a data folder into one file, whether or not programs are using it.

The order makes the copy a state that a crash could have left:

1. monitor.db, then rollouts.db: the monitor's place in the history is never beyond the copied history.
2. slots, then the log: a row that was in its slot, and one that was spooled meanwhile, is in one or in both;
   recovery skips what the log has. The monitor's offset is never beyond the copied log.
   Row files are copied whole, so the copy of a slot of this boot names no boot: it is spooled in any other.
3. retired.json after the slots it may have swallowed; `next` after the log, so that no incarnation in it is
   given out again.
4. Of the log, everything up to the first segment that is not sealed: what comes after began later.

Databases are copied by SQLite's own online backup: one snapshot each, nobody waits. The cache of artifacts,
ballast and locks are left out; they are made again.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import shutil
import sqlite3
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from driftgate.doctor.archive import CONTENTS, FORMAT, Contents, Part
from driftgate.errors import CommandError
from groundwork import data_folder
from groundwork.boot import boot_id
from groundwork.clock import Clock
from groundwork.database import is_without_room
from groundwork.errors import StoreError
from groundwork.files import sync_folder
from groundwork.retired import read_retired
from groundwork.slots import whole
from prediction_log import segment_file
from prediction_log.rows import SUFFIX
from prediction_log.snapshot import snapshot

_BUSY_S: Final = 30.0


def backup(data: Path, out: Path, clock: Clock) -> Contents:
    """Write a backup of `data` to the new file `out` (mode 0600; compressed when its name ends in .gz).

    Everything answered before the call is in it. Needs room for the largest segment twice, beside `out`.
    CommandError when `out` is there already or cannot be written, or `data` is not there; StoreError when a
    database cannot be copied.
    """
    if out.exists():
        raise CommandError(f"{out}: is there already; a backup never replaces one, give another name")
    if not (data / "rollouts.db").exists() and not (data / "log").exists():
        raise CommandError(f"{data}: wanted a data folder, found neither rollouts.db nor log/ in it")
    data_folder.read_stamp(data)
    begun = clock.now()
    aside = out.with_name(f".{out.name}.{secrets.token_hex(6)}")
    try:
        aside.mkdir(mode=0o700)
        made = aside / "backup"
        contents = _write(data, made, aside, begun, compressed=out.suffix in {".gz", ".tgz"})
        made.rename(out)
        sync_folder(out.parent)
    except OSError as error:
        raise CommandError(
            f"{out}: cannot be written: {error.strerror}; give a name in another folder, on a disk with room"
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return contents


def _write(data: Path, made: Path, aside: Path, begun: int, *, compressed: bool) -> Contents:
    """The tar at `made`, synced; what it holds."""
    descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        with tarfile.open(fileobj=file, mode="w:gz" if compressed else "w:") as tar:
            parts = []
            for name, copy in _copies(data, aside):
                parts.append(_add(tar, name, copy))
                copy.unlink()
            contents = Contents(FORMAT, data_folder.product_version(), begun, tuple(parts))
            listed = aside / CONTENTS
            listed.write_bytes(msgspec.json.format(msgspec.json.encode(contents), indent=1))
            _add(tar, CONTENTS, listed)
        file.flush()
        os.fsync(file.fileno())
    return contents


def _copies(data: Path, aside: Path) -> Iterator[tuple[str, Path]]:
    """(name, private copy) of every file, in the order of this module's rules."""
    for name in ("monitor.db", "rollouts.db"):
        if (data / name).exists():
            yield name, _database(data / name, aside / name)
    yield from _slots(data / "slots", aside)
    yield from _segments(data / "log", aside)
    for name in ("slots/next", "id.key", data_folder.NAME):
        with contextlib.suppress(FileNotFoundError):
            yield name, _plain(data / name, aside / "copy")


def _slots(slots: Path, aside: Path) -> Iterator[tuple[str, Path]]:
    """Slots that are not folded, then the totals of those that are."""
    names = sorted((path.name for path in slots.glob("*") if path.name.isdecimal()), key=int)
    held = [name for name in names if _slot(slots / name, aside / "slots" / name)]
    retired = None
    with contextlib.suppress(FileNotFoundError):
        retired = _plain(slots / "retired.json", aside / "retired.json")
    folded = read_retired(aside)
    for name in held:
        if not folded.includes(int(name)):
            for copy in sorted((aside / "slots" / name).iterdir()):
                yield f"slots/{name}/{copy.name}", copy
    if retired is not None:
        yield "slots/retired.json", retired


def _slot(folder: Path, copy: Path) -> bool:
    """Copy one slot; False when it was folded meanwhile."""
    copy.mkdir(parents=True)
    try:
        for path in sorted(folder.iterdir()):
            if path.name == "lock" or path.name.startswith(".") or not path.is_file():
                continue
            if path.name.endswith(SUFFIX):
                with contextlib.suppress(FileNotFoundError):
                    (copy / path.name).write_bytes(snapshot(path))
            else:
                _plain(path, copy / path.name)
        _mark_whole(copy / "slot.json")
    except FileNotFoundError:
        return False
    return True


def _mark_whole(document: Path) -> None:
    """A copy of a slot of this boot is good in every other one; damage is copied as it is."""
    with contextlib.suppress(StoreError):
        document.write_bytes(whole(document, boot_id()))


def _segments(log: Path, aside: Path) -> Iterator[tuple[str, Path]]:
    """Segments up to the first that is not sealed; one that retention drops meanwhile is left out."""
    number = min(segment_file.numbers(log), default=None)
    while number is not None:
        copy = _segment(segment_file.segment_path(log, number), aside)
        if copy is not None:
            sealed = _is_sealed(copy)
            yield f"log/{copy.name}", copy
            if not sealed:
                return
        number = min((other for other in segment_file.numbers(log) if other > number), default=None)


def _segment(path: Path, aside: Path) -> Path | None:
    """A copy of a segment; None where the log's limits drop it before it is read."""
    copy = aside / path.name
    try:
        return _database(path, copy)
    except StoreError:
        if path.exists():
            raise
    copy.unlink(missing_ok=True)
    return None


def _is_sealed(segment: Path) -> bool:
    with contextlib.closing(sqlite3.connect(segment)) as connection:
        return bool(segment_file.is_sealed(connection))


def _database(source: Path, copy: Path) -> Path:
    """One snapshot of a database that others may be writing."""
    try:
        reading = sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_S)
        with contextlib.closing(reading), contextlib.closing(sqlite3.connect(copy)) as writing:
            reading.backup(writing)
            # One file, without a log of its own; the owner switches it back when it opens it.
            writing.execute("PRAGMA journal_mode = DELETE").fetchone()
    except sqlite3.Error as error:
        if is_without_room(error):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        raise StoreError(
            f"{source}: cannot be copied: {error}; `driftgate doctor` says what is wrong"
        ) from error
    return copy


def _plain(source: Path, copy: Path) -> Path:
    copy.write_bytes(source.read_bytes())
    return copy


def _add(tar: tarfile.TarFile, name: str, copy: Path) -> Part:
    with copy.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        member = tarfile.TarInfo(name)
        member.size, member.mode = copy.stat().st_size, 0o600
        tar.addfile(member, file)
    return Part(name, member.size, digest)
