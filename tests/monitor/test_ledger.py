"""Tests of monitor.ledger."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from groundwork.database import transaction
from monitor.ledger import Joined, Labelled, Ledger, Paired, Predicted
from monitor.settings import LedgerSettings
from monitor.store import open_store
from monitor.truth import Value
from prediction_log.record import ALL_ROWS

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

    def pair(self, key: int, stable: Value, candidate: Value, *, regression: bool = False) -> None:
        """One pair."""
        pair = Paired(key, 0, identifier(key), stable, candidate)
        with transaction(self.db):
            self.ledger.add_pairs(("m", 3, "1", "2"), [pair], regression=regression)

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


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A ledger in a folder of its own."""
    made = Desk(tmp_path)
    yield made
    made.db.close()


def test_a_label_meets_its_prediction(desk: Desk) -> None:
    """A label joins the prediction it names, and says whether that was right."""
    desk.predict(1, 1)
    desk.predict(2, 0)
    assert [found.right for found in [*desk.label(1), *desk.label(2)]] == [True, False]
    assert desk.tally == {"matched": 2}


def test_a_label_may_come_first(desk: Desk) -> None:
    """A label that came before its prediction joins it when it comes, also after a restart."""
    assert desk.label(1) == []
    desk.ledger.reload()
    assert [found.right for found in desk.predict(1)] == [True]
    assert desk.tally == {"early": 1, "matched": 1}
    assert desk.count("early") == 0


def test_a_label_counts_once(desk: Desk) -> None:
    """A second label of a row is a duplicate, whether the first came before or after the prediction."""
    desk.predict(1)
    desk.label(1)
    assert desk.label(1, 0) == []
    desk.label(2)
    desk.label(2)
    desk.predict(2)
    assert desk.label(2) == []
    assert desk.tally["duplicate"] == 3
    assert desk.tally["matched"] == 2


def test_rows_of_one_id_are_told_apart(desk: Desk) -> None:
    """Rows of one request share an id; each has its own label."""
    desk.predict(1, 1, row=0)
    desk.predict(1, 0, row=1)
    assert [found.right for found in [*desk.label(1, row=1), *desk.label(1, row=0)]] == [False, True]


def test_a_label_of_another_model_is_not_taken(desk: Desk) -> None:
    """A label sent under another model's name joins nothing of this one."""
    desk.predict(1)
    assert desk.label(1, model="other") == []


def test_a_label_too_late_is_counted_as_late(desk: Desk) -> None:
    """A label after the time predictions are kept is late, even if the row is still there."""
    desk.predict(1, time=0)
    desk.predict(2, time=0)
    assert len(desk.label(2, time=100)) == 1
    assert desk.label(1, time=101) == []
    assert desk.tally == {"matched": 1, "late": 1}


def test_a_label_that_names_nothing_is_nobodys(desk: Desk) -> None:
    """What is left of a deleted one: it meets no prediction without a client id, and waits for none."""
    nameless = Labelled(0, 0, bytes(16), b"", 1)
    desk.predict(1)
    with transaction(desk.db):
        assert desk.ledger.add_label("m", nameless, desk.tally) == []
    assert desk.predict(2) == []
    assert desk.tally == {}
    assert desk.count("early") == 0


def test_a_label_that_is_named_twice_goes_by_our_id(desk: Desk) -> None:
    """The client's own id beside it, which another prediction has, does not count."""
    desk.predict(1, client=b"order-1")
    desk.predict(2, 0, client=b"order-2")
    with transaction(desk.db):
        both = Labelled(1, 0, identifier(1), b"order-2", 1)
        (joined,) = desk.ledger.add_label("m", both, desk.tally)
    assert joined.right is True


def test_early_labels_of_rows_of_one_id_all_wait(desk: Desk) -> None:
    """They are no duplicates of one another, and each meets its own row."""
    for row in range(3):
        desk.label(1, 1, row=row)
    assert desk.tally == {"early": 3}
    assert [len(desk.predict(1, row=row)) for row in range(3)] == [1, 1, 1]


def test_pairs_are_bounded_by_age_and_by_number(desk: Desk) -> None:
    """As predictions are; a label that comes then finds nothing to be counted."""
    for key in range(80):
        desk.pair(key, 1, 0)
        desk.expire(0)
    assert desk.count("pairs") == 50
    desk.expire(101)
    assert desk.count("pairs") == 0


def test_a_label_without_a_value_counts_no_pair(desk: Desk) -> None:
    """It was deleted: neither version was right or wrong by it."""
    desk.predict(1)
    desk.pair(1, 1, 0)
    desk.label(1, None)
    assert desk.totals() == (0, 0, 0, 0)


def test_a_pair_of_a_regression_is_known_for_it_at_once(desk: Desk) -> None:
    """Before any restart; a text is close to nothing and ends no round."""
    labels: tuple[Value, ...] = (10, "dear")
    for key, label in enumerate(labels, 1):
        desk.predict(key, None)
        desk.pair(key, 9.5, 20.0, regression=True)
        desk.label(key, label)
    assert desk.totals() == (0, 1, 0, 0)


def test_a_clients_own_id_works_where_it_is_unique(desk: Desk) -> None:
    """A client id names its prediction if there is one of it; two are ambiguous, and for one it waits."""
    desk.predict(1, client=b"order-1")
    desk.predict(2, client=b"order-2")
    desk.predict(3, client=b"order-2")
    assert len(desk.label(0, client=b"order-1")) == 1
    assert desk.label(0, client=b"order-2") == []
    assert desk.label(0, client=b"order-3") == []
    assert desk.tally == {"matched": 1, "ambiguous": 1, "early": 1}


def test_a_label_by_a_clients_own_id_may_come_first(desk: Desk) -> None:
    """It joins the prediction that comes with that id, once, also after a restart."""
    assert desk.label(0, client=b"order-1", row=1) == []
    assert desk.label(0, client=b"order-1", row=1) == []
    desk.ledger.reload()
    assert desk.predict(1, client=b"order-1", row=0) == []
    assert [found.right for found in desk.predict(1, client=b"order-1", row=1)] == [True]
    assert desk.predict(2, client=b"order-1", row=1) == []
    assert desk.tally == {"early": 1, "duplicate": 1, "matched": 1}
    assert desk.count("early") == 0


def test_a_waiting_label_is_ambiguous_where_two_come_at_once(desk: Desk) -> None:
    """A client id that two rows of one frame carry names neither, as if the label had come behind them."""
    desk.label(0, client=b"order-1")
    rows = [Predicted(key, 0, identifier(key), b"order-1", 1, 0, 1) for key in (1, 2)]
    with transaction(desk.db):
        assert desk.ledger.add_predictions("m", "1", rows, desk.tally) == []
    assert desk.tally == {"early": 1, "ambiguous": 1}


def test_pairs_count_by_who_was_right_in_any_order(desk: Desk) -> None:
    """A pair is counted once its label is there, whichever came first; a version that failed was wrong."""
    for key, (stable, candidate) in enumerate([(1, 1), (1, 0), (0, 1), (0, 0), (1, None)], 1):
        desk.predict(key)
        if key % 2:
            desk.pair(key, stable, candidate)
        desk.label(key, 1)
        if not key % 2:
            desk.pair(key, stable, candidate)
    assert desk.totals() == (1, 2, 1, 1)
    assert desk.count("pairs") == 0


def test_pairs_of_a_regression_count_by_who_is_closer(desk: Desk) -> None:
    """Of two numbers the closer is right, or both are; one that failed is wrong, also after a restart."""
    desk.pair(9, None, 1.0)  # before it was known to be one
    answered = [(9.5, 11.0), (12.0, 10.25), (9.0, 11), (None, 500.0), (7.5, None)]
    for key, (stable, candidate) in enumerate(answered, 1):
        desk.predict(key, None)
        desk.pair(key, stable, candidate, regression=True)
        desk.ledger.reload()
        desk.label(key, 10)
    assert desk.totals() == (1, 2, 2, 0)
    desk.ledger.reload()
    desk.pair(6, 1.0, 2.0, regression=True)
    desk.label(6, "dear")
    assert desk.totals() == (1, 2, 2, 0)


def test_memory_is_bounded_by_age_and_by_number(desk: Desk) -> None:
    """Rows older than they are kept go, and the oldest of too many; early labels end as unmatched."""
    for key in range(80):
        desk.predict(key, time=key)
        desk.expire(key)
    assert desk.count("predictions") <= 50
    for key in range(1_000, 1_010):
        desk.label(key, time=80)
        desk.expire(80)
    assert desk.count("early") <= 5
    assert desk.given_up == {"m": 10 - desk.count("early")}
    desk.expire(1_000)
    assert desk.count("predictions") == desk.count("early") == 0
    assert desk.given_up == {"m": 10}


def test_a_label_that_is_given_up_is_its_own_models(desk: Desk) -> None:
    """Whichever model's frame passes as its time is over."""
    desk.label(1, model="m")
    desk.label(2, model="n")
    desk.label(3, model="n")
    desk.expire(500)
    assert desk.given_up == {"m": 1, "n": 2}


def test_a_deleted_prediction_is_forgotten(desk: Desk) -> None:
    """A deletion takes one row, or every row of an id, out of the ledger."""
    for row in range(3):
        desk.predict(1, row=row)
    with transaction(desk.db):
        desk.ledger.delete(1, identifier(1), 1)
    assert desk.count("predictions") == 2
    with transaction(desk.db):
        desk.ledger.delete(1, identifier(1), ALL_ROWS)
    assert desk.count("predictions") == 0


def test_labels_of_what_was_not_drawn_are_told_at_once(desk: Desk) -> None:
    """Where the log was read past a prediction that is not there, its label waits for nothing."""
    desk.predict(5)
    desk.label(7, passed=0)
    assert desk.tally == {"not drawn": 1}
    desk.label(5, row=3, passed=0)
    desk.label(5, passed=0, model="n")
    assert desk.tally == {"not drawn": 1, "early": 2}
    assert desk.ledger.pass_by(0, 100, lambda _id, _row: True) == {}


def test_labels_of_what_was_forgotten_are_late(desk: Desk) -> None:
    """A row older than all of its stream that are left was there once, where rows have been forgotten."""
    for key in (5, 6, 8):
        desk.predict(key)
    desk.label(4, passed=0)
    assert desk.tally == {"not drawn": 1}
    desk.db.execute("DELETE FROM predictions WHERE key < 6")
    desk.ledger.reload()
    desk.label(4, passed=0)
    desk.label(7, passed=0)
    assert desk.tally == {"not drawn": 2, "late": 1}


def test_labels_that_waited_for_what_was_not_drawn_are_given_up_as_it_passes(desk: Desk) -> None:
    """Only those whose row is passed, by whichever model they came; those by a client's id wait on."""
    for key in (3, 4, 5):
        desk.label(key)
    desk.label(0, client=b"order")
    assert desk.ledger.pass_by(0, 5, lambda _id, _row: False) == {}
    assert desk.ledger.pass_by(0, 5, lambda given, _row: given == identifier(3)) == {"m": 1}
    assert [bool(desk.predict(key)) for key in (3, 4, 5)] == [False, True, True]
    assert desk.predict(6, client=b"order")
