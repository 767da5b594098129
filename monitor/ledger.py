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
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from monitor.aged import AgedRows
from monitor.early_labels import NO_ID, EarlyLabels, Labelled
from monitor.pairings import IsPassed, Paired, Pairing, Pairings
from monitor.settings import LedgerSettings
from monitor.truth import Value, same

_NS: Final = 1_000_000_000


class Predicted(msgspec.Struct, frozen=True):
    """One answered row that may get a label."""

    key: int
    row: int
    id: bytes
    client: bytes
    arm: int
    time: int
    value: Value


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
        self._keep = round(settings.keep * _NS)
        self.now = 0
        self._predictions = AgedRows(connection, "predictions", settings.max_rows)
        self._pairings = Pairings(connection, settings.max_rows)
        self._early = EarlyLabels(connection, settings.max_early)
        self._number_versions()

    def reload(self) -> None:
        """Read again what is kept in memory: names, keys of early labels, ends of the tables."""
        for part in (self._predictions, self._pairings, self._early):
            part.reload()
        self._number_versions()

    def _number_versions(self) -> None:
        self._versions: dict[tuple[str, str], int] = {}
        self._names: dict[int, tuple[str, str]] = {}
        for number, model, version in self._db.execute("SELECT number, model, version FROM versions"):
            self._versions[model, version] = number
            self._names[number] = (model, version)

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
        self._predictions.grown()
        joined: list[Joined] = []
        early = self._early.keys
        if early:
            for row in rows:
                if row.key in early:
                    joined += self._meet(model, row, (row.key, row.id), tally)
                client = _client(row.client)
                if client is not None and client in early:
                    joined += self._meet(model, row, (client, NO_ID), tally)
        return joined

    def _meet(
        self, model: str, row: Predicted, waiting: tuple[int, bytes], tally: Counter[str]
    ) -> list[Joined]:
        """The label that was waiting for this prediction under this key and id, joined."""
        key, identifier = waiting
        found = self._early.take(model, key, row.row, identifier)
        if found is None:
            return []
        return self.add_label(model, Labelled(row.key, row.row, identifier, row.client, *found), tally)

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
        self._pairings.settle(key, row, identifier, label.value)
        return [Joined(self._names[version][1], arm, time, right, label.value)]

    def _find(self, model: str, label: Labelled, tally: Counter[str]) -> tuple[Any, ...] | None:
        """The prediction a label names: by id, or by the client's own id where that is unique."""
        columns = "seq, version, arm, time, aged, predicted, labelled, key, row, id"
        if label.id == NO_ID:
            # Two are enough to know: some clients send one id with every request.
            found = self._db.execute(
                f"SELECT {columns} FROM predictions WHERE client = ? AND row = ? AND version IN"  # noqa: S608  our own
                " (SELECT number FROM versions WHERE model = ?) LIMIT 2",
                (_client(label.client), label.row, model),
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
        elif label.id == NO_ID and client is not None:
            self._wait(model, label, client, tally)
        elif label.id != NO_ID and (label.passed is None or self._has_request(label)):
            self._wait(model, label, label.key, tally)
        elif label.id != NO_ID:
            tally["late" if self._has_forgotten(label) else "not drawn"] += 1
        return None

    def _has_request(self, label: Labelled) -> bool:
        """Whether the request is there, and only this row of it, or this model, is not."""
        request = "SELECT 1 FROM predictions WHERE key = ? AND id = ? LIMIT 1"
        return self._db.execute(request, (label.key, label.id)).fetchone() is not None

    def _has_forgotten(self, label: Labelled) -> bool:
        """Whether rows as old as the label's, of its stream, have been forgotten."""
        if not self._predictions.has_forgotten:
            return False
        older = "SELECT 1 FROM predictions WHERE key >= ? AND key < ? LIMIT 1"
        return self._db.execute(older, (label.passed, label.key)).fetchone() is None

    def _wait(self, model: str, label: Labelled, key: int, tally: Counter[str]) -> None:
        """Keep a label until its prediction comes, under this key."""
        tally["early" if self._early.add(model, label, key, self.now) else "duplicate"] += 1

    def pass_by(self, first: int, last: int, is_passed: Callable[[bytes, int], bool]) -> Counter[str]:
        """Give up labels that wait under keys from `first` up to `last`, where their row (id, row) is passed.

        Returns how many of each model there were.
        """
        return self._early.pass_by(first, last, is_passed)

    def add_pairs(
        self, pairing: Pairing, rows: Sequence[Paired], is_passed: IsPassed, *, regression: bool
    ) -> None:
        """As `Pairings.add`."""
        self._pairings.add(pairing, rows, self.now, is_passed, regression=regression)

    def delete(self, key: int, identifier: bytes, row: int) -> None:
        """Forget a prediction that was deleted from the log, every row of it for ALL_ROWS."""
        for rows in (self._predictions, self._pairings.rows, self._early.rows):
            rows.delete(key, identifier, row)

    def expire(self) -> Counter[str]:
        """Forget what is older than `keep`, and the oldest of what is too many.

        Returns how many labels of each model were given up whose prediction should have come.
        """
        cutoff = self.now - self._keep
        self._predictions.expire(cutoff)
        self._pairings.rows.expire(cutoff)
        return self._early.expire(cutoff)

    def _version(self, model: str, version: str) -> int:
        number = self._versions.get((model, version))
        if number is None:
            number = len(self._versions) + 1
            self._db.execute("INSERT INTO versions VALUES (?, ?, ?)", (number, model, version))
            self._versions[model, version] = number
            self._names[number] = (model, version)
        return number


def _client(client: bytes) -> int | None:
    """A 64-bit key of a client's own id; None for none."""
    if not client:
        return None
    return int.from_bytes(hashlib.blake2b(client, digest_size=8).digest(), "little", signed=True)
