"""monitor.db: everything the monitor knows, committed with the log offset it knows it from.

Rules:
1. One synced transaction per checkpoint holds the offset, detector states, incidents, ledger and outbox.
   After a crash the log is read again from that offset, so nothing is counted twice or forgotten.
2. The pipeline writes what follows from the log; the dispatcher writes only `deliveries` and `endpoints`, and
   removes events that are long settled, and their reports; the API writes only `reports` and asks the
   dispatcher for the rest.
   Each has a connection of its own, and who writes waits for its turn (`monitor.turns`).

Refuses to know: what any state means.
"""

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from groundwork import decoders
from groundwork.database import Schema, open_database
from groundwork.errors import StoreError
from groundwork.files import identity
from monitor.incidents import Incident
from prediction_log.transport import START, Offset

_TABLES: Final = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE watches (
    model TEXT NOT NULL, version TEXT NOT NULL, state BLOB NOT NULL, PRIMARY KEY (model, version)
) STRICT, WITHOUT ROWID;
CREATE TABLE incidents (
    id TEXT PRIMARY KEY, model TEXT NOT NULL, version TEXT NOT NULL, state TEXT NOT NULL,
    opened INTEGER NOT NULL, document BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX incidents_opened ON incidents (opened);

CREATE TABLE versions (
    number INTEGER PRIMARY KEY, model TEXT NOT NULL, version TEXT NOT NULL, UNIQUE (model, version)
) STRICT;
CREATE TABLE pairings (
    number INTEGER PRIMARY KEY, model TEXT NOT NULL, revision INTEGER NOT NULL, stable TEXT NOT NULL,
    candidate TEXT NOT NULL, both_right INTEGER NOT NULL DEFAULT 0, only_stable INTEGER NOT NULL DEFAULT 0,
    only_candidate INTEGER NOT NULL DEFAULT 0, both_wrong INTEGER NOT NULL DEFAULT 0,
    UNIQUE (model, revision, stable, candidate)
) STRICT;
CREATE TABLE predictions (
    seq INTEGER PRIMARY KEY, key INTEGER NOT NULL, row INTEGER NOT NULL, id BLOB NOT NULL, client INTEGER,
    version INTEGER NOT NULL, arm INTEGER NOT NULL, time INTEGER NOT NULL, aged INTEGER NOT NULL,
    predicted ANY, label ANY, labelled INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX predictions_key ON predictions (key, row);
CREATE INDEX predictions_client ON predictions (client, row) WHERE client IS NOT NULL;
CREATE TABLE pairs (
    seq INTEGER PRIMARY KEY, key INTEGER NOT NULL, row INTEGER NOT NULL, id BLOB NOT NULL,
    pairing INTEGER NOT NULL, aged INTEGER NOT NULL, stable ANY, candidate ANY
) STRICT;
CREATE INDEX pairs_key ON pairs (key, row);
CREATE TABLE early (
    seq INTEGER PRIMARY KEY, key INTEGER NOT NULL, row INTEGER NOT NULL, id BLOB NOT NULL,
    model TEXT NOT NULL, aged INTEGER NOT NULL, label ANY
) STRICT;
CREATE INDEX early_key ON early (key, row);

CREATE TABLE events (
    sequence INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, type TEXT NOT NULL, model TEXT NOT NULL,
    time INTEGER NOT NULL, expires INTEGER, body BLOB NOT NULL
) STRICT;
CREATE TABLE deliveries (
    event INTEGER NOT NULL REFERENCES events (sequence), endpoint TEXT NOT NULL, model TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending', attempts INTEGER NOT NULL DEFAULT 0,
    next_at INTEGER NOT NULL DEFAULT 0, created INTEGER NOT NULL DEFAULT 0, history BLOB NOT NULL DEFAULT
    x'90', PRIMARY KEY (event, endpoint)
) STRICT, WITHOUT ROWID;
CREATE INDEX deliveries_due ON deliveries (state, next_at);
CREATE TABLE endpoints (
    name TEXT PRIMARY KEY, disabled TEXT NOT NULL DEFAULT '', failures INTEGER NOT NULL DEFAULT 0,
    retry_at INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE TABLE reports (
    event TEXT PRIMARY KEY, state TEXT NOT NULL, at INTEGER NOT NULL, document BLOB NOT NULL
) STRICT, WITHOUT ROWID;
"""

_STREAMS: Final = """
CREATE TABLE streams (
    incarnation INTEGER NOT NULL, stream INTEGER NOT NULL, end_seq INTEGER NOT NULL, turn INTEGER NOT NULL,
    PRIMARY KEY (incarnation, stream)
) STRICT, WITHOUT ROWID;
"""

_CLOSER: Final = "ALTER TABLE pairings ADD COLUMN closer INTEGER NOT NULL DEFAULT 0;"

_BEGUN: Final = """
CREATE TABLE begun (
    incarnation INTEGER NOT NULL, stream INTEGER NOT NULL, end_seq INTEGER NOT NULL, rows INTEGER NOT NULL,
    PRIMARY KEY (incarnation, stream)
) STRICT, WITHOUT ROWID;
DROP INDEX predictions_client;
CREATE INDEX predictions_client ON predictions (client, row, version) WHERE client IS NOT NULL;
"""

SCHEMA: Final = Schema("driftgate monitor", (_TABLES, _STREAMS, "", _CLOSER, _BEGUN))
"""3: the keys of the ledger follow the order of the ids (`monitor.keys`). 4: pairs of regressions. 5: frames
that were taken in part (`monitor.parts`), and clients' ids by version."""
NAME: Final = "monitor.db"
LOCK: Final = "monitor.lock"
"""Held by the one monitor of a data folder."""


def open_store(data: Path, *, readonly: bool = False) -> sqlite3.Connection:
    """A connection to the folder's monitor.db; made when it is not there (and not `readonly`)."""
    connection = open_database(data / NAME, SCHEMA, readonly=readonly)
    # Labels look predictions up wherever they are: 32 MB keep most pages of the indexes at hand.
    connection.execute("PRAGMA cache_size = -32768")
    return connection


class Presence:
    """Whether the file that a connection writes is the folder's still.

    One that was removed takes every commit as ever, and is gone with the process.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Of the file that is there now."""
        self._path = Path(connection.execute("PRAGMA database_list").fetchone()[2])
        self._file = identity(self._path)

    def check(self) -> None:
        """StoreError where it is not. Some 2 µs."""
        found = identity(self._path)
        if found != self._file:
            what = "was removed" if found is None else "was replaced by another file"
            raise StoreError(
                f"{self._path} {what} below the running monitor: nothing is counted and nothing sent, for it"
                " would be forgotten; put it back, or restart the monitor, which goes by what it finds there"
            )


def load_offset(connection: sqlite3.Connection) -> Offset:
    """Where the log was read up to; the start for a new store."""
    text = load_fact(connection, "offset")
    return Offset.parse(text.decode()) if text is not None else START


def load_fact(connection: sqlite3.Connection, name: str) -> bytes | None:
    """One named value, or None."""
    found = connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
    return None if found is None else bytes(found[0])


def save_fact(connection: sqlite3.Connection, name: str, value: bytes) -> None:
    """Replace one named value, inside the caller's transaction."""
    connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))


def load_watches(connection: sqlite3.Connection) -> list[tuple[str, str, bytes]]:
    """(model, version, state) of every version that was ever watched."""
    return connection.execute("SELECT model, version, state FROM watches ORDER BY model, version").fetchall()


def save_watches(connection: sqlite3.Connection, states: Iterable[tuple[str, str, bytes]]) -> None:
    """Replace the states of these versions, inside the caller's transaction."""
    connection.executemany("INSERT OR REPLACE INTO watches VALUES (?, ?, ?)", states)


def save_incident(connection: sqlite3.Connection, incident: Incident) -> None:
    """Replace an incident, inside the caller's transaction."""
    connection.execute(
        "INSERT OR REPLACE INTO incidents VALUES (?, ?, ?, ?, ?, ?)",
        (
            incident.id,
            incident.model,
            incident.version,
            incident.state,
            incident.opened.time,
            msgspec.json.encode(incident),
        ),
    )


def load_incidents(
    connection: sqlite3.Connection, *, model: str | None = None, state: str | None = None, limit: int = 100
) -> list[Incident]:
    """The newest incidents first, of one model or all, in one state or any."""
    rows = connection.execute(
        "SELECT document FROM incidents WHERE (?1 IS NULL OR model = ?1) AND (?2 IS NULL OR state = ?2)"
        " ORDER BY opened DESC, id LIMIT ?3",
        (model, state, limit),
    )
    return [decoders.json_of(Incident).decode(document) for (document,) in rows]


def load_incident(connection: sqlite3.Connection, name: str) -> Incident | None:
    """One incident by id, or None."""
    found = connection.execute("SELECT document FROM incidents WHERE id = ?", (name,)).fetchone()
    return None if found is None else decoders.json_of(Incident).decode(found[0])


def load_waiting(connection: sqlite3.Connection) -> dict[str, int]:
    """Labels of each model that wait for their predictions; some 5 ms for the 50 000 that may."""
    return dict(connection.execute("SELECT model, count(*) FROM early GROUP BY model").fetchall())


def load_reports(connection: sqlite3.Connection, events: Iterable[str]) -> dict[str, str]:
    """What receivers reported of these retrain requests: event id -> running, succeeded or failed."""
    found = (
        connection.execute("SELECT event, state FROM reports WHERE event = ?", (event,)).fetchone()
        for event in events
    )
    return dict(row for row in found if row is not None)
