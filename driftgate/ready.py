"""The ready file: written when everything answers, gone when it does not any more.

Rules: it appears whole; what a dead process left behind is removed before anything starts, so that nobody
takes it for ours; the file of a living process is left alone, and only who wrote it removes it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from driftgate.errors import CommandError
from groundwork import decoders
from groundwork.files import write_atomic


class _Written(msgspec.Struct):
    """What is read of a ready file that is there already."""

    pid: int


@contextlib.contextmanager
def ready_file(path: Path | None) -> Iterator[Callable[[object], None]]:
    """Give the function that writes the file, and remove what it wrote at the end; None: writes nothing.

    Raises:
        CommandError: the file cannot be written there; said before anything is started.
    """
    written = False

    def write(document: object) -> None:
        nonlocal written
        if path is not None:
            written = True
            write_atomic(path, msgspec.json.encode(document), mode=0o644)

    if path is not None:
        _clear(path)
    try:
        yield write
    finally:
        if path is not None and written:
            path.unlink(missing_ok=True)


def _clear(path: Path) -> None:
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise CommandError(
            f"--ready-file {path}: {path.parent} is not a folder that can be written; name another"
        )
    with contextlib.suppress(FileNotFoundError):
        if not _lives(path.read_bytes()):
            path.unlink()


def _lives(content: bytes) -> bool:
    """Whether another process wrote this and is still there."""
    try:
        pid = decoders.json_of(_Written).decode(content).pid
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (msgspec.DecodeError, ProcessLookupError, OverflowError):
        return False
    return pid != os.getpid()
