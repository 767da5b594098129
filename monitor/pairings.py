"""Shadow pairs awaiting their labels, in monitor.db, and how often which of the two versions was right.

A pair is counted once its label is there, whichever came first, and then forgotten. One whose prediction the
log was read past, and is not in the ledger, waits for nothing: no label finds it, and the prediction may have
been deleted before the shadow had run. Every call runs inside the caller's transaction.
"""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from monitor.aged import AgedRows
from monitor.truth import Value, closer, same
from rollouts.evidence import PairTotals

Pairing = tuple[str, int, str, str]
"""Model, revision, stable version and candidate version."""
IsPassed = Callable[[bytes, int], bool]
"""Whether the log was read past a row (id, row)."""


class Paired(msgspec.Struct, frozen=True):
    """One shadow pair: what both versions said; None for one that failed, which not both of them did."""

    key: int
    row: int
    id: bytes
    stable: Value
    candidate: Value


class Pairings:
    """The tables `pairs`, of those that wait, and `pairings`, of what was counted."""

    def __init__(self, connection: sqlite3.Connection, most: int) -> None:
        self._db = connection
        self.rows = AgedRows(connection, "pairs", most)
        self.reload()

    def reload(self) -> None:
        """Read again what is kept in memory."""
        self.rows.reload()
        self._closer = {number for (number,) in self._db.execute("SELECT number FROM pairings WHERE closer")}

    def add(
        self, pairing: Pairing, rows: Sequence[Paired], now: int, is_passed: IsPassed, *, regression: bool
    ) -> None:
        """Keep pairs, or count those with a label at once.

        Of a `regression` right is who is as close to the label as the other version.
        """
        number, before = self._number(pairing, regression=regression), self.rows.last
        self._db.executemany(
            "INSERT INTO pairs (key, row, id, pairing, aged, stable, candidate) VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(row.key, row.row, row.id, number, now, row.stable, row.candidate) for row in rows],
        )
        self.rows.grown()
        found = self._db.execute(
            "SELECT pairs.seq, pairing, stable, candidate, label, labelled, pairs.id, pairs.row FROM pairs"
            " LEFT JOIN predictions USING (key, row, id) WHERE pairs.seq > ? AND labelled IS NOT 0",
            (before,),
        ).fetchall()
        self._settle([pair for *pair, labelled, _, _ in found if labelled])
        gone = [
            pair[0]
            for *pair, labelled, identifier, row in found
            if not labelled and is_passed(identifier, row)
        ]
        self._db.executemany("DELETE FROM pairs WHERE seq = ?", [(seq,) for seq in gone])

    def settle(self, key: int, row: int, identifier: bytes, label: Value) -> None:
        """Count and forget the pairs that waited for this label."""
        found = self._db.execute(
            "SELECT seq, pairing, stable, candidate FROM pairs WHERE key = ? AND row = ? AND id = ?",
            (key, row, identifier),
        ).fetchall()
        self._settle([(*pair, label) for pair in found])

    def _settle(self, pairs: Iterable[Sequence[Any]]) -> None:
        for seq, pairing, stable, candidate, label in pairs:
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

    def _number(self, pairing: Pairing, *, regression: bool) -> int:
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


def totals(connection: sqlite3.Connection, offset: str) -> list[PairTotals]:
    """What was counted, up to `offset` of the log."""
    rows = connection.execute(
        "SELECT model, revision, stable, candidate, both_right, only_stable, only_candidate, both_wrong"
        " FROM pairings WHERE both_right + only_stable + only_candidate + both_wrong > 0 ORDER BY number"
    )
    return [
        PairTotals(
            model=model,
            revision=revision,
            stable=stable,
            candidate=candidate,
            both_right=counted[0],
            only_stable=counted[1],
            only_candidate=counted[2],
            both_wrong=counted[3],
            offset=offset,
        )
        for model, revision, stable, candidate, *counted in rows
    ]
