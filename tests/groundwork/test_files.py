"""Whole files, allocated files, locks."""

import errno
import os
import re
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from groundwork.errors import LockedError, NoRoomError
from groundwork.files import (
    FolderLock,
    allocate,
    create_once,
    identity,
    in_turn,
    lock_is_held,
    said_of,
    waiting_for,
    write_atomic,
)
from tests.counts import count
from tests.strangers import nobody, open_folder

HOLDER = """
import sys
from pathlib import Path
from groundwork.files import FolderLock
lock = FolderLock.acquire(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_document_is_replaced_whole_and_private(tmp_path: Path) -> None:
    """The new content stands under the name, readable by its owner only, with nothing left beside it."""
    path = tmp_path / "document"
    write_atomic(path, b"old")
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_never_sees_half_a_document(tmp_path: Path) -> None:
    """While a writer replaces a document, every read finds one of its versions."""
    path = tmp_path / "document"
    versions = [bytes([letter]) * 70_000 for letter in b"ab"]
    write_atomic(path, versions[0])
    done = threading.Event()

    def write() -> None:
        for turn in range(count(20, 500)):
            write_atomic(path, versions[turn % 2])
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        assert path.read_bytes() in versions
    writer.join()


def test_the_first_of_many_makes_a_file_and_the_others_keep_it(tmp_path: Path) -> None:
    """Of all who make a file at once one wins; it is whole and private, and nothing is left beside it."""
    path, made = tmp_path / "key", list[int]()

    def make(number: int) -> None:
        if create_once(path, b"%d" % number):
            made.append(number)

    writers = [threading.Thread(target=make, args=(number,)) for number in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    (winner,) = made
    assert path.read_bytes() == b"%d" % winner
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_document_that_finds_no_room_leaves_the_old_one(tmp_path: Path) -> None:
    """Where the disk is full the old content stands, and nothing is left beside it."""
    path = tmp_path / "document"
    write_atomic(path, b"old")
    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10));"
    script = (
        "import signal, sys; from pathlib import Path; from groundwork.files import write_atomic;"
        "from groundwork.errors import NoRoomError; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        f"{limited}\ntry: write_atomic(Path(sys.argv[1]), b'x' * 11)\n"
        "except NoRoomError as error: print(error)"
    )
    said = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True, timeout=30
    ).stdout
    assert "no room for 11 bytes" in said
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_allocated_file_has_every_block(tmp_path: Path) -> None:
    """Allocation reserves the blocks, zeroed and private, and never shrinks what is there."""
    path = tmp_path / "rows"
    allocate(path, 100_000)
    found = path.stat()
    assert found.st_size == 100_000
    assert found.st_blocks * 512 >= 100_000
    assert stat.S_IMODE(found.st_mode) == 0o600
    allocate(path, 10)
    assert path.stat().st_size == 100_000
    assert path.read_bytes() == bytes(100_000)


def test_an_allocation_without_room_leaves_no_file(tmp_path: Path) -> None:
    """More than any disk holds is refused in our words, and the name stays free."""
    path = tmp_path / "rows"
    with pytest.raises(NoRoomError, match="no room for"):
        allocate(path, 2**62)
    assert not path.exists()


def test_an_allocation_that_fails_otherwise_says_why(tmp_path: Path) -> None:
    """An error that is not about room is not called one."""
    with pytest.raises(OSError, match=os.strerror(errno.ENOENT)):
        allocate(tmp_path / "missing" / "rows", 10)


def test_a_folder_has_one_owner(tmp_path: Path) -> None:
    """A second owner is refused with the folder's name until the first lets go."""
    first = FolderLock.acquire(tmp_path)
    assert lock_is_held(tmp_path)
    assert lock_is_held(tmp_path / "lock")
    with pytest.raises(LockedError, match=str(tmp_path)):
        FolderLock.acquire(tmp_path)
    first.release()
    first.release()
    assert not lock_is_held(tmp_path)
    with FolderLock.acquire(tmp_path / "lock"):
        assert lock_is_held(tmp_path)
    assert not lock_is_held(tmp_path)


def test_a_folder_without_a_lock_file_is_not_held(tmp_path: Path) -> None:
    """Asking makes no file."""
    assert not lock_is_held(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    """A killed owner leaves a folder that the next one may take."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert lock_is_held(tmp_path)
        holder.kill()
        holder.wait()
    assert not lock_is_held(tmp_path)
    FolderLock.acquire(tmp_path).release()


def test_one_who_asks_is_never_taken_for_an_owner(tmp_path: Path) -> None:
    """While others ask whether a folder is held, taking it never fails for that."""
    FolderLock.acquire(tmp_path).release()
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            lock_is_held(tmp_path)

    askers = [threading.Thread(target=ask) for _ in range(2)]
    for asker in askers:
        asker.start()
    for _ in range(count(300, 5000)):
        with FolderLock.acquire(tmp_path):
            assert lock_is_held(tmp_path)
    done.set()
    for asker in askers:
        asker.join()
    assert not lock_is_held(tmp_path)


def test_a_file_that_is_not_ours_is_named() -> None:
    """What the system keeps from us is said with whose it should be; all else as the system says it."""
    with open_folder() as folder:
        folder.chmod(0o500)
        with nobody(), pytest.raises(PermissionError) as caught:
            write_atomic(folder / "file", b"")
        wanted = rf"{folder}/\..*: Permission denied; give it to the user of this program \(uid \d+\), or let"
        assert re.match(wanted, said_of(caught.value))
    with pytest.raises(FileNotFoundError) as missing:
        write_atomic(folder / "file", b"")
    assert said_of(missing.value).endswith(": No such file or directory")
    assert said_of(OSError("no name")) == "no name"


def test_a_file_in_another_s_place_is_another(tmp_path: Path) -> None:
    """What is written on stays the same one; what was replaced or removed does not."""
    path = tmp_path / "file"
    path.write_bytes(b"one")
    before = identity(path)
    path.write_bytes(b"one and more")
    assert identity(path) == before
    with path.open("rb"):  # so that its number is not given out again
        write_atomic(path, b"another")
        assert identity(path) != before
    path.unlink()
    assert identity(path) is None


@pytest.mark.parametrize("wait", [in_turn, lambda folder: waiting_for(folder / "turn.lock")])
def test_of_two_who_want_their_turn_one_waits(
    tmp_path: Path, wait: Callable[[Path], AbstractContextManager[None]]
) -> None:
    """By the folder itself, or by a file in it that is made for that."""
    order: list[str] = []

    def second() -> None:
        begun.set()
        with wait(tmp_path):
            order.append("second")

    begun = threading.Event()
    thread = threading.Thread(target=second)
    with wait(tmp_path):
        thread.start()
        begun.wait()
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
