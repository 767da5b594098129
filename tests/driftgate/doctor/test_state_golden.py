"""The data folder of every released version is opened, brought forward, and says what it said then.

One archive a version lies in tests/golden/data_folder; it is never written again. When a version is released:
`GOLDEN=add pytest tests/driftgate/doctor/test_state_golden.py`, and commit the new archive.
"""

import contextlib
import io
import os
import re
import sqlite3
import tarfile
from pathlib import Path
from typing import Any, Final

import pytest

from driftgate.doctor.finding import Subject
from driftgate.doctor.state import stores
from gateway.settings import GatewaySettings
from groundwork.clock import FakeClock
from groundwork.data_folder import Stamp, claim, product_version, read_stamp
from groundwork.database import Schema, open_database
from groundwork.errors import NewerStoreError, StoreError
from groundwork.slot_readings import read_slots, totals
from monitor import store as monitor_store
from monitor.settings import MonitorSettings
from prediction_log import segment_file
from prediction_log.ids import load_key
from prediction_log.record import Kind
from prediction_log.segment_source import SegmentSource
from prediction_log.transport import START
from rollouts import tables
from rollouts.store import SqliteStore
from tests.driftgate.doctor import folders
from tests.driftgate.doctor.contents import contents
from tests.prediction_log.samples import recovered

GOLDEN: Final = Path(__file__).parents[2] / "golden" / "data_folder"
VERSIONS: Final = sorted(path.name.removesuffix(".tar.gz") for path in GOLDEN.glob("*.tar.gz"))
DATABASES: Final[dict[str, Schema]] = {
    "rollouts.db": tables.SCHEMA,
    "monitor.db": monitor_store.SCHEMA,
    "log/000001.seg": segment_file.SEGMENT,
}


def unpacked(version: str, folder: Path) -> Path:
    """The data folder as that version left it."""
    with tarfile.open(GOLDEN / f"{version}.tar.gz") as tar:
        # As an attribute, for `extractall` knows no filter before Python 3.11.4, and Debian 12 has 3.11.2.
        tar.extraction_filter = getattr(tarfile, "data_filter", None)
        tar.extractall(folder)  # noqa: S202  our own archive
    return folder / "data"


def test_this_version_is_kept(tmp_path: Path) -> None:
    """There is an archive of the version that is being released."""
    file = GOLDEN / f"{product_version()}.tar.gz"
    if os.environ.get("GOLDEN") == "add" and not file.exists():
        folders.build(tmp_path / "data")
        file.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(file, "w:gz") as tar:
            tar.add(tmp_path / "data", "data", filter=_anonymous)
    assert file.exists()


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    return member


@pytest.mark.parametrize("version", VERSIONS)
def test_a_released_folder_says_what_it_said(tmp_path: Path, version: str) -> None:
    """Routes, history, log, monitor, slots, totals and key of an old folder are read as they were written."""
    data = unpacked(version, tmp_path)
    claim(data)
    found = contents(data)
    assert found["stamp"] == Stamp(1, product_version())
    route = found["routes"][folders.MODEL]
    assert (route.stable, route.candidate, route.revision) == ("1", None, 3)
    assert [entry.verb for entry in found["history"]] == ["first", "start", "abort"]
    assert found["verified"] == 3
    rows = sum(rows for _, kind, rows, *_ in found["log"] if kind == Kind.PREDICTION)
    assert (rows, len(found["key"])) == (folders.LOGGED, 16)
    assert len(found["ledger"]) == 9
    assert [(slot[0], slot[2], slot[3]) for slot in found["slots"]] == [(2, False, "")]
    (frames,) = found["rows"]
    assert len(frames) == 1
    hits = {key.name: value for key, value in found["totals"].items() if "hits" in key.name}
    assert hits == {"driftgate_test_hits_total": folders.HITS}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", DATABASES)
def test_a_database_brought_forward_is_as_a_new_one(tmp_path: Path, version: str, name: str) -> None:
    """Migrations end in exactly the tables of a file made today, so a schema is never changed in place."""
    schema = DATABASES[name]
    old = open_database(unpacked(version, tmp_path) / name, schema)
    new = open_database(tmp_path / "new", schema)
    assert _described(old) == _described(new)
    old.close()
    new.close()


@pytest.mark.parametrize("name", DATABASES)
def test_a_program_of_the_version_before_refuses_what_is_brought_forward(tmp_path: Path, name: str) -> None:
    """It calls the file newer, by its version, and reads no row of it."""
    schema = DATABASES[name]
    path = unpacked(VERSIONS[0], tmp_path) / name
    open_database(path, schema).close()
    before = Schema(schema.name, schema.migrations[:-1])
    newest = len(schema.migrations)
    with pytest.raises(NewerStoreError, match=f"version {newest - 1} or lower, found {newest}, written by"):
        open_database(path, before)


def test_a_released_folder_is_nothing_to_mend(tmp_path: Path) -> None:
    """Before the first start of this version the doctor says what that will bring forward, and no more."""
    data = unpacked(VERSIONS[0], tmp_path)
    gateway, monitor = GatewaySettings(data=str(data)), MonitorSettings(data=str(data), models="models")
    faults = [one for one in stores(Subject(gateway, monitor, data, folders.NOW, running=False)) if one.do]
    assert [one.level for one in faults] == ["warn", "warn"]
    for name, fault in zip(("rollouts.db", "monitor.db"), faults, strict=True):
        assert f"{name}: wanted" in fault.what
        assert fault.do == "nothing: the next start of the programs brings it forward"


def _described(connection: sqlite3.Connection) -> list[Any]:
    words = " ".join
    rows = connection.execute("SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_master").fetchall()
    return [
        connection.execute("PRAGMA user_version").fetchone(),
        *sorted((kind, name, table, words(sql.split())) for kind, name, table, sql in rows),
    ]


@pytest.mark.parametrize("name", DATABASES)
def test_a_newer_database_is_refused_by_its_owner(tmp_path: Path, name: str) -> None:
    """Whoever opens a database of a later version says which file, which version, and which is supported."""
    data = unpacked(VERSIONS[-1], tmp_path)
    with contextlib.closing(sqlite3.connect(data / name)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(NewerStoreError) as caught:
        _open_all(data)
    assert f"{data / name}: wanted" in str(caught.value)
    assert re.search(r"version \d or lower, found 99", str(caught.value))


@pytest.mark.parametrize("name", [*DATABASES, "folder.json", "slots/retired.json", "id.key"])
@pytest.mark.parametrize("content", [b"", b"not what it was" * 400])
def test_a_corrupt_file_is_named_in_one_line(tmp_path: Path, name: str, content: bytes) -> None:
    """A file of garbage, or of nothing, is an error of ours that names it, never another's traceback."""
    data = unpacked(VERSIONS[-1], tmp_path)
    for beside in data.glob(f"{name}-*"):
        beside.unlink()
    (data / name).write_bytes(content)
    with pytest.raises((StoreError, ValueError)) as caught:
        _open_all(data)
    assert name.rpartition("/")[2] in str(caught.value)
    assert "\n" not in str(caught.value)


def _open_all(data: Path) -> None:
    """Open every file as its owner does."""
    read_stamp(data)
    SqliteStore(data / "rollouts.db", FakeClock()).close()
    monitor_store.open_store(data).close()
    with contextlib.closing(SegmentSource(data / "log")) as source:
        source.read(START, 1_000)
    totals(data / "slots")
    for slot in read_slots(data / "slots"):
        for path in slot.folder.glob("*.rows"):
            recovered(path)
    load_key(data)


def test_archives_hold_no_name_of_a_person(tmp_path: Path) -> None:
    """What is kept for ever says nothing of the machine that made it."""
    for version in VERSIONS:
        with tarfile.open(GOLDEN / f"{version}.tar.gz") as tar:
            assert {member.uname for member in tar} == {""}
        data = unpacked(version, tmp_path / version)
        whole = io.BytesIO(b"".join(path.read_bytes() for path in data.rglob("*") if path.is_file()))
        assert b"/home/" not in whole.getvalue()
