"""Events on their way: written with their cause, in its transaction, one delivery per endpoint that wants it.

Rules: an event whose id is there already is not written again, so a cause may be told twice; a delivery is
pending until it is delivered, or is dead (and says why), and a dead one can be replayed with the same id.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from groundwork import decoders
from monitor.events import Event, encode
from monitor.retries import Next, in_time
from monitor.settings import Webhook, is_wanted

PENDING: Final = "pending"
DELIVERED: Final = "delivered"
DEAD: Final = "dead"
STATES: Final = (PENDING, DELIVERED, DEAD)
_MILLISECOND: Final = 1_000_000
_BREAKER: Final = 10


class Attempt(msgspec.Struct, frozen=True, array_like=True):
    """One try: when (unix ns), what came of it (a status, or 0 without an answer), a line, milliseconds."""

    at: int
    status: int
    said: str
    took_ms: int


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One event for one endpoint; `next_at` is unix ns."""

    sequence: int
    event: str
    type: str
    model: str
    endpoint: str
    state: str
    attempts: int
    next_at: int
    expires: int | None
    time: int
    history: tuple[Attempt, ...]


def wants(webhook: Webhook, kind: str) -> bool:
    """Whether an endpoint subscribed to a type."""
    return not webhook.events or any(is_wanted(kind, pattern) for pattern in webhook.events)


def append(
    connection: sqlite3.Connection, event: Event, *, source: str, webhooks: Sequence[Webhook]
) -> int | None:
    """Write an event and its deliveries in the caller's transaction; its sequence, None if it was there."""
    if connection.execute("SELECT 1 FROM events WHERE id = ?", (event.id,)).fetchone():
        return None
    sequence: int = connection.execute("SELECT coalesce(max(sequence), 0) + 1 FROM events").fetchone()[0]
    connection.execute(
        "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            sequence,
            event.id,
            event.type,
            event.model,
            event.time,
            event.expires,
            encode(event, source=source, sequence=sequence),
        ),
    )
    connection.executemany(
        "INSERT INTO deliveries (event, endpoint, model) VALUES (?, ?, ?)",
        [(sequence, hook.endpoint, event.model) for hook in webhooks if wants(hook, event.type)],
    )
    return sequence


_COLUMNS: Final = (
    "d.event, e.id, e.type, d.model, d.endpoint, d.state, d.attempts, d.next_at, e.expires, e.time, d.history"
)


# What may be tried. `quick`: the first of each endpoint and model that is in its quick attempts still; later
# ones wait for it.
_WAITING: Final = (
    "FROM deliveries d JOIN events e ON e.sequence = d.event LEFT JOIN endpoints p ON p.name = d.endpoint"
    " LEFT JOIN (SELECT endpoint, model, min(event) AS first FROM deliveries"
    " WHERE state = 'pending' AND attempts < 3 GROUP BY endpoint, model) quick"
    " ON quick.endpoint = d.endpoint AND quick.model = d.model"
    " WHERE d.state = 'pending' AND coalesce(p.disabled, '') = ''"
    " AND d.event <= coalesce(quick.first, d.event)"
)


def due(connection: sqlite3.Connection, endpoint: str, now: int, most: int) -> list[Delivery]:
    """Pending deliveries of an endpoint whose time has come, at most so many, oldest event first.

    None of one that is switched off. A delivery waits for an earlier one of the same endpoint and model, but
    for its first three attempts only. Some 10 ms for 5 000 pending.
    """
    rows = connection.execute(
        f"SELECT {_COLUMNS} {_WAITING} AND d.endpoint = ?1 AND d.next_at <= ?2"
        " AND coalesce(p.retry_at, 0) <= ?2 ORDER BY d.event LIMIT ?3",
        (endpoint, now, most),
    )
    return [_delivery(row) for row in rows]


def next_due(connection: sqlite3.Connection) -> dict[str, int]:
    """When something may be tried for each endpoint (unix ns), where it is on and anything is pending."""
    at = "min(max(d.next_at, coalesce(p.retry_at, 0)))"
    rows = connection.execute(f"SELECT d.endpoint, {at} {_WAITING} GROUP BY d.endpoint")
    return dict(rows.fetchall())


def claim(connection: sqlite3.Connection, deliveries: Sequence[Delivery]) -> None:
    """Write these as they are, inside a transaction: where that fails nothing may be posted.

    What came of an attempt could not be written either, and the receiver would get it again and again.
    """
    connection.executemany(
        "UPDATE deliveries SET attempts = attempts WHERE event = ? AND endpoint = ?",
        [(delivery.sequence, delivery.endpoint) for delivery in deliveries],
    )


def plan_again(connection: sqlite3.Connection, now: int, probe: int) -> None:
    """Mend what a clock that has been set back planned: nothing waits for longer than it was to wait.

    `now` is unix ns, `probe` the ns for which an endpoint waits that fails. Inside a transaction; some 20 ms
    for 5 000 that wait.
    """
    waiting = connection.execute(
        "SELECT event, endpoint, next_at, history FROM deliveries WHERE state = 'pending' AND next_at > ?",
        (now,),
    ).fetchall()
    sooner = [
        (due_at, event, endpoint)
        for event, endpoint, next_at, history in waiting
        if (due_at := in_time(next_at, _put_off(_history(history)), now)) != next_at
    ]
    connection.executemany("UPDATE deliveries SET next_at = ? WHERE event = ? AND endpoint = ?", sooner)
    connection.execute("UPDATE endpoints SET retry_at = ?1 WHERE retry_at > ?1", (now + probe,))


_OLD: Final = (
    "SELECT sequence FROM events e WHERE time < ?1 AND sequence < (SELECT max(sequence) FROM events)"
    " AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.event = e.sequence"
    " AND (d.state = 'pending' OR d.next_at >= ?1))"
    " AND sequence NOT IN (SELECT max(sequence) FROM events WHERE type = 'retrain.requested'"
    " GROUP BY json_extract(CAST(body AS TEXT), '$.subject')) ORDER BY sequence LIMIT ?2"
)


def prune(connection: sqlite3.Connection, before: int, limit: int = 1000) -> int:
    """Forget events from before a time (unix ns) that nobody waits for any more; how many. In a transaction.

    What is pending stays whatever its age; the newest event stays, so that no sequence is given twice, and
    the latest request to retrain each version, for policy goes by what is reported of it.
    """
    old = connection.execute(_OLD, (before, limit)).fetchall()
    connection.executemany("DELETE FROM deliveries WHERE event = ?", old)
    connection.executemany("DELETE FROM events WHERE sequence = ?", old)
    return len(old)


_STUCK: Final = "state = 'pending' AND endpoint IN (SELECT name FROM endpoints WHERE disabled <> '')"


def is_stuck(connection: sqlite3.Connection) -> bool:
    """Whether anything is pending for an endpoint that is switched off."""
    found = connection.execute(f"SELECT 1 FROM deliveries WHERE {_STUCK} LIMIT 1").fetchone()  # noqa: S608
    return found is not None


def bury(connection: sqlite3.Connection) -> None:
    """Show what is pending for endpoints that are switched off as dead; inside a transaction."""
    connection.execute(f"UPDATE deliveries SET state = 'dead' WHERE {_STUCK}")  # noqa: S608  our own columns


def body(connection: sqlite3.Connection, sequence: int) -> bytes:
    """The bytes of an event."""
    return bytes(connection.execute("SELECT body FROM events WHERE sequence = ?", (sequence,)).fetchone()[0])


def body_of(connection: sqlite3.Connection, event: str) -> bytes | None:
    """The bytes of an event by its id, or None."""
    found = connection.execute("SELECT body FROM events WHERE id = ?", (event,)).fetchone()
    return None if found is None else bytes(found[0])


def switched_off(connection: sqlite3.Connection) -> dict[str, str]:
    """Endpoints that are switched off, and why."""
    return dict(connection.execute("SELECT name, disabled FROM endpoints WHERE disabled <> ''").fetchall())


def settle(connection: sqlite3.Connection, delivery: Delivery) -> None:
    """Write what became of a delivery, inside the caller's transaction."""
    connection.execute(
        "UPDATE deliveries SET state = ?, attempts = ?, next_at = ?, history = ?"
        " WHERE event = ? AND endpoint = ?",
        (
            delivery.state,
            delivery.attempts,
            delivery.next_at,
            msgspec.msgpack.encode(delivery.history),
            delivery.sequence,
            delivery.endpoint,
        ),
    )


def note(connection: sqlite3.Connection, endpoint: str, what: Next, retry_at: int) -> None:
    """Write what an attempt says of its endpoint; from the tenth failure in a row on none before `retry_at`.

    Inside the caller's transaction.
    """
    connection.execute("INSERT OR IGNORE INTO endpoints (name) VALUES (?)", (endpoint,))
    if what.kind == "delivered":
        connection.execute(
            "UPDATE endpoints SET failures = 0, retry_at = 0, disabled = '' WHERE name = ?", (endpoint,)
        )
    elif what.kind == "disable":
        connection.execute("UPDATE endpoints SET disabled = ? WHERE name = ?", (what.reason, endpoint))
    else:
        connection.execute(
            "UPDATE endpoints SET failures = failures + 1,"
            " retry_at = CASE WHEN failures + 1 >= ? THEN ? ELSE 0 END WHERE name = ?",
            (_BREAKER, retry_at, endpoint),
        )


def listed(
    connection: sqlite3.Connection, *, state: str | None = None, event: str | None = None, limit: int = 100
) -> list[Delivery]:
    """Deliveries, newest event first."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM deliveries d JOIN events e ON e.sequence = d.event"  # noqa: S608  our own columns
        " WHERE (?1 IS NULL OR d.state = ?1) AND (?2 IS NULL OR e.id = ?2) ORDER BY d.event DESC LIMIT ?3",
        (state, event, limit),
    )
    return [_delivery(row) for row in rows]


def replay(connection: sqlite3.Connection, *, event: str, endpoint: str | None = None) -> int:
    """Make deliveries of an event pending again, with the same id; how many. Inside a transaction."""
    changed = connection.execute(
        "UPDATE deliveries SET state = 'pending', attempts = 0, next_at = 0"
        " WHERE state <> 'pending' AND event IN (SELECT sequence FROM events WHERE id = ?1)"
        " AND (?2 IS NULL OR endpoint = ?2)",
        (event, endpoint),
    ).rowcount
    connection.execute(
        "UPDATE endpoints SET disabled = '', failures = 0, retry_at = 0 WHERE name IN (SELECT endpoint FROM"
        " deliveries WHERE state = 'pending' AND event IN (SELECT sequence FROM events WHERE id = ?))",
        (event,),
    )
    return changed


def counts(connection: sqlite3.Connection) -> dict[tuple[str, str], int]:
    """(endpoint, state) -> deliveries."""
    rows = connection.execute("SELECT endpoint, state, count(*) FROM deliveries GROUP BY endpoint, state")
    return {(endpoint, state): number for endpoint, state, number in rows}


def _history(written: bytes) -> tuple[Attempt, ...]:
    return decoders.msgpack_of(tuple[Attempt, ...]).decode(written)


def _put_off(history: tuple[Attempt, ...]) -> int:
    """When the last attempt ended, and the next one was planned (unix ns); 0 before the first."""
    return history[-1].at + history[-1].took_ms * _MILLISECOND if history else 0


def _delivery(row: tuple[Any, ...]) -> Delivery:
    return Delivery(
        sequence=row[0],
        event=row[1],
        type=row[2],
        model=row[3],
        endpoint=row[4],
        state=row[5],
        attempts=row[6],
        next_at=row[7],
        expires=row[8],
        time=row[9],
        history=_history(row[10]),
    )
