"""Predictions and pairs awaiting their labels, in monitor.db, in the pipeline's own transaction.

Rules:
1. A label counts once: the first that names a prediction; later ones are duplicates. One that comes more than
   `keep` after its prediction is late. One that came before waits for it, whichever id it names it by (the
   log's order across workers is not causal); one whose prediction never comes is unmatched in the end.
2. What is forgotten, and when, follows from the log's own passed time (`monitor.log_time`) and its order.
3. Bounded: the oldest rows go first when there are more than `max_rows`.
4. A label whose prediction's place in the log was read, and who has none, waits for nothing: its prediction
   was not drawn (or lost, or failed), or it is late, for the ledger has forgotten it. One that waited is told
   so as the place is read.

Cost: 3 to 5 µs per prediction or pair, 15 to 25 µs per label (measured by tests/monitor/bench.py).
Refuses to know: what an evidence or an incident is.
"""

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from monitor.settings import LedgerSettings
from monitor.truth import Value, closer, same
from prediction_log.record import ALL_ROWS

_NS: Final = 1_000_000_000
_NO_ID: Final = bytes(16)


class Predicted(msgspec.Struct, frozen=True):
    """One answered row that may get a label."""

    key: int
    row: int
    id: bytes
    client: bytes
    arm: int
    time: int
    value: Value


class Paired(msgspec.Struct, frozen=True):
    """One shadow pair: what both versions said; None for one that failed, which not both of them did."""

    key: int
    row: int
    id: bytes
    stable: Value
    candidate: Value


class Labelled(msgspec.Struct, frozen=True):
    """One label as it came."""

    key: int
    row: int
    id: bytes
    client: bytes
    value: Value
    passed: int | None = None
    """The first key of its prediction's stream, where the log was read past the prediction; None before."""


class Joined(msgspec.Struct, frozen=True):
    """A prediction that met its label, `value`; `right` is None when the two cannot be compared."""

    version: str
    arm: int
    time: int
    right: bool | None
    value: Value


class Ledger:
    """The join of predictions, pairs and labels. Every call runs inside the caller's transaction.

    `now` is the log's passed time in ns, set by the caller before each frame; ages are measured by it.
    """

    def __init__(self, connection: sqlite3.Connection, settings: LedgerSettings) -> None:
        self._db = connection
        self._settings = settings
        self._keep = round(settings.keep * _NS)
        self.now = 0
        self.reload()

    def reload(self) -> None:
        """Read again what is kept in memory: names, keys of early labels, ends of the tables."""
        self._versions: dict[tuple[str, str], int] = {}
        self._names: dict[int, tuple[str, str]] = {}
        for number, model, version in self._db.execute("SELECT number, model, version FROM versions"):
            self._versions[model, version] = number
            self._names[number] = (model, version)
        self._closer = {number for (number,) in self._db.execute("SELECT number FROM pairings WHERE closer")}
        self._early = Counter(key for (key,) in self._db.execute("SELECT key FROM early"))
        self._oldest = {table: self._head(table) for table in ("predictions", "pairs", "early")}

    def add_predictions(
        self, model: str, version: str, rows: Sequence[Predicted], tally: Counter[str]
    ) -> list[Joined]:
        """Keep answered rows; the ones whose label had come before are joined at once."""
        number = self._version(model, version)
        self._db.executemany(
            "INSERT INTO predictions (key, row, id, client, version, arm, time, aged, predicted)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [(r.key, r.row, r.id, _client(r.client), number, r.arm, r.time, self.now, r.value) for r in rows],
        )
        self._started("predictions")
        joined: list[Joined] = []
        if self._early:
            for row in rows:
                if row.key in self._early:
                    joined += self._meet(model, row, (row.key, row.id), tally)
                client = _client(row.client)
                if client is not None and client in self._early:
                    joined += self._meet(model, row, (client, _NO_ID), tally)
        return joined

    def _meet(
        self, model: str, row: Predicted, waiting: tuple[int, bytes], tally: Counter[str]
    ) -> list[Joined]:
        """The label that was waiting for this prediction under this key and id, joined."""
        key, identifier = waiting
        found = self._db.execute(
            "SELECT seq, label FROM early WHERE key = ? AND row = ? AND id = ? AND model = ?",
            (key, row.row, identifier, model),
        ).fetchone()
        if found is None:
            return []
        seq, label = found
        self._forget_early([(seq, key)])
        return self.add_label(model, Labelled(row.key, row.row, identifier, row.client, label), tally)

    def add_label(self, model: str, label: Labelled, tally: Counter[str]) -> list[Joined]:
        """Join a label with its prediction and its pairs; counts what became of it in `tally`."""
        named = self._find(model, label, tally)
        if named is None:
            return []
        seq, version, arm, time, aged, predicted, labelled, key, row, identifier = named
        if labelled:
            tally["duplicate"] += 1
            return []
        if self.now - aged > self._keep:
            tally["late"] += 1
            return []
        self._db.execute("UPDATE predictions SET labelled = 1, label = ? WHERE seq = ?", (label.value, seq))
        right = same(predicted, label.value)
        tally["unscored" if right is None else "matched"] += 1
        self._settle_pairs(key, row, identifier, label.value)
        return [Joined(self._names[version][1], arm, time, right, label.value)]

    def _find(self, model: str, label: Labelled, tally: Counter[str]) -> tuple[Any, ...] | None:
        """The prediction a label names: by id, or by the client's own id where that is unique."""
        columns = "seq, version, arm, time, aged, predicted, labelled, key, row, id"
        if label.id == _NO_ID:
            found = self._db.execute(
                f"SELECT {columns} FROM predictions WHERE client = ? AND row = ?",  # noqa: S608  our own columns
                (_client(label.client), label.row),
            ).fetchall()
        else:
            found = self._db.execute(
                f"SELECT {columns} FROM predictions WHERE key = ? AND row = ? AND id = ?",  # noqa: S608  our own
                (label.key, label.row, label.id),
            ).fetchall()
        found = [row for row in found if self._names[row[1]][0] == model]
        client = _client(label.client)
        if len(found) == 1:
            return tuple(found[0])
        if found:
            tally["ambiguous"] += 1
        elif label.id == _NO_ID and client is not None:
            self._wait(model, label, client, tally)
        elif label.id != _NO_ID and (label.passed is None or self._has_request(label)):
            self._wait(model, label, label.key, tally)
        elif label.id != _NO_ID:
            tally["late" if self._has_forgotten(label) else "not drawn"] += 1
        return None

    def _has_request(self, label: Labelled) -> bool:
        """Whether the request is there, and only this row of it, or this model, is not."""
        request = "SELECT 1 FROM predictions WHERE key = ? AND id = ? LIMIT 1"
        return self._db.execute(request, (label.key, label.id)).fetchone() is not None

    def _has_forgotten(self, label: Labelled) -> bool:
        """Whether rows as old as the label's, of its stream, have been forgotten."""
        oldest = self._oldest["predictions"]
        if oldest is None or oldest[0] == 1:
            return False
        older = "SELECT 1 FROM predictions WHERE key >= ? AND key < ? LIMIT 1"
        return self._db.execute(older, (label.passed, label.key)).fetchone() is None

    def _wait(self, model: str, label: Labelled, key: int, tally: Counter[str]) -> None:
        """Keep a label until its prediction comes, under this key."""
        known = (
            key in self._early
            and self._db.execute(
                "SELECT 1 FROM early WHERE key = ? AND row = ? AND id = ? AND model = ?",
                (key, label.row, label.id, model),
            ).fetchone()
        )
        if known:
            tally["duplicate"] += 1
            return
        self._db.execute(
            "INSERT INTO early (key, row, id, model, aged, label) VALUES (?, ?, ?, ?, ?, ?)",
            (key, label.row, label.id, model, self.now, label.value),
        )
        self._started("early")
        self._early[key] += 1
        tally["early"] += 1

    def pass_by(self, first: int, last: int, is_passed: Callable[[bytes, int], bool]) -> Counter[str]:
        """Give up labels that wait under keys from `first` up to `last`, where their row (id, row) is passed.

        Returns how many of each model there were.
        """
        if not self._early:
            return Counter()
        waiting = self._db.execute(
            "SELECT seq, key, row, id, model FROM early WHERE key >= ? AND key < ? AND id != ? AND NOT EXISTS"
            " (SELECT 1 FROM predictions WHERE predictions.key = early.key AND predictions.id = early.id)",
            (first, last, _NO_ID),
        ).fetchall()
        gone = [found for found in waiting if is_passed(found[3], found[2])]
        self._forget_early((seq, key) for seq, key, *_ in gone)
        return Counter(model for *_, model in gone)

    def add_pairs(
        self, pairing: tuple[str, int, str, str], rows: Sequence[Paired], *, regression: bool
    ) -> None:
        """Keep the pairs of one (model, revision, stable, candidate), or count those with a label at once.

        Of a `regression` right is who is as close to the label as the other version.
        """
        number, before = self._pairing(pairing, regression=regression), self._last("pairs")
        self._db.executemany(
            "INSERT INTO pairs (key, row, id, pairing, aged, stable, candidate) VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(row.key, row.row, row.id, number, self.now, row.stable, row.candidate) for row in rows],
        )
        self._started("pairs")
        # CROSS keeps the planner from walking all predictions for a few pairs.
        labelled = self._db.execute(
            "SELECT pairs.seq, stable, candidate, label FROM pairs CROSS JOIN predictions"
            " USING (key, row, id) WHERE pairs.seq > ? AND labelled = 1",
            (before,),
        ).fetchall()
        for seq, stable, candidate, label in labelled:
            self._score(number, stable, candidate, label)
            self._db.execute("DELETE FROM pairs WHERE seq = ?", (seq,))

    def _settle_pairs(self, key: int, row: int, identifier: bytes, label: Value) -> None:
        """Count and forget the pairs that waited for this label."""
        found = self._db.execute(
            "SELECT seq, pairing, stable, candidate FROM pairs WHERE key = ? AND row = ? AND id = ?",
            (key, row, identifier),
        ).fetchall()
        for seq, pairing, stable, candidate in found:
            self._score(pairing, stable, candidate, label)
            self._db.execute("DELETE FROM pairs WHERE seq = ?", (seq,))

    def _score(self, pairing: int, stable: Value, candidate: Value, label: Value) -> None:
        """One more labelled pair; a version that failed was wrong."""
        if label is None:
            return
        if pairing in self._closer:
            found = closer(stable, candidate, label)
            if found is None:
                return
        else:
            found = bool(same(stable, label)), bool(same(candidate, label))
        column = {
            (True, True): "both_right",
            (True, False): "only_stable",
            (False, True): "only_candidate",
            (False, False): "both_wrong",
        }[found]
        self._db.execute(f"UPDATE pairings SET {column} = {column} + 1 WHERE number = ?", (pairing,))  # noqa: S608

    def delete(self, key: int, identifier: bytes, row: int) -> None:
        """Forget a prediction that was deleted from the log, every row of it for ALL_ROWS."""
        for table in ("predictions", "pairs", "early"):
            self._db.execute(
                f"DELETE FROM {table} WHERE key = ?1 AND id = ?2 AND (?3 = ?4 OR row = ?3)",  # noqa: S608
                (key, identifier, row, ALL_ROWS),
            )

    def expire(self) -> Counter[str]:
        """Forget what is older than `keep`, and the oldest of what is too many.

        Returns how many labels of each model were given up whose prediction should have come.
        """
        unmatched: Counter[str] = Counter()
        limits = {
            "predictions": self._settings.max_rows,
            "pairs": self._settings.max_rows,
            "early": self._settings.max_early,
        }
        for table, most in limits.items():
            while self._due(table, self.now - self._keep, most):
                unmatched += self._drop_oldest(table, self.now - self._keep, most)
        return unmatched

    def _due(self, table: str, cutoff: int, most: int) -> bool:
        oldest = self._oldest[table]
        return oldest is not None and (oldest[1] < cutoff or self._last(table) - oldest[0] >= most)

    def _drop_oldest(self, table: str, cutoff: int, most: int) -> Counter[str]:
        """Drop from the head up to the first row that is neither too old nor too many; as `expire`."""
        unmatched: Counter[str] = Counter()
        floor = self._last(table) - most
        alive = self._db.execute(
            f"SELECT seq FROM {table} WHERE seq > ? AND aged >= ? ORDER BY seq LIMIT 1",  # noqa: S608  our own
            (floor, cutoff),
        ).fetchone()
        bound = alive[0] if alive is not None else self._last(table) + 1
        if table == "early":
            gone = self._db.execute("SELECT seq, key, model FROM early WHERE seq < ?", (bound,)).fetchall()
            unmatched.update(model for *_, model in gone)
            self._forget_early((seq, key) for seq, key, _ in gone)
        else:
            self._db.execute(f"DELETE FROM {table} WHERE seq < ?", (bound,))  # noqa: S608  our own table names
        self._oldest[table] = self._head(table)
        return unmatched

    def _forget_early(self, rows: Iterable[tuple[int, int]]) -> None:
        for seq, key in rows:
            self._db.execute("DELETE FROM early WHERE seq = ?", (seq,))
            self._early[key] -= 1
            if not self._early[key]:
                del self._early[key]

    def _version(self, model: str, version: str) -> int:
        number = self._versions.get((model, version))
        if number is None:
            number = len(self._versions) + 1
            self._db.execute("INSERT INTO versions VALUES (?, ?, ?)", (number, model, version))
            self._versions[model, version] = number
            self._names[number] = (model, version)
        return number

    def _pairing(self, pairing: tuple[str, int, str, str], *, regression: bool) -> int:
        self._db.execute(
            "INSERT INTO pairings (model, revision, stable, candidate, closer) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET closer = max(closer, excluded.closer)",
            (*pairing, regression),
        )
        number: int = self._db.execute(
            "SELECT number FROM pairings WHERE model = ? AND revision = ? AND stable = ? AND candidate = ?",
            pairing,
        ).fetchone()[0]
        if regression:
            self._closer.add(number)
        return number

    def _started(self, table: str) -> None:
        if self._oldest[table] is None:
            self._oldest[table] = self._head(table)

    def _head(self, table: str) -> tuple[int, int] | None:
        found = self._db.execute(f"SELECT seq, aged FROM {table} ORDER BY seq LIMIT 1").fetchone()  # noqa: S608
        return None if found is None else (found[0], found[1])

    def _last(self, table: str) -> int:
        last: int = self._db.execute(f"SELECT coalesce(max(seq), 0) FROM {table}").fetchone()[0]  # noqa: S608
        return last


def _client(client: bytes) -> int | None:
    """A 64-bit key of a client's own id; None for none."""
    if not client:
        return None
    return int.from_bytes(hashlib.blake2b(client, digest_size=8).digest(), "little", signed=True)
