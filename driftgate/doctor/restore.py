"""Bring a backup back, into a folder that does not exist yet.

Rules: nothing of the backup is believed before its digests hold; names are those of `archive.NAMES` and none
else; the folder appears whole, under its name, or not at all. Programs started on it recover slots and go on
as after a crash.
"""

from __future__ import annotations

import contextlib
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
from groundwork.files import sync_folder
from groundwork.versioned import newer

_CHUNK: Final = 1 << 20


def restore(file: Path, data: Path) -> Contents:
    """Unpack the backup `file` as the new folder `data`; what it held.

    CommandError when `data` holds anything or cannot be written, NewerStoreError for a backup (or a folder in
    it) of a newer driftgate, StoreError for one that is damaged or cut.
    """
    if data.exists() and (not data.is_dir() or any(data.iterdir())):
        raise CommandError(f"{data}: holds files already; restore into a new folder, or move this one away")
    aside = data.with_name(f".{data.name}.{secrets.token_hex(6)}")
    try:
        data.parent.mkdir(parents=True, exist_ok=True)
        aside.mkdir(mode=0o700)
    except OSError as error:
        raise CommandError(_unwritable(data, error)) from error
    try:
        contents = _unpack(file, aside)
        data_folder.read_stamp(aside)
        _sync(aside)
        with contextlib.suppress(FileNotFoundError):
            data.rmdir()
        aside.rename(data)
    except BaseException:
        shutil.rmtree(aside)
        raise
    sync_folder(data.parent)
    return contents


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
