"""Ballast: a file of nothing, kept beside the store so that going back works on a full disk.

Abort and undo must always be possible, also when a log or a neighbour has filled the disk. The ballast's
blocks are given up for exactly those edits, a piece at a time, because a neighbour may take what is given up
and not used, and the next rollback needs room too. It is taken again when there is room. It knows no
database.
"""

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Final

from groundwork.errors import NoRoomError
from groundwork.files import allocate

BALLAST_BYTES: Final = 1 << 20
"""Enough for several edits: one needs about 50 kB of write-ahead log and 32 kB of its index."""
PIECE_BYTES: Final = 1 << 17
"""What is given up for one edit; where that is not enough, the next."""


class Ballast:
    """The file; safe to use from several processes, each call is complete in itself."""

    def __init__(self, path: Path, size: int = BALLAST_BYTES) -> None:
        self.path = path
        self.size = size

    @property
    def held(self) -> int:
        """How many bytes are held now."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def ensure(self) -> bool:
        """Take the room when it is there, with as much again left over; return whether all of it is held."""
        lacking = self.size - self.held
        if lacking <= 0 and self.path.exists():
            return True
        room = os.statvfs(self.path.parent)
        if room.f_bavail * room.f_frsize < lacking + self.size:
            return False
        with contextlib.suppress(NoRoomError):
            allocate(self.path, self.size)
        return self.held >= self.size

    def give(self) -> bool:
        """Give up the next piece; return whether there was any to give.

        Of several processes that give at once each gives up a piece of its own: one at a time looks and cuts.
        """
        while True:
            try:
                descriptor = os.open(self.path, os.O_WRONLY)
            except FileNotFoundError:
                return False
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)  # held for two system calls
                found = os.fstat(descriptor)
                if found.st_nlink:  # else it went, or was made anew, while we waited for our turn
                    return self._cut(descriptor, found.st_size)
            finally:
                os.close(descriptor)

    def _cut(self, descriptor: int, size: int) -> bool:
        """Take a piece off the end of the open file, or the whole of the last one away."""
        if size > PIECE_BYTES:
            os.ftruncate(descriptor, size - PIECE_BYTES)
        else:
            self.release()
        return size > 0

    def release(self) -> bool:
        """Give all of the room up; return whether there was any to give."""
        try:
            self.path.unlink()
        except FileNotFoundError:
            return False
        return True
