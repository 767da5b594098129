"""Ballast: a file of nothing, kept beside the store so that going back works on a full disk.

Abort and undo must always be possible, also when a log or a neighbour has filled the disk. The ballast's
blocks are given up for exactly those edits and taken again when there is room. It knows no database.
"""

import contextlib
import os
from pathlib import Path
from typing import Final

from groundwork.errors import NoRoomError
from groundwork.files import allocate

BALLAST_BYTES: Final = 1 << 20
"""Enough for several edits: one needs about 50 kB of write-ahead log and 32 kB of its index."""


class Ballast:
    """The file; safe to use from several processes, each call is complete in itself."""

    def __init__(self, path: Path, size: int = BALLAST_BYTES) -> None:
        self.path = path
        self.size = size

    def ensure(self) -> bool:
        """Take the room when it is there, with as much again left over; return whether it is held."""
        if self.path.exists():
            return True
        room = os.statvfs(self.path.parent)
        if room.f_bavail * room.f_frsize < 2 * self.size:
            return False
        with contextlib.suppress(NoRoomError):
            allocate(self.path, self.size)
        return self.path.exists()

    def release(self) -> bool:
        """Give the room up; return whether there was any to give."""
        try:
            self.path.unlink()
        except FileNotFoundError:
            return False
        return True
