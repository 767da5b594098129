"""Rows that wait for one another, in a table of monitor.db, and which of them go: the oldest first.

Each such table has a sequence, the key, row and id of a prediction, and the passed time at which a row came.
Bounded by number and by age; every call runs inside the caller's transaction.
"""

import sqlite3

from prediction_log.record import ALL_ROWS


class AgedRows:
    """The ends of one table; its owner says `grown` when it has added rows."""

    def __init__(self, connection: sqlite3.Connection, table: str, most: int) -> None:
        """`table` is our own word; of more than `most` rows the oldest are too many."""
        self._db = connection
        self._table = table
        self._most = most
        self.reload()

    def reload(self) -> None:
        """Look again which row is the oldest."""
        found = self._db.execute(f"SELECT seq, aged FROM {self._table} ORDER BY seq LIMIT 1").fetchone()  # noqa: S608
        self._oldest: tuple[int, int] | None = None if found is None else (found[0], found[1])

    @property
    def last(self) -> int:
        """The sequence of the newest row; 0 without any."""
        last: int = self._db.execute(f"SELECT coalesce(max(seq), 0) FROM {self._table}").fetchone()[0]  # noqa: S608
        return last

    @property
    def has_forgotten(self) -> bool:
        """Whether there were rows before those that are here."""
        return self._oldest is not None and self._oldest[0] != 1

    def grown(self) -> None:
        """Rows were added."""
        if self._oldest is None:
            self.reload()

    def bound(self, cutoff: int) -> int | None:
        """The first row that stays, where some that came before `cutoff`, or are too many, are to go."""
        oldest = self._oldest
        if oldest is None or not (oldest[1] < cutoff or self.last - oldest[0] >= self._most):
            return None
        alive = self._db.execute(
            f"SELECT seq FROM {self._table} WHERE seq > ? AND aged >= ? ORDER BY seq LIMIT 1",  # noqa: S608
            (self.last - self._most, cutoff),
        ).fetchone()
        return self.last + 1 if alive is None else int(alive[0])

    def expire(self, cutoff: int) -> None:
        """Forget the rows that came before `cutoff`, and the oldest of too many."""
        bound = self.bound(cutoff)
        if bound is not None:
            self.forget_before(bound)

    def forget_before(self, bound: int) -> None:
        """Forget the rows up to this sequence, which stays."""
        self._db.execute(f"DELETE FROM {self._table} WHERE seq < ?", (bound,))  # noqa: S608
        self.reload()

    def delete(self, key: int, identifier: bytes, row: int) -> None:
        """Forget what was deleted from the log: a row of a prediction, every row of it for ALL_ROWS."""
        self._db.execute(
            f"DELETE FROM {self._table} WHERE key = ?1 AND id = ?2 AND (?3 = ?4 OR row = ?3)",  # noqa: S608
            (key, identifier, row, ALL_ROWS),
        )
