"""Files as the data folder needs them: whole or not there, allocated before use, locked while in use.

Rules:
1. A document is replaced, never edited: written beside, synced, renamed (or linked, where the first one
   stays). A reader sees the old or the new.
2. What will be written of a mapped file is allocated first: writing to a page without a block on a full disk
   kills the process, and no `except` can stop that.
3. "Is it alive?" is answered by a held lock, never by a process number, which the system hands out again.
   A lock belongs to the open file: it ends with the process, however the process ends. (A child made by a
   bare fork keeps it alive; one started by exec does not, because descriptors are not inherited.)
4. Everything here is private to its owner (0600, folders 0700).

Refuses to know: what the files mean.
"""

import contextlib
import errno
import fcntl
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, Self

from groundwork.errors import LockedError, NoRoomError

LOCK_NAME: Final = "lock"
FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What the system says where there is no room."""


def said_of(error: OSError) -> str:
    """What the system says of a file, by its name; where it keeps the file from us, whose it should be."""
    named = f"{error.filename}: " if error.filename else ""
    give = f"; give it to the user of this program (uid {os.geteuid()}), or let that user read and write it"
    return f"{named}{error.strerror or error}{give if isinstance(error, PermissionError) else ''}"


def write_atomic(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Replace `path` by `content` so that no reader, and no power cut, ever finds a part of it.

    Two syncs (the file, then the folder). NoRoomError when the disk is full; the old content then stands.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        _write_synced(beside, content, mode)
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        if error.errno in FULL:
            raise NoRoomError(f"{path}: no room for {len(content)} bytes; free disk space") from error
        raise
    sync_folder(path.parent)


def create_once(path: Path, content: bytes, *, mode: int = 0o600) -> bool:
    """Make `path` with this content unless it is there; whether this call made it.

    Any number may call at once; when this returns the file is whole, and no power cut takes it away.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        _write_synced(beside, content, mode)
        path.hardlink_to(beside)
        made = True
    except FileExistsError:
        made = False
    finally:
        beside.unlink(missing_ok=True)
    sync_folder(path.parent)
    return made


def _write_synced(path: Path, content: bytes, mode: int) -> None:
    """Create `path` with exactly these bytes and this mode, on the disk when this returns."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with open(descriptor, "wb") as file:  # noqa: PTH123  opens a descriptor, not a path
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` (created, renamed, removed) survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def allocate(path: Path, size: int) -> None:
    """Make `path` at least `size` bytes long with every block reserved; new bytes are zero.

    NoRoomError when the disk cannot hold it; a file which this call created is then removed again.
    """
    is_new = not path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        if is_new:
            path.unlink(missing_ok=True)
        if error.errno in FULL:
            raise NoRoomError(f"{path}: no room for {size} bytes; free disk space or ask for less") from error
        raise
    finally:
        os.close(descriptor)


def allocate_parts(descriptor: int, parts: Iterable[tuple[int, int]]) -> bool:
    """Reserve the blocks of each [start, end) of an open file; False where the disk cannot hold them all."""
    try:
        for start, end in parts:
            os.posix_fallocate(descriptor, start, end - start)
    except OSError as error:
        if error.errno in FULL:
            return False
        raise
    return True


def identity(path: Path) -> tuple[int, int] | None:
    """Which file is there: one that is open keeps its number for itself; None for none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def in_turn(folder: Path) -> AbstractContextManager[None]:
    """Hold a folder while what is in it is looked at and changed: of two who do so at once, one waits."""
    return _waiting_for(folder, os.O_RDONLY | os.O_DIRECTORY)


def waiting_for(file: Path) -> AbstractContextManager[None]:
    """Hold this lock file, waiting for whoever has it: they need milliseconds, and their death frees it."""
    return _waiting_for(file, os.O_RDWR | os.O_CREAT)


@contextlib.contextmanager
def _waiting_for(path: Path, flags: int) -> Iterator[None]:
    descriptor = os.open(path, flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


class FolderLock:
    """A folder held by one owner: a lock on the file `lock` in it, ended by release or by death."""

    def __init__(self, file: Path, descriptor: int) -> None:
        self._file = file
        self._descriptor: int | None = descriptor

    @classmethod
    def acquire(cls, path: Path) -> Self:
        """Take the lock of the folder `path` (or `path` itself, where it is not a folder); never waits.

        LockedError when somebody holds it, in this process or another.
        """
        file = _lock_file(path)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _lock_exclusively(descriptor, file)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(file, descriptor)

    def release(self) -> None:
        """Give the lock back; twice is nothing. The file stays: removing it would let two hold the lock."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def lock_is_held(path: Path) -> bool:
    """Whether somebody holds the lock of the folder (or lock file) `path`; False where there is no lock file.

    Asking takes a shared lock for an instant; `acquire` knows and is not fooled by it.
    """
    try:
        descriptor = os.open(_lock_file(path), os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return not _try_lock(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def _lock_exclusively(descriptor: int, file: Path) -> None:
    """Lock or raise LockedError; one who only asks (a shared lock, gone at once) is no owner."""
    while not _try_lock(descriptor, fcntl.LOCK_EX):
        if not _try_lock(descriptor, fcntl.LOCK_SH):
            raise LockedError(
                f"{file.parent} is in use by another process ({file} is locked); stop that one first"
            )
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.sched_yield()


def _try_lock(descriptor: int, kind: int) -> bool:
    """Take a lock of this kind if nobody stands in the way."""
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        return True
    return False


def _lock_file(path: Path) -> Path:
    return path / LOCK_NAME if path.is_dir() else path
