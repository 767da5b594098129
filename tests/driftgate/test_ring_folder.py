"""The folder of one `up`: gone with it, or with the next one."""

import threading
from pathlib import Path

import msgspec

from driftgate.ring_folder import addresses, remove_dead, ring_folder
from groundwork.errors import LockedError


def test_what_a_killed_up_left_is_removed_and_what_lives_is_not(tmp_path: Path) -> None:
    """Settings, which may hold secrets, outlive a killed `up` until the next start at most."""
    (tmp_path / "up-dead").mkdir()
    (tmp_path / "up-dead" / "monitor.json").write_text("whsec_")
    with ring_folder(tmp_path) as folder:
        assert [path.name for path in tmp_path.iterdir()] == [folder.name]
        assert folder.stat().st_mode & 0o077 == 0
        assert remove_dead(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_of_many_that_start_at_once_one_goes_on(tmp_path: Path) -> None:
    """Exactly one has the folder, however many begin in the same moment; the others are told who has it."""
    for _ in range(20):
        found = _begun_at_once(tmp_path, 4)
        assert found.count("has it") == 1
        told = f"{tmp_path} is in use by another `driftgate up`"
        assert sum(said.startswith(told) for said in found) == 3
        assert list(tmp_path.iterdir()) == []


def _begun_at_once(data: Path, many: int) -> list[str]:
    """What each of some that begin in the same moment found; who has the folder keeps it until all have."""
    start, tried, found = threading.Barrier(many), threading.Barrier(many), list[str]()

    def begin() -> None:
        start.wait()
        try:
            with ring_folder(data):
                found.append("has it")
                tried.wait()
        except LockedError as error:
            found.append(str(error))
            tried.wait()

    threads = [threading.Thread(target=begin) for _ in range(many)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_what_looks_like_one_keeps_nobody_out(tmp_path: Path) -> None:
    """A file or a folder of somebody's with such a name, which nobody locks, is no living `up`."""
    (tmp_path / "up-to-date.txt").touch()
    with ring_folder(tmp_path) as folder:
        assert folder.is_dir()


def test_only_a_living_one_says_where_it_answers(tmp_path: Path) -> None:
    """Addresses are those of the folder whose lock is held; no port, or half a file, says nothing."""
    said = {"http": {"host": "::1", "port": 7, "tls": {}}, "grpc": {"host": "::1", "port": None}}
    (tmp_path / "up-dead").mkdir()
    (tmp_path / "up-dead" / "gateway.json").write_bytes(msgspec.json.encode(said))
    assert addresses(tmp_path) == {}
    with ring_folder(tmp_path) as folder:
        (folder / "gateway.json").write_bytes(msgspec.json.encode(said))
        (folder / "monitor.json").write_text('{"host": "127.0.0.1", "po')
        assert addresses(tmp_path) == {"http.port": ("::1", 7)}
