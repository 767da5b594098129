"""The history: every edit of every route, in one global sequence, chained by digests.

A row's body is written once as JSON and never encoded again: `chain` is the SHA-256 of the previous row's
chain (hex, empty for the first row) followed by the body's bytes. Changing, removing or inserting a row
therefore breaks `verify` at that row; only a cut at the very end is invisible to it, so keep the last chain
elsewhere if that matters. The format is frozen: golden bytes stand in the tests.

The functions take a connection inside whatever transaction the caller has open. They do not judge an entry.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import msgspec
from msgspec.structs import replace

from groundwork import decoders
from rollouts.errors import ChainError
from rollouts.route import Route


class Entry(msgspec.Struct, frozen=True):
    """One row of history.

    Callers fill `actor` ("operator:NAME", "pilot", "guard", "supervisor", "gateway"), `verb`, `reason` and,
    where evidence decided, `verdict`, `n` (what was counted) and `evidence` (numbers by name). The store
    fills the rest: `sequence` is global and gapless, `at` is unix ns, `before` and `after` are the route's
    documents.
    """

    actor: str
    verb: str
    reason: str = ""
    verdict: str = ""
    n: int = 0
    evidence: dict[str, float | int | str | None] = {}
    rollout: str | None = None
    sequence: int = 0
    model: str = ""
    revision: int = 0
    at: int = 0
    before: Route | None = None
    after: Route | None = None
    chain: str = ""


HISTORY_TABLE: Final = """
CREATE TABLE history (
    sequence INTEGER PRIMARY KEY,
    model TEXT NOT NULL,
    body BLOB NOT NULL,
    chain TEXT NOT NULL
) STRICT;
CREATE INDEX history_by_model ON history (model, sequence);
"""


def body_of(entry: Entry) -> bytes:
    """Return the bytes that are kept and chained: everything but the chain itself, keys in sorted order."""
    document: dict[str, object] = msgspec.to_builtins(entry)
    del document["chain"]
    return msgspec.json.encode(document, order="sorted")


def link(previous: str, body: bytes) -> str:
    """Return the chain value of a row: lower-case hex SHA-256 of the previous chain and the body."""
    return hashlib.sha256(previous.encode("ascii") + body).hexdigest()


def append(connection: sqlite3.Connection, entry: Entry) -> Entry:
    """Add a row with the next sequence and its chain, inside the caller's transaction; return it."""
    newest = "SELECT sequence, chain FROM history ORDER BY sequence DESC LIMIT 1"
    last = connection.execute(newest).fetchone()
    sequence, previous = last if last is not None else (0, "")
    numbered = replace(entry, sequence=sequence + 1, chain="")
    body = body_of(numbered)
    chain = link(previous, body)
    connection.execute(
        "INSERT INTO history (sequence, model, body, chain) VALUES (?, ?, ?, ?)",
        (numbered.sequence, numbered.model, body, chain),
    )
    return replace(numbered, chain=chain)


def read(connection: sqlite3.Connection, model: str | None, after: int, limit: int) -> list[Entry]:
    """Return rows with a sequence above `after`, ascending, of one model or of all (None)."""
    rows = connection.execute(
        "SELECT body, chain FROM history WHERE sequence > ? AND (? IS NULL OR model = ?)"
        " ORDER BY sequence LIMIT ?",
        (after, model, model, limit),
    )
    return [_entry(body, chain) for body, chain in rows]


def latest(connection: sqlite3.Connection, model: str, count: int) -> list[Entry]:
    """Return the last rows of a model, ascending."""
    rows = connection.execute(
        "SELECT body, chain FROM history WHERE model = ? ORDER BY sequence DESC LIMIT ?", (model, count)
    )
    return [_entry(body, chain) for body, chain in rows][::-1]


def last(connection: sqlite3.Connection, model: str, wanted: Callable[[Entry], bool]) -> Entry | None:
    """Return the newest row of a model that is `wanted`, or None; older rows are not read."""
    rows = connection.execute(
        "SELECT body, chain FROM history WHERE model = ? ORDER BY sequence DESC", (model,)
    )
    return next((entry for entry in (_entry(body, chain) for body, chain in rows) if wanted(entry)), None)


def verify(connection: sqlite3.Connection) -> int:
    """Check the whole chain and return how many rows it holds; linear in the history.

    Raises:
        ChainError: A row does not follow from the one before; the message names it.
    """
    rows: Iterator[tuple[int, str, bytes, str]] = connection.execute(
        "SELECT sequence, model, body, chain FROM history ORDER BY sequence"
    )
    previous, count = "", 0
    for sequence, model, body, chain in rows:
        count += 1
        expected = link(previous, body)
        if sequence != count:
            raise ChainError(f"history: row {count} was wanted next, row {sequence} found; rows were removed")
        if chain != expected or not _names(body, sequence, model):
            raise ChainError(
                f"history row {sequence}: chain {expected[:12]} was wanted, {chain[:12]} found; "
                "the row was changed after it was written"
            )
        previous = chain
    return count


def _names(body: bytes, sequence: int, model: str) -> bool:
    document: Mapping[str, object] = msgspec.json.decode(body)
    return document.get("sequence") == sequence and document.get("model") == model


def _entry(body: bytes, chain: str) -> Entry:
    return replace(decoders.json_of(Entry).decode(body), chain=chain)
