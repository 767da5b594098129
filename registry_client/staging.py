"""How a version's folder appears: written aside, synced, renamed into place.

Rules: a staged folder begins with ``.staging-`` and is invisible to readers; of two that are renamed to one
name, exactly one wins; what a dead publisher left is cleared by the next one. A staged folder is held by a
lock while its publisher lives, so clearing never touches a living one. It knows no manifest.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from groundwork.errors import NoRoomError
from groundwork.files import FULL, sync_folder

PREFIX: Final = ".staging-"

_TAKEN: Final = frozenset({errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR})


def appear(root: Path, place: Path, files: Mapping[str, bytes]) -> bool:
    """Make the folder ``place`` (somewhere below ``root``) with these files, whole and synced.

    Returns False when ``place`` already exists with something in it; nothing has changed then.

    Raises:
        NoRoomError: the disk is full; nothing has changed.
    """
    root.mkdir(parents=True, exist_ok=True)
    clear(root)
    with _staged(root) as stage:
        try:
            for name, content in files.items():
                _write(stage / name, content)
            sync_folder(stage)
            place.parent.mkdir(exist_ok=True)
            return _rename(stage, place)
        except OSError as error:
            if error.errno in FULL:
                raise NoRoomError(f"{place}: no room for the model; free disk space") from error
            raise


def clear(root: Path) -> None:
    """Remove the staged folders of publishers that are gone."""
    for stage in root.glob(f"{PREFIX}*"):
        descriptor = _lock(stage)
        if descriptor is not None:
            shutil.rmtree(stage, ignore_errors=True)
            os.close(descriptor)


@contextlib.contextmanager
def _staged(root: Path) -> Iterator[Path]:
    """A new staged folder, locked; removed at the end unless it was renamed."""
    stage, descriptor = _stage(root)
    try:
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        os.close(descriptor)


def _stage(root: Path) -> tuple[Path, int]:
    """A staged folder and the descriptor that holds its lock."""
    while True:
        stage = root / f"{PREFIX}{secrets.token_hex(8)}"
        stage.mkdir()
        descriptor = _lock(stage)
        if descriptor is not None and stage.is_dir():
            return stage, descriptor
        # Another publisher's `clear` came between the two steps and took it for abandoned: once more.
        if descriptor is not None:
            os.close(descriptor)


def _lock(folder: Path) -> int | None:
    """A descriptor that holds the folder's lock until it is closed; None when it is held or gone."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _rename(stage: Path, place: Path) -> bool:
    try:
        stage.rename(place)
    except OSError as error:
        if error.errno in _TAKEN:
            return False
        raise
    sync_folder(place.parent)
    sync_folder(place.parent.parent)
    return True


def _write(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
