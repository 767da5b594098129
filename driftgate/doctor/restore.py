"""Bring a backup back, into a folder that does not exist yet or is empty, as a volume that is mounted.

Rules: nothing of the backup is believed before its digests hold; names are those of `archive.NAMES` and none
else; a new folder appears whole, under its name, or not at all. One that is there cannot be replaced where a
volume is mounted, so it is filled: with its locks held, and under a stamp that every program refuses until
all is in it. Programs started on it recover slots and go on as after a crash.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
import tarfile
import zlib
from pathlib import Path
from typing import IO, Final

import msgspec

from driftgate.doctor.archive import CONTENTS, FORMAT, NAMES, Contents
from driftgate.errors import CommandError
from groundwork import data_folder, decoders
from groundwork.errors import NewerStoreError, StoreError
from groundwork.files import LOCK_NAME, FolderLock, sync_folder, write_atomic
from groundwork.versioned import newer
from monitor.store import LOCK as MONITOR_LOCK

_CHUNK: Final = 1 << 20
MEANINGLESS: Final = frozenset({LOCK_NAME, MONITOR_LOCK, "lost+found"})
"""Names in a folder that holds nothing of ours: of locks, and what file systems make for themselves."""
UNFINISHED: Final = b'{"format": 0, "written_by": "a restore that did not end"}\n'
"""The stamp of a folder that is being filled: of no format that there is."""


def restore(file: Path, data: Path) -> Contents:
    """Unpack the backup `file` as the folder `data`; what it held.

    CommandError when `data` holds anything or cannot be written, LockedError when it is in use,
    NewerStoreError for a backup (or a folder in it) of a newer driftgate, StoreError for one that is damaged
    or cut.
    """
    data = data.resolve()
    _check_free(data)
    bring = _fill if data.is_dir() else _appear
    aside = (data if data.is_dir() else data.parent) / f".{data.name}.{secrets.token_hex(6)}"
    try:
        data.parent.mkdir(parents=True, exist_ok=True)
        aside.mkdir(mode=0o700)
    except OSError as error:
        raise CommandError(_unwritable(data, error)) from error
    try:
        contents = _unpack(file, aside)
        data_folder.read_stamp(aside)
        _sync(aside)
        bring(aside, data)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    return contents


def _check_free(data: Path, aside: str = "") -> None:
    """CommandError where anything but `aside` is in the folder that means anything."""
    held = [data.name] if data.exists() and not data.is_dir() else []
    if data.is_dir():
        held = sorted({path.name for path in data.iterdir()} - {aside, *MEANINGLESS})
    if held:
        raise CommandError(
            f"{data}: holds files already, such as {held[0]}; restore into a new folder, or move them away"
        )


def _appear(aside: Path, data: Path) -> None:
    try:
        aside.rename(data)
    except OSError as error:
        raise CommandError(
            f"{data}: was made meanwhile ({error.strerror}); restore into a new folder"
        ) from error
    sync_folder(data.parent)


def _fill(aside: Path, data: Path) -> None:
    """Bring all into a folder that is there, the stamp last."""
    with FolderLock.acquire(data), FolderLock.acquire(data / MONITOR_LOCK):
        _check_free(data, aside.name)
        stamp = data / data_folder.NAME
        write_atomic(stamp, UNFINISHED)
        for path in aside.iterdir():
            if path.name != stamp.name:
                path.rename(data / path.name)
        sync_folder(data)
        if (aside / stamp.name).exists():
            (aside / stamp.name).rename(stamp)
        else:
            stamp.unlink()
        aside.rmdir()
        sync_folder(data)


def _unpack(file: Path, folder: Path) -> Contents:
    """Every member into `folder`, checked against the list at the end."""
    found: dict[str, tuple[int, str]] = {}
    listed = b""
    try:
        with tarfile.open(file, mode="r:*") as tar:
            for member in tar:
                content = tar.extractfile(member)
                if content is None or not (NAMES.fullmatch(member.name) or member.name == CONTENTS):
                    raise StoreError(f"{file}: holds {member.name!r}, which no backup does; it is not one")
                if member.name == CONTENTS:
                    listed = content.read(_CHUNK * 16)
                else:
                    found[member.name] = _take(content, folder / member.name)
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise CommandError(
                f"{file}: no such file; give a backup made by `driftgate doctor backup`"
            ) from None
        if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise CommandError(_unwritable(folder, error)) from error
        raise StoreError(f"{file}: cannot be read as a backup: {_why(error)}; give another copy") from error
    return _checked(file, listed, found)


def _why(error: Exception) -> str:
    """What is wrong with an archive; tarfile tells of one that is none in the words of every compression."""
    text = " ".join(str(error).split())
    return "it is no tar archive" if text.startswith("file could not be opened") else text[:100]


def _unwritable(folder: Path, error: OSError) -> str:
    return f"{folder}: cannot be written: {error.strerror}; name another --data, on a disk with room"


def _take(content: IO[bytes], place: Path) -> tuple[int, str]:
    """Write one member, private; its bytes and digest."""
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        while piece := content.read(_CHUNK):
            file.write(piece)
            digest.update(piece)
            size += len(piece)
        file.flush()
        os.fsync(file.fileno())
    return size, digest.hexdigest()


def _checked(file: Path, listed: bytes, found: dict[str, tuple[int, str]]) -> Contents:
    if not listed:
        raise StoreError(f"{file}: has no {CONTENTS} at its end, so it was cut; use another copy of it")
    try:
        form = decoders.json_of(dict[str, object]).decode(listed).get("format")
        if type(form) is int and form > FORMAT:
            raise NewerStoreError(newer(file, "a backup", form, FORMAT))
        contents = decoders.json_of(Contents).decode(listed)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise StoreError(f"{file}: its {CONTENTS} is damaged ({error}); use another copy of it") from error
    wanted = {part.name: (part.bytes, part.digest) for part in contents.parts}
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) != found.get(name):
            raise StoreError(f"{file}: {name} is not what was backed up; use another copy of it")
    return contents


def _sync(folder: Path) -> None:
    for path in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
        sync_folder(path)
