"""SQLite files the way the product opens them: WAL, private, versioned, created whole, migrated forward only.

Rules:
1. A new file is built under another name and linked into place, so that nobody ever opens a half-made one.
2. `user_version` counts the migrations applied; each runs in its own transaction together with its count.
   `application_id` (a checksum of the schema's name) tells whose file it is.
3. A newer file is refused: going back is the operator's decision, by a copy made before.
4. Only SQLite opens an existing database file: closing a second descriptor would drop SQLite's own locks.
5. A write-ahead log without its database is refused: SQLite would take it for the new file's, and the pages
   of the one that was taken away would come back in it.

Refuses to know: any table.
"""

import contextlib
import os
import secrets
import sqlite3
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

import msgspec

from groundwork.errors import NewerStoreError, NoRoomError, OlderStoreError, StoreError
from groundwork.files import sync_folder

Synchronous = Literal["OFF", "NORMAL", "FULL", "EXTRA"]

_NO_ROOM: Final = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR_SHMSIZE,
        sqlite3.SQLITE_IOERR_SHMMAP,
        sqlite3.SQLITE_IOERR_WRITE,
    }
)

_REFUSED: Final = frozenset({sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM})
"""What SQLite says, among other things, where the system keeps a file from us."""

_ATTEMPTS: Final = 20
"""How often a file is put into WAL: each one that fails has lost to another opener, who then has done it."""


class Schema(msgspec.Struct, frozen=True):
    """What a database file holds: its name in messages, and the scripts from version i to i + 1.

    An empty script raises the version alone: for documents inside the rows with fields that a program of the
    version before does not know, whose own rows are read by those fields' defaults.

    `page_bytes` is what a new file is read and written by; one that is there keeps what it was made with.
    """

    name: str
    migrations: tuple[str, ...]
    page_bytes: int = 4096

    @property
    def application_id(self) -> int:
        """The number that marks a file as this schema's (31 bits, never 0)."""
        return zlib.crc32(self.name.encode()) & 0x7FFF_FFFF or 1


def open_database(
    path: Path,
    schema: Schema,
    *,
    synchronous: Synchronous = "FULL",
    readonly: bool = False,
    create: bool = True,
) -> sqlite3.Connection:
    """Open the database at `path` in autocommit; created (but not unless `create`) or migrated first.

    `readonly` does neither.

    NewerStoreError for a file of a later product, OlderStoreError for one that `readonly` leaves as it is,
    StoreError for a damaged or foreign one, NoRoomError when the disk is full. Any thread may use the
    connection, but no two at the same time.
    """
    try:
        if create and not readonly and _is_missing(path, schema):
            _create(path, schema)
        return _open(path, schema, synchronous, readonly=readonly)
    except sqlite3.Error as error:
        raise _explained(path, schema, error) from error


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """BEGIN IMMEDIATE … COMMIT, or ROLLBACK when the block (or the commit itself) raises."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _is_missing(path: Path, schema: Schema) -> bool:
    """Whether the file has to be made; StoreError where only its write-ahead log is there."""
    log = path.with_name(f"{path.name}-wal")
    # The log is looked at first: whoever makes the database meanwhile has no log before it.
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size and not path.exists():
            raise StoreError(
                f"{path}: wanted a {schema.name} database, found only {log.name}, the write-ahead log of one"
                " that was taken away; put that one back, or move its log away too"
            )
    return not path.exists()


def _create(path: Path, schema: Schema) -> None:
    """Build the file under a name of its own, then link it to `path`; whoever links first, wins."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    os.close(os.open(beside, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        # FULL whatever the caller wants later: the link below must point at a file that is on the disk.
        _open(beside, schema, "FULL", readonly=False, fresh=True).close()
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(beside)
    finally:
        for leftover in (
            beside,
            beside.with_name(f"{beside.name}-wal"),
            beside.with_name(f"{beside.name}-shm"),
        ):
            leftover.unlink(missing_ok=True)
    sync_folder(path.parent)


def _open(
    path: Path, schema: Schema, synchronous: str, *, readonly: bool, fresh: bool = False
) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={'ro' if readonly else 'rw'}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        connection.execute("PRAGMA busy_timeout = 5000")
        if fresh:
            connection.execute(f"PRAGMA page_size = {schema.page_bytes}")
        if not readonly:
            _keep_a_log(connection)
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute("PRAGMA foreign_keys = ON")
        _bring_forward(connection, path, schema, readonly=readonly, fresh=fresh)
    except BaseException:
        connection.close()
        raise
    return connection


def _keep_a_log(connection: sqlite3.Connection) -> None:
    """Put the file into WAL: a no-op but for a copy, of a backup or `VACUUM INTO`, which has no such log.

    Where another connection is changing it too, SQLite gives up at once, without asking the busy handler.
    A transaction does ask, so one waits, between two attempts, for the other to be done.
    """
    for _ in range(_ATTEMPTS):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if not _is_held(error):
                raise
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
        else:
            return
    connection.execute("PRAGMA journal_mode = WAL")


def _bring_forward(
    connection: sqlite3.Connection, path: Path, schema: Schema, *, readonly: bool, fresh: bool
) -> None:
    """Apply the migrations that the file has not seen, one transaction each."""
    version = _checked_version(connection, path, schema)
    wanted = len(schema.migrations)
    if version == 0 and not fresh:
        # Files appear whole (rule 1): one without a version was emptied by something else.
        raise StoreError(f"{path}: wanted a {schema.name} database, found an empty file; restore a copy")
    if readonly and version < wanted:
        raise OlderStoreError(
            f"{path}: wanted {schema.name} version {wanted}, found {version}, opened for reading"
            " only; start the program that owns it once, so that it is brought forward",
        )
    while version < wanted:
        with transaction(connection):
            # Asked again inside the transaction: another process may have got here first.
            version = _checked_version(connection, path, schema)
            if version < wanted:
                _apply(connection, schema, version)
                version += 1


def _apply(connection: sqlite3.Connection, schema: Schema, version: int) -> None:
    for statement in split_statements(schema.migrations[version]):
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {schema.application_id}")
    connection.execute(f"PRAGMA user_version = {version + 1}")


def _checked_version(connection: sqlite3.Connection, path: Path, schema: Schema) -> int:
    """The file's version, once it is known to be this schema's and not newer than this program."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    owner: int = connection.execute("PRAGMA application_id").fetchone()[0]
    if owner not in {0, schema.application_id} or (owner == 0 and version > 0):
        raise StoreError(f"{path}: wanted a {schema.name} database, found another program's; move it away")
    wanted = len(schema.migrations)
    if version > wanted:
        raise NewerStoreError(
            f"{path}: wanted {schema.name} version {wanted} or lower, found {version}, written by"
            " a newer driftgate; install the newer driftgate or restore an older copy of the file",
        )
    return version


def split_statements(script: str) -> list[str]:
    """The statements of a script, by SQLite's own idea of where one ends (triggers and strings included)."""
    statements = []
    pending = ""
    for piece in script.split(";"):
        pending += piece
        if not pending.strip():
            pending = ""
            continue
        pending += ";"
        if sqlite3.complete_statement(pending):
            statements.append(pending.strip())
            pending = ""
    if pending.strip(" \n\t;"):
        raise ValueError(f"a migration ends in the middle of a statement: {pending.strip()[:60]!r}")
    return statements


def is_without_room(error: sqlite3.Error) -> bool:
    """Whether a file could not grow: the disk or a quota is full, for the file or the index of its log."""
    return getattr(error, "sqlite_errorcode", None) in _NO_ROOM


def _is_held(error: sqlite3.Error) -> bool:
    """Whether another connection has kept the file to itself."""
    return _primary(error) in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def _primary(error: sqlite3.Error) -> int:
    """SQLite's code, without what it adds of the circumstances; 0 where it gave none."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF


def unreadable(connection: sqlite3.Connection, path: Path, schema: Schema, error: Exception) -> StoreError:
    """Our error for a row that was read and not understood: damage, or of a newer program that came since."""
    try:
        _checked_version(connection, path, schema)
    except StoreError as refused:
        return refused
    except sqlite3.Error:
        pass  # what was found first is told
    return StoreError(f"{path}: a row cannot be understood ({error}); restore a copy")


def _explained(path: Path, schema: Schema, error: sqlite3.Error) -> StoreError | NoRoomError:
    """Our error for SQLite's: a full disk is told apart from a file that cannot be used."""
    if is_without_room(error):
        return NoRoomError(f"{path}: no room for the {schema.name} database; free disk space")
    if _is_held(error):
        return StoreError(
            f"{path}: the {schema.name} database is held by another program ({error});"
            " end that one, or its transaction"
        )
    if _primary(error) in _REFUSED and (kept := _kept_from_us(path)) is not None:
        return StoreError(
            f"{kept}: wanted a part of the {schema.name} database that this program (uid {os.geteuid()}) may"
            " read and write, found another user's; give it to that user (chown)"
        )
    return StoreError(
        f"{path}: cannot be opened as a {schema.name} database: {error}; restore a copy or move it away"
    )


def _kept_from_us(path: Path) -> Path | None:
    """The file of a database, or its folder, that the system lets us not read and write; None for none."""
    beside = [path.with_name(f"{path.name}{end}") for end in ("", "-wal", "-shm")]
    known = {"effective_ids": True} if os.access in os.supports_effective_ids else {}
    for part in (path.parent, *beside):
        wanted = os.R_OK | os.W_OK | (os.X_OK if part.is_dir() else 0)
        if part.exists() and not os.access(part, wanted, **known):
            return part
    return None
