"""Tests of monitor.ledger."""

import functools

from groundwork.database import transaction
from monitor.early_labels import Labelled
from prediction_log.record import ALL_ROWS
from tests.monitor.ledgers import Desk, identifier


def test_a_label_meets_its_prediction(desk: Desk) -> None:
    """A label joins the prediction it names, and says whether that was right."""
    desk.predict(1, 1)
    desk.predict(2, 0)
    assert [found.right for found in [*desk.label(1), *desk.label(2)]] == [True, False]
    assert desk.tally == {"matched": 2}


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


def test_a_clients_own_id_works_where_it_is_unique(desk: Desk) -> None:
    """A client id names its prediction if there is one of it; two are ambiguous, and for one it waits."""
    desk.predict(1, client=b"order-1")
    desk.predict(2, client=b"order-2")
    desk.predict(3, client=b"order-2")
    assert len(desk.label(0, client=b"order-1")) == 1
    assert desk.label(0, client=b"order-2") == []
    assert desk.label(0, client=b"order-3") == []
    assert desk.tally == {"matched": 1, "ambiguous": 1, "early": 1}


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


def test_a_client_id_that_every_request_carries_costs_a_label_nothing(desk: Desk) -> None:
    """It is ambiguous with the second of them: with forty SQLite takes as many steps as with three."""
    steps: list[list[None]] = []
    for more in (3, 40):
        for key in range(more):
            desk.predict(100 * more + key, client=b"1")
        steps.append([])
        desk.db.set_progress_handler(functools.partial(steps[-1].append, None), 1)
        desk.label(0, client=b"1")
        desk.db.set_progress_handler(None, 1)
    assert len(steps[0]) == len(steps[1])
    assert desk.tally == {"ambiguous": 2}


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
