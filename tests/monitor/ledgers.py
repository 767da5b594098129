"""A ledger over a file, to be told what came."""

from collections import Counter
from pathlib import Path

from groundwork.database import transaction
from monitor.early_labels import Labelled
from monitor.ledger import Joined, Ledger, Predicted
from monitor.pairings import Paired
from monitor.settings import LedgerSettings
from monitor.store import open_store
from monitor.truth import Value

SECOND = 10**9
SETTINGS = LedgerSettings(keep=100.0, max_rows=50, max_early=5)


class Desk:
    """A ledger over a file, with short ways to say things."""

    def __init__(self, folder: Path) -> None:
        self.db = open_store(folder)
        self.ledger = Ledger(self.db, SETTINGS)
        self.tally: Counter[str] = Counter()
        self.given_up: Counter[str] = Counter()

    def predict(
        self, key: int, value: Value = 1, *, time: int = 0, client: bytes = b"", row: int = 0
    ) -> list[Joined]:
        """One answered row."""
        made = Predicted(key, row, identifier(key), client, 1, time * SECOND, value)
        self.ledger.now = max(self.ledger.now, time * SECOND)
        with transaction(self.db):
            return self.ledger.add_predictions("m", "1", [made], self.tally)

    def label(
        self,
        key: int,
        value: Value = 1,
        *,
        time: int = 1,
        client: bytes = b"",
        row: int = 0,
        model: str = "m",
        passed: int | None = None,
    ) -> list[Joined]:
        """One label."""
        named = bytes(16) if client else identifier(key)
        self.ledger.now = max(self.ledger.now, time * SECOND)
        with transaction(self.db):
            return self.ledger.add_label(model, Labelled(key, row, named, client, value, passed), self.tally)

    def pair(
        self, key: int, stable: Value, candidate: Value, *, regression: bool = False, passed: bool = False
    ) -> None:
        """One pair, the log having `passed` its prediction or not."""
        pair = Paired(key, 0, identifier(key), stable, candidate)
        with transaction(self.db):
            self.ledger.add_pairs(("m", 3, "1", "2"), [pair], lambda *_: passed, regression=regression)

    def expire(self, time: int) -> None:
        """Let the log's time pass."""
        self.ledger.now = time * SECOND
        with transaction(self.db):
            self.given_up += self.ledger.expire()

    def totals(self) -> tuple[int, ...] | None:
        """Pairs by who was right."""
        found: tuple[int, ...] | None = self.db.execute(
            "SELECT both_right, only_stable, only_candidate, both_wrong FROM pairings"
        ).fetchone()
        return found

    def count(self, table: str) -> int:
        """Rows of a table."""
        number: int = self.db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608  our tables
        return number


def identifier(key: int) -> bytes:
    """An id for a key."""
    return key.to_bytes(8, "little", signed=True) + b"tail5678"
