"""One segment: a SQLite file that holds frames in the order they were committed.

Rules:

* Segments are numbered from 1 and named 000001.seg, 000002.seg, … A segment is written to while it is not
  sealed, and only when the one before it is sealed (or gone): there is one *active* segment, the lowest that
  is not sealed. `sealed` is read inside the transaction that writes or reads.
* A frame's row number is its place in the commit order: numbers rise by one writer after another, and no
  row is ever deleted, so a reader who has seen row n has seen all before it.
* `streams` holds each stream's last sequence over the whole log, not only this segment: it is carried on.

It knows tables and file names; `segment_sink.py` knows when to rotate.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from groundwork.database import Schema, open_database, transaction
from groundwork.errors import DriftgateError, NewerStoreError, StoreError

SUFFIX: Final = ".seg"
PAGE_BYTES: Final = 16 << 10
"""Frames are long: with pages of 4 KiB a frame of 2 MB costs twice the processor time."""

CARRIED: Final = 10_000
"""Streams whose last sequence is carried on however long they were silent; some 30 bytes each."""

StreamEnd: TypeAlias = tuple[int, int, int]
"""(incarnation, stream, last sequence)."""

SEGMENT: Final = Schema(
    name="log segment",
    page_bytes=PAGE_BYTES,
    migrations=(
        """
        CREATE TABLE segment (
            number INTEGER PRIMARY KEY,
            created INTEGER NOT NULL,
            boot TEXT NOT NULL,
            sealed INTEGER NOT NULL DEFAULT 0
        );
        CREATE TABLE streams (
            incarnation INTEGER NOT NULL,
            stream INTEGER NOT NULL,
            end_seq INTEGER NOT NULL,
            PRIMARY KEY (incarnation, stream)
        ) WITHOUT ROWID;
        CREATE TABLE frames (
            row INTEGER PRIMARY KEY,
            kind INTEGER NOT NULL,
            model TEXT NOT NULL,
            version TEXT NOT NULL,
            first_time INTEGER NOT NULL,
            last_time INTEGER NOT NULL,
            rows INTEGER NOT NULL,
            incarnation INTEGER NOT NULL,
            stream INTEGER NOT NULL,
            first_seq INTEGER NOT NULL,
            end_seq INTEGER NOT NULL,
            body BLOB NOT NULL
        );
        CREATE INDEX frames_by_sequence ON frames (incarnation, stream, end_seq);
        CREATE INDEX frames_by_model ON frames (model, kind, last_time);
        """,
    ),
)


class FrameRow(NamedTuple):
    """A frame as it stands in the table `frames`, without its row number."""

    kind: int
    model: str
    version: str
    first_time: int
    last_time: int
    rows: int
    incarnation: int
    stream: int
    first_seq: int
    end_seq: int
    body: bytes


_INSERT: Final = """
    INSERT INTO frames (
        kind, model, version, first_time, last_time, rows, incarnation, stream, first_seq, end_seq, body
    ) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_INSERT_ROOM: Final = f"{_INSERT.rstrip().removesuffix('?)')}zeroblob(?))"
_PIECE: Final = 1 << 20
_MOST_AT_ONCE: Final = 4 << 20
"""Bytes that sqlite3 copies while no other thread has the interpreter: a few milliseconds."""


def segment_path(folder: Path, number: int) -> Path:
    """Where segment `number` lies."""
    return folder / f"{number:06d}{SUFFIX}"


def numbers(folder: Path) -> list[int]:
    """The segments that are there, ascending; 3 µs for each."""
    stems = (path.name.removesuffix(SUFFIX) for path in folder.glob(f"*{SUFFIX}"))
    return sorted(int(stem) for stem in stems if stem.isascii() and stem.isdecimal())


def open_segment(folder: Path, number: int, *, readonly: bool = False) -> sqlite3.Connection:
    """A connection to segment `number`, created unless `readonly`; raises what open_database does."""
    return open_database(segment_path(folder, number), SEGMENT, synchronous="NORMAL", readonly=readonly)


@contextmanager
def existing(folder: Path, number: int, *, readonly: bool = True) -> Iterator[sqlite3.Connection | None]:
    """A connection to segment `number`, closed afterwards; None where the log's limits have dropped it.

    Raises what open_database does for one that is there.
    """
    path = segment_path(folder, number)
    connection = None
    try:
        connection = open_database(path, SEGMENT, synchronous="NORMAL", readonly=readonly, create=False)
    except StoreError:
        if path.exists():
            raise
    try:
        yield connection
    finally:
        if connection is not None:
            connection.close()


def refuse_newer(folder: Path) -> None:
    """Raise NewerStoreError where a newer driftgate wrote a segment; for whoever is about to use the log.

    A segment that cannot be read at all is no reason here: readers and writers say so themselves. A
    millisecond or less for each segment.
    """
    for number in numbers(folder):
        try:
            open_segment(folder, number, readonly=True).close()
        except NewerStoreError:
            raise
        except (DriftgateError, sqlite3.Error):
            continue


def begin_segment(
    connection: sqlite3.Connection,
    number: int,
    created: int,
    boot: str,
    carried: Iterable[StreamEnd],
) -> None:
    """Give a segment that nobody writes to yet its number and the sequences carried into it.

    May be repeated: a rotation that was cut short is done again from its beginning. No sequence goes back.
    """
    with transaction(connection):
        if is_sealed(connection) is None:
            connection.execute(
                "INSERT INTO segment (number, created, boot) VALUES (?, ?, ?)", (number, created, boot)
            )
        connection.executemany(
            "INSERT INTO streams VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET end_seq ="
            " max(end_seq, excluded.end_seq)",
            carried,
        )


def is_sealed(connection: sqlite3.Connection) -> bool | None:
    """Whether the segment is sealed; None where it has not even begun."""
    row = connection.execute("SELECT sealed FROM segment").fetchone()
    return None if row is None else bool(row[0])


def boot_of(connection: sqlite3.Connection) -> str:
    """Which boot of the machine the segment was begun in."""
    boot: str = connection.execute("SELECT boot FROM segment").fetchone()[0]
    return boot


def created_at(connection: sqlite3.Connection) -> int:
    """When the segment was begun, in unix nanoseconds."""
    created: int = connection.execute("SELECT created FROM segment").fetchone()[0]
    return created


def size(connection: sqlite3.Connection) -> int:
    """Bytes of the segment's database, what is not committed yet included."""
    pages: int = connection.execute("PRAGMA page_count").fetchone()[0]
    page: int = connection.execute("PRAGMA page_size").fetchone()[0]
    return pages * page


def last_row(connection: sqlite3.Connection) -> int:
    """The row number of the newest frame, 0 before the first."""
    row: int = connection.execute("SELECT coalesce(max(row), 0) FROM frames").fetchone()[0]
    return row


def sequences(connection: sqlite3.Connection) -> list[StreamEnd]:
    """(incarnation, stream, last sequence) of every stream."""
    return connection.execute("SELECT incarnation, stream, end_seq FROM streams").fetchall()


def carried(connection: sqlite3.Connection, most: int = CARRIED) -> list[StreamEnd]:
    """What the next segment must know: of every stream but those of workers that are long gone.

    A stream is left behind when it wrote nothing in this whole segment and `most` younger ones are there. It
    may still write what is new; only a frame that is written again is told by its stream's last sequence, and
    that is done at once.
    """
    return connection.execute(
        "SELECT incarnation, stream, end_seq FROM streams WHERE incarnation = 0 OR incarnation >="
        " (SELECT min(incarnation) FROM (SELECT incarnation FROM streams ORDER BY incarnation DESC LIMIT ?))"
        " OR EXISTS (SELECT 1 FROM frames WHERE frames.incarnation = streams.incarnation"
        " AND frames.stream = streams.stream)",
        (most,),
    ).fetchall()


def begun_at(connection: sqlite3.Connection) -> list[StreamEnd]:
    """(incarnation, stream, the sequence at which this segment began) of every stream."""
    return connection.execute(
        "SELECT incarnation, stream, coalesce((SELECT min(first_seq) FROM frames WHERE"
        " frames.incarnation = streams.incarnation AND frames.stream = streams.stream), end_seq) FROM streams"
    ).fetchall()


def last_sequence(connection: sqlite3.Connection, incarnation: int, stream: int) -> int | None:
    """The end of the last frame of a stream, or None before its first."""
    found = connection.execute(
        "SELECT end_seq FROM streams WHERE incarnation = ? AND stream = ?", (incarnation, stream)
    ).fetchone()
    return None if found is None else int(found[0])


def insert(connection: sqlite3.Connection, row: FrameRow) -> None:
    """Append a frame and raise its stream's last sequence; inside the caller's transaction."""
    if len(row.body) <= _MOST_AT_ONCE:
        connection.execute(_INSERT, row)
    else:
        _insert_in_pieces(connection, row)
    connection.execute(
        "INSERT OR REPLACE INTO streams VALUES (?, ?, ?)", (row.incarnation, row.stream, row.end_seq)
    )


def _insert_in_pieces(connection: sqlite3.Connection, row: FrameRow) -> None:
    body = memoryview(row.body)
    place = connection.execute(_INSERT_ROOM, (*row[:-1], len(body))).lastrowid
    if place is None:
        raise StoreError("SQLite did not say where it put a frame; look for damage of the disk")
    with connection.blobopen("frames", "body", place) as blob:
        for at in range(0, len(body), _PIECE):
            blob.write(body[at : at + _PIECE])


def active_number(folder: Path) -> int | None:
    """The lowest segment that is not sealed, or None before the first.

    The highest number is not enough: a rotation cut short leaves a next segment beside one not yet sealed.
    """
    present = numbers(folder)
    if not present:
        return None
    following = present.pop()
    while present and present[-1] == following - 1 and not _is_sealed_on_disk(folder, present[-1]):
        following = present.pop()
    return following


def _is_sealed_on_disk(folder: Path, number: int) -> bool:
    """Whether nobody writes to it any more; so it was with one that the log's limits have just dropped."""
    with existing(folder, number) as connection:
        return connection is None or bool(is_sealed(connection))
