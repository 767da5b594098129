"""Labels that came before their predictions, in monitor.db: kept until these come, or will come no more.

A label waits under one key: of the id of ours that it names its prediction by, or of the client's own, and
then with NO_ID. Every call runs inside the caller's transaction.
"""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from monitor.aged import AgedRows
from monitor.truth import Value

NO_ID: Final = bytes(16)


class Labelled(msgspec.Struct, frozen=True):
    """One label as it came."""

    key: int
    row: int
    id: bytes
    client: bytes
    value: Value
    passed: int | None = None
    """The first key of its prediction's stream, where the log was read past the prediction; None before."""


class EarlyLabels:
    """The table `early`, and in memory under which `keys` how many labels wait."""

    def __init__(self, connection: sqlite3.Connection, most: int) -> None:
        self._db = connection
        self.rows = AgedRows(connection, "early", most)
        self.reload()

    def reload(self) -> None:
        """Read again what is kept in memory."""
        self.rows.reload()
        self.keys = Counter(key for (key,) in self._db.execute("SELECT key FROM early"))

    def add(self, model: str, label: Labelled, key: int, now: int) -> bool:
        """Have a label wait under this key; False where one of its row does already."""
        if key in self.keys and self._find(model, key, label.row, label.id) is not None:
            return False
        self._db.execute(
            "INSERT INTO early (key, row, id, model, aged, label) VALUES (?, ?, ?, ?, ?, ?)",
            (key, label.row, label.id, model, now, label.value),
        )
        self.rows.grown()
        self.keys[key] += 1
        return True

    def take(self, model: str, key: int, row: int, identifier: bytes) -> tuple[Value] | None:
        """The label that waits for this row, which waits no more; None where there is none."""
        found = self._find(model, key, row, identifier)
        if found is None:
            return None
        seq, label = found
        self._forget([(seq, key)])
        return (label,)

    def _find(self, model: str, key: int, row: int, identifier: bytes) -> tuple[int, Value] | None:
        found: tuple[int, Value] | None = self._db.execute(
            "SELECT seq, label FROM early WHERE key = ? AND row = ? AND id = ? AND model = ?",
            (key, row, identifier, model),
        ).fetchone()
        return found

    def pass_by(self, first: int, last: int, is_passed: Callable[[bytes, int], bool]) -> Counter[str]:
        """Give up labels that wait under keys from `first` up to `last`, where their row (id, row) is passed.

        Returns how many of each model there were.
        """
        if not self.keys:
            return Counter()
        waiting = self._db.execute(
            "SELECT seq, key, row, id, model FROM early WHERE key >= ? AND key < ? AND id != ? AND NOT EXISTS"
            " (SELECT 1 FROM predictions WHERE predictions.key = early.key AND predictions.id = early.id)",
            (first, last, NO_ID),
        ).fetchall()
        gone = [found for found in waiting if is_passed(found[3], found[2])]
        self._forget((seq, key) for seq, key, *_ in gone)
        return Counter(model for *_, model in gone)

    def expire(self, cutoff: int) -> Counter[str]:
        """Give up labels that came before `cutoff`, and the oldest of too many; how many of each model."""
        bound = self.rows.bound(cutoff)
        if bound is None:
            return Counter()
        gone = self._db.execute("SELECT seq, key, model FROM early WHERE seq < ?", (bound,)).fetchall()
        self._forget((seq, key) for seq, key, _ in gone)
        self.rows.reload()
        return Counter(model for *_, model in gone)

    def _forget(self, rows: Iterable[tuple[int, int]]) -> None:
        for seq, key in rows:
            self._db.execute("DELETE FROM early WHERE seq = ?", (seq,))
            self.keys[key] -= 1
            if not self.keys[key]:
                del self.keys[key]
