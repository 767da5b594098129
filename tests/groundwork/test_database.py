"""SQLite files: made whole, migrated forward, refused when newer or damaged."""

import contextlib
import sqlite3
import stat
import threading
from pathlib import Path

import pytest

from groundwork.database import Schema, open_database, split_statements, transaction
from groundwork.errors import NewerStoreError, NoRoomError, StoreError
from tests.counts import count
from tests.strangers import nobody, open_folder

FIRST = Schema("things", ("CREATE TABLE thing(name TEXT); INSERT INTO thing VALUES ('a;b');",))
SECOND = Schema("things", (*FIRST.migrations, "ALTER TABLE thing ADD COLUMN size INTEGER DEFAULT 3;"))


def pragma(connection: sqlite3.Connection, name: str) -> object:
    """The value of a pragma."""
    value: object = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value


def test_a_new_database_is_whole_and_private(tmp_path: Path) -> None:
    """It is in WAL, synced as asked, owned by its schema, and nothing else is left in the folder."""
    path = tmp_path / "things.db"
    connection = open_database(path, FIRST, synchronous="NORMAL")
    assert connection.execute("SELECT name FROM thing").fetchall() == [("a;b",)]
    assert (pragma(connection, "journal_mode"), pragma(connection, "synchronous")) == ("wal", 1)
    assert (pragma(connection, "user_version"), pragma(connection, "application_id")) == (
        1,
        FIRST.application_id,
    )
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    connection.close()
    assert list(tmp_path.iterdir()) == [path]


def test_pages_are_those_a_file_was_made_with(tmp_path: Path) -> None:
    """A schema's size of a page holds for new files; one that is there keeps its own."""
    path, wide = tmp_path / "things.db", Schema("things", FIRST.migrations, page_bytes=16384)
    for schema, wanted in ((wide, 16384), (FIRST, 16384)):
        connection = open_database(path, schema)
        assert pragma(connection, "page_size") == wanted
        connection.close()


def test_an_older_database_is_brought_forward(tmp_path: Path) -> None:
    """Each migration that the file has not seen is applied once, and the rows stay."""
    path = tmp_path / "things.db"
    open_database(path, FIRST).close()
    for _ in range(2):
        connection = open_database(path, SECOND)
        assert connection.execute("SELECT name, size FROM thing").fetchall() == [("a;b", 3)]
        assert pragma(connection, "user_version") == 2
        connection.close()


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    """Half of a migration is never there: neither its first statement nor its number."""
    path = tmp_path / "things.db"
    open_database(path, FIRST).close()
    broken = Schema("things", (*FIRST.migrations, "CREATE TABLE other(x); INSERT INTO missing VALUES (1);"))
    with pytest.raises(StoreError, match="missing"):
        open_database(path, broken)
    connection = open_database(path, FIRST)
    assert connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (1,)
    connection.close()


def test_a_first_migration_that_fails_leaves_no_file(tmp_path: Path) -> None:
    """A database is there whole, or not at all."""
    with pytest.raises(StoreError):
        open_database(tmp_path / "things.db", Schema("things", ("CREATE TABLE;",)))
    assert list(tmp_path.iterdir()) == []


def test_a_newer_database_is_refused(tmp_path: Path) -> None:
    """The line names the file, both versions and what to do, and the file is not touched."""
    path = tmp_path / "things.db"
    open_database(path, SECOND).close()
    before = path.read_bytes()
    with pytest.raises(
        NewerStoreError, match=r"things\.db: wanted things version 1 or lower, found 2.*newer"
    ):
        open_database(path, FIRST)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "content", [b"no database at all, but long enough to have a header" * 40, b"SQLite format 3\0"]
)
def test_a_damaged_database_is_refused(tmp_path: Path, content: bytes) -> None:
    """What is not a database is told in one line, and left for a person to look at."""
    path = tmp_path / "things.db"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"things\.db: cannot be opened"):
        open_database(path, FIRST)
    assert path.read_bytes() == content


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    """A file of another schema, or of nobody's, is not migrated over."""
    path = tmp_path / "things.db"
    open_database(path, Schema("others", FIRST.migrations)).close()
    with pytest.raises(StoreError, match="another program's"):
        open_database(path, FIRST)
    stranger = tmp_path / "stranger.db"
    with sqlite3.connect(stranger) as connection:
        connection.execute("PRAGMA user_version = 1")
    connection.close()
    with pytest.raises(StoreError, match="another program's"):
        open_database(stranger, FIRST)


def test_a_reader_creates_and_migrates_nothing(tmp_path: Path) -> None:
    """Read-only opening refuses a missing and an older file, and every write."""
    path = tmp_path / "things.db"
    with pytest.raises(StoreError):
        open_database(path, FIRST, readonly=True)
    assert not path.exists()
    open_database(path, FIRST).close()
    with pytest.raises(StoreError, match="opened for reading only"):
        open_database(path, SECOND, readonly=True)
    reader = open_database(path, FIRST, readonly=True)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.execute("DELETE FROM thing")
    reader.close()


def test_an_emptied_file_is_no_new_database(tmp_path: Path) -> None:
    """Files appear whole, so an empty one was emptied; starting anew in it would hide that."""
    path = tmp_path / "things.db"
    path.touch()
    with pytest.raises(StoreError, match="found an empty file"):
        open_database(path, SECOND)


def test_a_database_that_was_taken_away_does_not_come_back(tmp_path: Path) -> None:
    """Its write-ahead log alone is refused, as long as it holds anything: a new file would take its pages."""
    path, log = tmp_path / "things.db", tmp_path / "things.db-wal"
    connection = open_database(path, FIRST)
    connection.execute("INSERT INTO thing VALUES ('old')")
    left = log.read_bytes()  # as a killed process leaves it
    connection.close()
    path.unlink()
    log.write_bytes(left)
    with pytest.raises(StoreError, match=r"things\.db-wal"):
        open_database(path, FIRST)
    log.write_bytes(b"")
    connection = open_database(path, FIRST)
    assert connection.execute("SELECT name FROM thing").fetchall() == [("a;b",)]
    connection.close()


def opened_at_once(path: Path, schema: Schema, openers: int = 4) -> list[object]:
    """What each of some threads found that opened a database in the same moment."""
    found: list[object] = []
    start = threading.Barrier(openers)

    def enter() -> None:
        start.wait()
        try:
            with contextlib.closing(open_database(path, schema)) as connection:
                found.append(connection.execute("SELECT count(*) FROM thing").fetchone())
        except StoreError as error:
            found.append(error)

    threads = [threading.Thread(target=enter) for _ in range(openers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_many_may_open_a_new_database_at_once(tmp_path: Path) -> None:
    """Whoever comes first makes it, and all find the same one, migrated once."""
    for turn in range(count(3, 50)):
        assert opened_at_once(tmp_path / f"{turn}.db", SECOND) == [(1,)] * 4


def test_many_may_open_a_copy_at_once(tmp_path: Path) -> None:
    """A copy has no write-ahead log: of those that come to give it one, none is turned away."""
    original = tmp_path / "things.db"
    with contextlib.closing(open_database(original, FIRST)) as connection:
        for turn in range(20):
            connection.execute("VACUUM INTO ?", (str(tmp_path / f"{turn}.db"),))
    for turn in range(20):
        assert opened_at_once(tmp_path / f"{turn}.db", FIRST) == [(1,)] * 4


def test_a_transaction_is_all_or_nothing(tmp_path: Path) -> None:
    """A block that raises takes its writes back; one that ends keeps them."""
    connection = open_database(tmp_path / "things.db", FIRST)

    def fail() -> None:
        with transaction(connection):
            connection.execute("DELETE FROM thing")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with transaction(connection) as inside:
        inside.execute("INSERT INTO thing VALUES ('c')")
    assert connection.execute("SELECT count(*) FROM thing").fetchone() == (2,)
    assert not connection.in_transaction
    connection.close()


def test_a_full_disk_is_told_apart(tmp_path: Path) -> None:
    """A migration that finds no room is NoRoomError, not damage."""
    path = tmp_path / "things.db"
    open_database(path, FIRST).close()
    fat = "PRAGMA max_page_count = 2; CREATE TABLE fat AS SELECT zeroblob(100000) AS x;"
    with pytest.raises(NoRoomError, match="no room for the things database"):
        open_database(path, Schema("things", (*FIRST.migrations, fat)))


def test_a_database_that_is_not_ours_is_told_apart() -> None:
    """A file that the system keeps from us is not called damaged: it says whose it should be."""
    with open_folder() as folder:
        path = folder / "things.db"
        open_database(path, FIRST).close()
        path.chmod(0)
        folder.chmod(0o777)
        with nobody(), pytest.raises(StoreError, match=r"things\.db: wanted a part .*; give it to that user"):
            open_database(path, FIRST)


def test_a_held_database_is_told_apart(tmp_path: Path) -> None:
    """A file that another program keeps to itself is not called damaged."""
    path = tmp_path / "things.db"
    open_database(path, FIRST).close()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="the things database is held by another program"):
            open_database(path, SECOND)


def test_a_script_is_split_where_sqlite_ends_statements() -> None:
    """Semicolons in strings, comments and triggers end nothing."""
    trigger = "CREATE TRIGGER t AFTER INSERT ON x BEGIN DELETE FROM y; DELETE FROM z; END;"
    script = f"CREATE TABLE x(a DEFAULT ';'); -- one; two\n{trigger}\n;;"
    assert [statement.splitlines()[-1] for statement in split_statements(script)] == [
        "CREATE TABLE x(a DEFAULT ';');",
        trigger,
    ]
    with pytest.raises(ValueError, match="middle of a statement"):
        split_statements("INSERT INTO x VALUES ('b")
