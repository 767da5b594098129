"""The folder of one `up`: gone with it, or with the next one."""

from pathlib import Path

import msgspec

from driftgate.ring_folder import addresses, remove_dead, ring_folder


def test_what_a_killed_up_left_is_removed_and_what_lives_is_not(tmp_path: Path) -> None:
    """Settings, which may hold secrets, outlive a killed `up` until the next start at most."""
    (tmp_path / "up-dead").mkdir()
    (tmp_path / "up-dead" / "monitor.json").write_text("whsec_")
    with ring_folder(tmp_path) as folder:
        assert [path.name for path in tmp_path.iterdir()] == [folder.name]
        assert folder.stat().st_mode & 0o077 == 0
        assert remove_dead(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


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
