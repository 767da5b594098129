"""The keys file: private, whole, followed."""

import io
import stat
from pathlib import Path

import pytest

from groundwork import key_file
from groundwork.clock import FakeClock
from groundwork.errors import SettingsError
from groundwork.keys import KeyBook, create
from groundwork.logs import Log
from tests.keys import NOW, one_key


def test_what_is_saved_is_read_again_and_is_private(tmp_path: Path) -> None:
    """All parts survive, and only the owner can read the file."""
    path = tmp_path / "keys.yaml"
    key, _ = create("a", ["infer", "read"], NOW, expires=NOW, rate=2.5, concurrency=3)
    key_file.save(path, [key])
    assert key_file.load(path).keys == (key,)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o604, 0o620, 0o660, 0o644, 0o777])
def test_a_file_that_others_may_read_or_change_is_refused(tmp_path: Path, mode: int) -> None:
    """The mode is named, and what to do."""
    path = tmp_path / "keys.yaml"
    one_key(path, "infer")
    path.chmod(mode)
    with pytest.raises(SettingsError, match=rf"keys\.file: .* has the mode {mode:04o}.*chmod 600"):
        key_file.load(path)


@pytest.mark.parametrize(
    "content", [b"{", b"- {name: a}", b"- 1", b"\xff\xfe", b"keys: []", b"[{id: 0, id: 1}]"]
)
def test_a_file_that_is_no_keys_file_is_named(tmp_path: Path, content: bytes) -> None:
    """Whatever is wrong in it, the message names the file in one line."""
    path = tmp_path / "keys.yaml"
    path.touch(0o600)
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=r"keys\.file: .*keys\.yaml") as caught:
        key_file.load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"- id: '0'\n  name: [a\n", "wanted YAML, but while parsing a flow sequence in line 2"),
        (b"- id: '0'\n  name: \xff\n", "in line 2"),
        (b"\n- id: xyz\n", "wanted a list of keys, but line 2, id: expected `str` matching regex"),
        (b"- id: '00000000'\n", "line 1: object missing required field `name`"),
        (b"id: '00000000'\n", "line 1: expected `array`, got `object`"),
    ],
)
def test_a_broken_file_says_where_and_what_to_do(tmp_path: Path, content: bytes, wanted: str) -> None:
    """The message names file, line and fault, and what to do; no name that a library gave the text."""
    path = tmp_path / "keys.yaml"
    path.touch(0o600)
    path.write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        key_file.load(path)
    said = str(caught.value)
    assert said.startswith(f"keys.file: {path}: ")
    assert wanted in said
    assert said.endswith("; correct it there, or put an earlier copy of the file back")
    assert "string>" not in said


def test_a_key_that_stands_there_twice_is_named_with_the_file(tmp_path: Path) -> None:
    """What is wrong with the keys together names the file too."""
    path = tmp_path / "keys.yaml"
    key, _ = create("a", ["infer"], NOW)
    key_file.save(path, [key, key])
    with pytest.raises(SettingsError, match=r"keys\.file: .*keys\.yaml: the keys a .* have the same id"):
        key_file.load(path)


def test_what_has_two_readings_is_refused(tmp_path: Path) -> None:
    """A rate that YAML counts in eights, or a field twice, has no winner that a reader would guess."""
    path = tmp_path / "keys.yaml"
    one_key(path, "infer")
    whole = path.read_text()
    for line, said in (
        ("  rate: 010\n", "line 7 is 8 to YAML"),
        ("  name: two\n", "name stands there again"),
    ):
        path.write_text(whole + line)
        with pytest.raises(SettingsError, match=said):
            key_file.load(path)


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    """Keys are never taken from the beginning of a file alone."""
    path = tmp_path / "keys.yaml"
    one_key(path, "infer")
    path.write_bytes(path.read_bytes() + b"#" * (4 << 20))
    with pytest.raises(SettingsError, match="more than 4194304 bytes"):
        key_file.load(path)


def test_a_file_behind_a_link_is_changed_itself(tmp_path: Path) -> None:
    """A key that is revoked by a link's name is good no more for a program that has the file's own."""
    file, link = tmp_path / "keys.yaml", tmp_path / "link.yaml"
    one_key(file, "infer")
    link.symlink_to("keys.yaml")
    with key_file.changing(link):
        key_file.save(link, ())
    assert link.is_symlink()
    assert key_file.load(file).keys == ()


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    """Nobody starts without the keys that were asked for."""
    with pytest.raises(SettingsError, match="config keys create"):
        key_file.load(tmp_path / "none.yaml")


def test_a_changed_file_is_taken_up_and_a_broken_one_changes_nothing(tmp_path: Path) -> None:
    """New keys arrive at the next look; a file that cannot be read leaves the old ones and says so once."""
    path, lines, seen = tmp_path / "keys.yaml", io.StringIO(), list[KeyBook]()
    first = one_key(path, "infer").encode()
    following = key_file.KeyFile(path, seen.append, Log(lines, FakeClock()))
    following.look()
    assert len(seen) == 1
    second = one_key(path, "infer").encode()
    following.look()
    assert (seen[-1].find(first), seen[-1].find(second) is not None) == (None, True)
    path.unlink()
    following.look()
    following.look()
    assert len(seen) == 2
    assert lines.getvalue().count("keys-not-reloaded") == 1
