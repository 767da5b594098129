"""The keys of the ledger's indexes."""

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.early_labels import Labelled
from monitor.keys import Keys, settle
from monitor.ledger import Joined, Ledger, Predicted
from monitor.settings import LedgerSettings
from monitor.store import load_fact, open_store
from prediction_log.ids import PredictionIds
from tests.monitor.worlds import IDS

KEYS = Keys(IDS)
*NAMED, LAST = [IDS.encode(3, 2, sequence) for sequence in range(40, 45)]


@given(st.integers(1, 2**15 - 1), st.integers(1, 2**8 - 1), st.integers(0, 2**40 - 65))
def test_rows_one_after_another_have_keys_one_after_another(
    incarnation: int, stream: int, first: int
) -> None:
    """The ids of a stream have keys that rise by one, all within what SQLite holds."""
    ids = b"".join(IDS.following(incarnation, stream, first, 64))
    keys = KEYS.of(np.frombuffer(ids, np.uint8).reshape(-1, 16))
    assert keys == list(range(keys[0], keys[0] + 64))
    assert 0 <= keys[0] <= keys[-1] < 2**63


@given(st.binary(min_size=16, max_size=16))
def test_any_id_has_a_key(identifier: bytes) -> None:
    """Sixteen bytes that are no id of ours have a key too, the same each time."""
    assert KEYS.one(identifier) == KEYS.one(identifier)
    assert 0 <= KEYS.one(identifier) < 2**63


def fill(connection: sqlite3.Connection, keys: list[int]) -> None:
    """Three predictions, one labelled early by its id and one by its client's."""
    ledger = Ledger(connection, LedgerSettings())
    rows = [
        Predicted(key, 0, identifier, b"", 1, 5, 1) for key, identifier in zip(keys, NAMED[:3], strict=False)
    ]
    ledger.add_predictions("m", "1", rows, Counter())
    ledger.add_label("m", Labelled(keys[3], 0, NAMED[3], b"", 1), Counter())
    ledger.add_label("m", Labelled(0, 0, bytes(16), b"ada", 1), Counter())


def joined(connection: sqlite3.Connection) -> list[Joined]:
    """What comes of a label for each prediction, and of the prediction whose label was early."""
    ledger, tally = Ledger(connection, LedgerSettings()), Counter[str]()
    found: list[Joined] = []
    for identifier in NAMED[:3]:
        found += ledger.add_label("m", Labelled(KEYS.one(identifier), 0, identifier, b"", 1), tally)
    late = Predicted(KEYS.one(NAMED[3]), 0, NAMED[3], b"", 1, 5, 1)
    other = Predicted(KEYS.one(LAST), 0, LAST, b"ada", 1, 5, 1)
    return [*found, *ledger.add_predictions("m", "1", [late, other], tally)]


@pytest.mark.parametrize("before", ["an earlier version's", "another folder key's"])
def test_a_ledger_with_other_keys_is_given_these(tmp_path: Path, before: str) -> None:
    """What was kept under other keys is found again, early labels with and without an id among it."""
    with closing(open_store(tmp_path)) as db:
        if before == "another folder key's":
            settle(db, Keys(PredictionIds(b"another folder's")))
        fill(db, [int.from_bytes(identifier[:8], "little", signed=True) for identifier in NAMED])
        settle(db, KEYS)
        assert len(joined(db)) == 5
        assert load_fact(db, "keys") == KEYS.name


def test_a_ledger_with_these_keys_is_left_alone(tmp_path: Path) -> None:
    """Nothing is written where the keys are those already."""
    with closing(open_store(tmp_path)) as db:
        settle(db, KEYS)
        fill(db, [KEYS.one(identifier) for identifier in NAMED])
        before = db.total_changes
        settle(db, KEYS)
        assert db.total_changes == before
        assert len(joined(db)) == 5
