"""`driftgate config keys`: a life of a key."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from driftgate.__main__ import run
from groundwork import key_file
from groundwork.errors import SettingsError
from groundwork.keys import MOST_KEYS, Key, create
from tests.keys import NOW


def test_create_list_revoke(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A key is made, shown once, listed without its secret, and revoked by its id."""
    file = ["--file", str(tmp_path / "keys.yaml")]
    common = ["config", "keys"]
    made = ["--name", "ci", "--scope", "read", "--scope", "operate", "--expires", "90d", "--rate", "5"]
    assert run([*common, "create", *made, *file]) == 0
    text = capsys.readouterr().out.strip()
    found = key_file.load(tmp_path / "keys.yaml").find(text.encode())
    assert found is not None
    assert (found.name, found.scopes, found.rate) == ("ci", ("read", "operate"), 5.0)
    assert found.expires is not None
    assert (found.expires - found.created).days == 90
    assert run([*common, "list", *file]) == 0
    listed = capsys.readouterr().out
    assert found.id in listed
    assert text.split("_")[2] not in listed + (tmp_path / "keys.yaml").read_text()
    assert run([*common, "revoke", found.id, *file, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["id"] == found.id
    assert key_file.load(tmp_path / "keys.yaml").keys == ()


def test_a_name_of_two_keys_revokes_neither(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """During a rotation two keys have one name; the id must be said."""
    file = ["--file", str(tmp_path / "keys.yaml")]
    for _ in range(2):
        assert run(["config", "keys", "create", "--name", "a", "--scope", "infer", *file]) == 0
    assert run(["config", "keys", "revoke", "a", *file]) == 1
    assert "wanted one key that is called 'a', found 2" in capsys.readouterr().err
    assert len(key_file.load(tmp_path / "keys.yaml").keys) == 2


def _alike(path: Path, *keys: Key) -> list[str]:
    """A file of these keys, whatever they have in common; the arguments that name it."""
    key_file.save(path, keys)
    with pytest.raises(SettingsError):
        key_file.load(path)
    return ["--file", str(path)]


def test_a_secret_that_stands_twice_is_mended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that no program takes is listed with the reason, and taken again when one key is revoked."""
    one, _ = create("one", ["infer"], NOW)
    two = msgspec.structs.replace(one, id="00000002", name="two")
    file = _alike(tmp_path / "keys.yaml", one, two)
    assert run(["config", "keys", "list", *file]) == 1
    listed = capsys.readouterr()
    assert {one.id, two.id} <= set(listed.out.split())
    assert "have the same secret; revoke 00000002 (`driftgate config keys revoke`)" in listed.err
    assert run(["config", "keys", "revoke", "00000002", *file]) == 0
    told = capsys.readouterr()
    assert "✔ key 00000002 (two) is revoked" in told.out
    assert f"key {one.id} (one) has the same secret" in told.err
    assert key_file.load(tmp_path / "keys.yaml").keys == (one,)


def test_an_id_that_stands_twice_is_revoked_whole(tmp_path: Path) -> None:
    """No key of that id is left that would still open something."""
    one, _ = create("one", ["infer"], NOW)
    two, _ = create("two", ["infer"], NOW)
    file = _alike(tmp_path / "keys.yaml", one, msgspec.structs.replace(two, id=one.id), one, two)
    assert run(["config", "keys", "revoke", one.id, *file]) == 0
    assert key_file.load(tmp_path / "keys.yaml").keys == (two,)


def test_of_too_many_keys_some_can_be_revoked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As long as they are too many that is said, and when they are not the file is taken."""
    keys = [create(f"k{number}", ["infer"], NOW)[0] for number in range(MOST_KEYS + 2)]
    file = _alike(tmp_path / "keys.yaml", *keys)
    assert run(["config", "keys", "revoke", "k0", *file]) == 1
    assert f"wanted at most {MOST_KEYS} keys, found {MOST_KEYS + 1}" in capsys.readouterr().err
    assert run(["config", "keys", "revoke", "k1", *file]) == 0
    assert len(key_file.load(tmp_path / "keys.yaml").keys) == MOST_KEYS


def test_an_id_is_meant_before_a_name(tmp_path: Path) -> None:
    """A key that is called as another one's id is not taken for it."""
    one, _ = create("one", ["infer"], NOW)
    two, _ = create(one.id, ["infer"], NOW)
    key_file.save(tmp_path / "keys.yaml", [one, two])
    assert run(["config", "keys", "revoke", one.id, "--file", str(tmp_path / "keys.yaml")]) == 0
    assert key_file.load(tmp_path / "keys.yaml").keys == (two,)


def test_the_file_of_the_settings_is_used_and_made(tmp_path: Path) -> None:
    """`keys.file` of a settings file names where the first key goes, before that file exists."""
    settings = tmp_path / "driftgate.yaml"
    settings.write_text(f"keys: {{file: {tmp_path / 'mine.yaml'}}}\n")
    create = ["config", "keys", "create", "--name", "a", "--scope", "infer", "--config", str(settings)]
    assert run(create) == 0
    assert len(key_file.load(tmp_path / "mine.yaml").keys) == 1


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--name", "a", "--scope", "everything"], 2),
        (["--name", "a"], 2),
        (["--name", "a b", "--scope", "infer"], 1),
        (["--name", "a", "--scope", "infer", "--rate", "0"], 1),
        (["--name", "a", "--scope", "infer", "--rate", "nan"], 2),
        (["--name", "a", "--scope", "infer", "--rate", "inf"], 2),
        (["--name", "a", "--scope", "infer", "--expires", "soon"], 1),
        (["--name", "a", "--scope", "infer", "--expires", "0"], 2),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, arguments: list[str], code: int) -> None:
    """An unknown scope, none, a bad name, an impossible rate: one line, and no file."""
    file = tmp_path / "keys.yaml"
    assert run(["config", "keys", "create", *arguments, "--file", str(file)]) == code
    assert not file.exists()


def test_an_end_that_no_calendar_has_is_a_misuse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is said in one line, and no key is made."""
    made = [
        "--name",
        "a",
        "--scope",
        "infer",
        "--expires",
        "99999999d",
        "--file",
        str(tmp_path / "keys.yaml"),
    ]
    assert run(["config", "keys", "create", *made]) == 2
    assert "--expires: '99999999d' ends after the year 9999" in capsys.readouterr().err
    assert not (tmp_path / "keys.yaml").exists()


def test_keys_that_are_made_at_once_are_all_kept(tmp_path: Path) -> None:
    """None of several who change the file takes away what another has just put there."""
    made = ["config", "keys", "create", "--scope", "infer", "--file", str(tmp_path / "keys.yaml"), "--name"]
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda number: run([*made, f"k{number}"]), range(8))) == {0}
    assert {key.name for key in key_file.load(tmp_path / "keys.yaml").keys} == {f"k{n}" for n in range(8)}
