"""Ballast: room that is given up so that going back works on a full disk."""

import multiprocessing
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from groundwork.clock import FakeClock
from groundwork.errors import NoRoomError
from rollouts import edits
from rollouts.ballast import BALLAST_BYTES, PIECE_BYTES, Ballast
from rollouts.history import Entry
from rollouts.route import FULL
from rollouts.store import SqliteStore
from tests.counts import count

ROOT = Path(__file__).parents[2]
SCRIPT = (
    "from pathlib import Path; from tests.rollouts.test_ballast import on_full_disk; on_full_disk(Path('{}'))"
)


def test_a_store_holds_ballast_beside_it(tmp_path: Path) -> None:
    """The room is really taken, and private."""
    SqliteStore(tmp_path / "rollouts.db", FakeClock()).close()
    found = (tmp_path / "rollouts.ballast").stat()
    assert found.st_size == BALLAST_BYTES
    assert found.st_mode & 0o777 == 0o600


def test_ballast_is_given_up_once_and_taken_again(tmp_path: Path) -> None:
    """Releasing what is not there gives nothing; ensuring is repeatable."""
    ballast = Ballast(tmp_path / "x.ballast", size=4096)
    assert not ballast.release()
    assert ballast.ensure()
    assert ballast.ensure()
    assert ballast.release()
    assert not ballast.release()


def test_ballast_is_given_up_piece_by_piece(tmp_path: Path) -> None:
    """An edit takes a piece and leaves the rest to the next ones; what was given is taken again."""
    ballast = Ballast(tmp_path / "x.ballast", size=3 * PIECE_BYTES)
    assert ballast.ensure()
    assert [(ballast.give(), ballast.held // PIECE_BYTES) for _ in range(4)] == [
        (True, 2),
        (True, 1),
        (True, 0),
        (False, 0),
    ]
    assert ballast.ensure()
    assert ballast.give()
    assert ballast.ensure()
    assert ballast.held == 3 * PIECE_BYTES


def test_several_that_give_at_once_give_a_piece_each(tmp_path: Path) -> None:
    """However many processes give at the same time, every piece is given up by exactly one of them."""
    rounds, pieces = count(5, 100), 64
    ballast = Ballast(tmp_path / "x.ballast", size=pieces * PIECE_BYTES)
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        for _ in range(rounds):
            assert ballast.ensure()
            given = pool.map(give_all, [ballast.path] * 4, chunksize=1)
            assert (sum(given), ballast.path.exists()) == (pieces, False)


def give_all(path: Path) -> int:
    """Give until there is nothing left; how many pieces that were."""
    ballast = Ballast(path)
    given = 0
    while ballast.give():
        given += 1
    return given


def test_a_ballast_of_nothing_has_nothing_to_give(tmp_path: Path) -> None:
    """A file that a full disk left empty is taken away, and counts as no piece."""
    ballast = Ballast(tmp_path / "x.ballast", size=PIECE_BYTES)
    ballast.path.touch()
    assert not ballast.give()
    assert not ballast.path.exists()


def test_ballast_leaves_room_to_others(tmp_path: Path) -> None:
    """It is not taken where it would take the last of the room."""
    ballast = Ballast(tmp_path / "x.ballast", size=1 << 62)
    assert not ballast.ensure()
    assert not ballast.path.exists()


def test_abort_and_undo_work_on_a_full_disk(tmp_path: Path) -> None:
    """Without a free byte one rollback after another is made, and no edit that nobody could go back from."""
    unshare = shutil.which("unshare")
    place = tmp_path / "full"
    place.mkdir()
    mount = f"mount -t tmpfs -o size=6m tmpfs {place}"
    allowed = unshare is not None and (
        subprocess.run([unshare, "-rm", "sh", "-c", mount], capture_output=True, check=False).returncode == 0
    )
    if unshare is None or not allowed:
        pytest.skip("this machine lets nobody mount a small file system")
    command = f'{mount} && exec "$0" -c "$1"'
    done = subprocess.run(
        [unshare, "-rm", "sh", "-c", command, sys.executable, SCRIPT.format(place)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def on_full_disk(folder: Path) -> None:
    """Fill the file system to the last byte between ordinary edits; run alone in a process of its own."""
    store = SqliteStore(folder / "rollouts.db", FakeClock())
    entry = Entry(actor="operator:ada", verb="start")
    route = store.ensure_first("m", "1", "gateway")
    for edit in (lambda now: edits.start(now, "2"), edits.promote, lambda now: edits.start(now, "3")):
        route = store.edit("m", route.revision, edit(route), entry)
    fill(folder / "neighbour")
    refused = 0
    for _ in range(2000):
        try:
            store.note("m", Entry(actor="operator:ada", verb="note", reason="x" * 900))
        except NoRoomError:
            refused += 1
            break
    assert refused, "the disk was never full"
    ballast = Ballast(folder / "rollouts.ballast")
    assert ballast.held == BALLAST_BYTES
    route = store.edit("m", 4, edits.abort(route), Entry(actor="operator:ada", verb="abort"))
    assert 0 < ballast.held < BALLAST_BYTES
    for turn in range(3):  # whatever was given up and not used, a neighbour takes
        fill(folder / f"neighbour {turn}")
        undone = Entry(actor="operator:ada", verb="undo")
        route = store.edit("m", route.revision, edits.undo(route, edits.previous_of(route)), undone)
    assert route.stable == "1"
    while ballast.held >= BALLAST_BYTES // 2:
        ballast.give()
        fill(folder / "another")
    with pytest.raises(NoRoomError, match="too little room is held for going back"):
        store.edit("m", route.revision, edits.start(route, "3", weight=FULL), entry)
    (folder / "neighbour").unlink()
    store.edit("m", route.revision, edits.touch(route), Entry(actor="operator:ada", verb="pause"))
    assert ballast.held == BALLAST_BYTES
    assert store.verify()
    store.close()


def fill(path: Path, leave: int = 0) -> None:
    """Take all the room but `leave` bytes."""
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        for size in (1 << 16, 1 << 12):
            while os.statvfs(path.parent).f_bavail * os.statvfs(path.parent).f_frsize >= leave + size:
                os.write(descriptor, b"x" * size)
    finally:
        os.close(descriptor)
