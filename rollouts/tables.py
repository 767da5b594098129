"""The rows of `rollouts.db` other than history, as functions over a connection.

Reads may run anywhere; writes belong into the caller's transaction. Documents are kept as JSON so that a
person with an SQLite shell can read them. A field more in one is a version more of the schema, for a program
refuses what it does not know. Nothing here decides whether an edit is allowed.
"""

import sqlite3
from typing import Final

import msgspec

from groundwork import decoders
from groundwork.database import Schema
from rollouts.evidence import PairTotals
from rollouts.history import HISTORY_TABLE
from rollouts.rollout import LIVE, Rollout
from rollouts.route import Route

_TABLES: Final = """
CREATE TABLE routes (
    model TEXT PRIMARY KEY,
    revision INTEGER NOT NULL,
    document BLOB NOT NULL
) STRICT;
CREATE TABLE rollouts (
    id TEXT PRIMARY KEY,
    model TEXT NOT NULL,
    live INTEGER NOT NULL,
    started INTEGER NOT NULL,
    document BLOB NOT NULL
) STRICT;
CREATE INDEX rollouts_by_model ON rollouts (model, started);
CREATE UNIQUE INDEX one_live_rollout ON rollouts (model) WHERE live = 1;
CREATE TABLE checkpoints (
    rollout TEXT PRIMARY KEY,
    state BLOB NOT NULL,
    seen BLOB NOT NULL
) STRICT;
CREATE TABLE pairs (
    model TEXT NOT NULL,
    revision INTEGER NOT NULL,
    stable TEXT NOT NULL,
    candidate TEXT NOT NULL,
    document BLOB NOT NULL,
    PRIMARY KEY (model, revision, stable, candidate)
) STRICT;
CREATE TABLE leases (
    name TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    expires INTEGER NOT NULL
) STRICT;
CREATE TABLE beats (
    name TEXT PRIMARY KEY,
    at INTEGER NOT NULL
) STRICT;
"""

SCHEMA: Final = Schema(name="rollouts", migrations=(_TABLES + HISTORY_TABLE, ""))
"""Version 2: routes may be `unloaded`, and rollouts say when they `entered` a step on the steady clock."""


def read_routes(connection: sqlite3.Connection) -> dict[str, Route]:
    """Return every route by model name."""
    rows = connection.execute("SELECT model, document FROM routes ORDER BY model")
    return {model: decoders.json_of(Route).decode(document) for model, document in rows}


def read_revisions(connection: sqlite3.Connection) -> dict[str, int]:
    """Return every route's revision by model name."""
    return dict(connection.execute("SELECT model, revision FROM routes ORDER BY model"))


def read_route(connection: sqlite3.Connection, model: str) -> Route | None:
    """Return a model's route, or None."""
    row = connection.execute("SELECT document FROM routes WHERE model = ?", (model,)).fetchone()
    return decoders.json_of(Route).decode(row[0]) if row is not None else None


def write_route(connection: sqlite3.Connection, route: Route) -> None:
    """Put a route in the place of its model's former one."""
    connection.execute(
        "INSERT INTO routes (model, revision, document) VALUES (?, ?, ?)"
        " ON CONFLICT (model) DO UPDATE SET revision = excluded.revision, document = excluded.document",
        (route.model, route.revision, msgspec.json.encode(route)),
    )


def write_rollout(connection: sqlite3.Connection, rollout: Rollout) -> None:
    """Put a rollout in the place of its former self."""
    connection.execute(
        "INSERT INTO rollouts (id, model, live, started, document) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET live = excluded.live, document = excluded.document",
        (
            rollout.id,
            rollout.model,
            int(rollout.state in LIVE),
            rollout.started,
            msgspec.json.encode(rollout),
        ),
    )


def read_rollout(connection: sqlite3.Connection, rollout_id: str) -> Rollout | None:
    """Return a rollout by id, or None."""
    row = connection.execute("SELECT document FROM rollouts WHERE id = ?", (rollout_id,)).fetchone()
    return _rollout(row[0]) if row is not None else None


def read_active(connection: sqlite3.Connection, model: str) -> Rollout | None:
    """Return the model's live rollout, or None; there is never more than one."""
    row = connection.execute(
        "SELECT document FROM rollouts WHERE model = ? AND live = 1", (model,)
    ).fetchone()
    return _rollout(row[0]) if row is not None else None


def read_rollouts(connection: sqlite3.Connection, model: str | None) -> list[Rollout]:
    """Return the rollouts of one model or of all (None), as they were begun, whatever the clock said."""
    rows = connection.execute(
        "SELECT document FROM rollouts WHERE ? IS NULL OR model = ? ORDER BY rowid", (model, model)
    )
    return [_rollout(document) for (document,) in rows]


def read_latest(connection: sqlite3.Connection) -> list[Rollout]:
    """Return each model's most recent rollout, the live one where there is one, by model."""
    # Beside max(), SQLite takes the other columns from the row that has it; an upsert keeps a row's id.
    rows = connection.execute("SELECT document, max(rowid) FROM rollouts GROUP BY model ORDER BY model")
    return [_rollout(document) for document, _ in rows]


def write_pairs(connection: sqlite3.Connection, totals: PairTotals) -> None:
    """Put absolute pair totals in the place of the former ones of the same revision and versions."""
    connection.execute(
        "INSERT INTO pairs (model, revision, stable, candidate, document) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (model, revision, stable, candidate) DO UPDATE SET document = excluded.document",
        (totals.model, totals.revision, totals.stable, totals.candidate, msgspec.json.encode(totals)),
    )


def read_pairs(connection: sqlite3.Connection, model: str) -> list[PairTotals]:
    """Return a model's pair totals by ascending revision."""
    rows = connection.execute(
        "SELECT document FROM pairs WHERE model = ? ORDER BY revision, stable, candidate", (model,)
    )
    return [decoders.json_of(PairTotals).decode(document) for (document,) in rows]


def write_checkpoint(connection: sqlite3.Connection, rollout_id: str, state: bytes, seen: bytes) -> None:
    """Keep a rollout's judge state together with the totals it has seen."""
    connection.execute(
        "INSERT INTO checkpoints (rollout, state, seen) VALUES (?, ?, ?)"
        " ON CONFLICT (rollout) DO UPDATE SET state = excluded.state, seen = excluded.seen",
        (rollout_id, state, seen),
    )


def read_checkpoint(connection: sqlite3.Connection, rollout_id: str) -> tuple[bytes, bytes] | None:
    """Return (state, seen) as last kept, or None."""
    row = connection.execute("SELECT state, seen FROM checkpoints WHERE rollout = ?", (rollout_id,))
    found: tuple[bytes, bytes] | None = row.fetchone()
    return found


def take_lease(
    connection: sqlite3.Connection, name: str, holder: str, *, now: int, expires: int
) -> int | None:
    """Take or renew a lease and return its epoch, or None while another holds it.

    The epoch grows by one whenever the holder changes; a renewal keeps it. Times are unix ns. One that ends
    later than ours would was taken before the clock was set back, and holds nobody up.
    """
    row = connection.execute("SELECT holder, epoch, expires FROM leases WHERE name = ?", (name,)).fetchone()
    former, epoch, until = row if row is not None else ("", 0, 0)
    if former != holder:
        if now < until <= expires:
            return None
        epoch += 1
    connection.execute(
        "INSERT INTO leases (name, holder, epoch, expires) VALUES (?, ?, ?, ?) ON CONFLICT (name)"
        " DO UPDATE SET holder = excluded.holder, epoch = excluded.epoch, expires = excluded.expires",
        (name, holder, epoch, expires),
    )
    return int(epoch)


def drop_lease(connection: sqlite3.Connection, name: str, holder: str) -> None:
    """Let a lease expire now, if this holder has it."""
    connection.execute("UPDATE leases SET expires = 0 WHERE name = ? AND holder = ?", (name, holder))


def write_beat(connection: sqlite3.Connection, name: str, at: int) -> None:
    """Note that a program was alive at `at` (unix ns)."""
    connection.execute(
        "INSERT INTO beats (name, at) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET at = excluded.at",
        (name, at),
    )


def read_beat(connection: sqlite3.Connection, name: str) -> int | None:
    """Return when a program was last noted alive (unix ns), or None."""
    row = connection.execute("SELECT at FROM beats WHERE name = ?", (name,)).fetchone()
    return int(row[0]) if row is not None else None


def _rollout(document: bytes) -> Rollout:
    return decoders.json_of(Rollout).decode(document)
