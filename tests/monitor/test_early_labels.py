"""Tests of monitor.early_labels."""

from groundwork.database import transaction
from monitor.ledger import Predicted
from tests.monitor.ledgers import Desk, identifier


def test_a_label_may_come_first(desk: Desk) -> None:
    """A label that came before its prediction joins it when it comes, also after a restart."""
    assert desk.label(1) == []
    desk.ledger.reload()
    assert [found.right for found in desk.predict(1)] == [True]
    assert desk.tally == {"early": 1, "matched": 1}
    assert desk.count("early") == 0


def test_early_labels_of_rows_of_one_id_all_wait(desk: Desk) -> None:
    """They are no duplicates of one another, and each meets its own row."""
    for row in range(3):
        desk.label(1, 1, row=row)
    assert desk.tally == {"early": 3}
    assert [len(desk.predict(1, row=row)) for row in range(3)] == [1, 1, 1]


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


def test_a_label_that_is_given_up_is_its_own_models(desk: Desk) -> None:
    """Whichever model's frame passes as its time is over."""
    desk.label(1, model="m")
    desk.label(2, model="n")
    desk.label(3, model="n")
    desk.expire(500)
    assert desk.given_up == {"m": 1, "n": 2}


def test_labels_that_waited_for_what_was_not_drawn_are_given_up_as_it_passes(desk: Desk) -> None:
    """Only those whose row is passed, by whichever model they came; those by a client's id wait on."""
    for key in (3, 4, 5):
        desk.label(key)
    desk.label(0, client=b"order")
    assert desk.ledger.pass_by(0, 5, lambda _id, _row: False) == {}
    assert desk.ledger.pass_by(0, 5, lambda given, _row: given == identifier(3)) == {"m": 1}
    assert [bool(desk.predict(key)) for key in (3, 4, 5)] == [False, True, True]
    assert desk.predict(6, client=b"order")
