"""Tests of monitor.pairings."""

from groundwork.database import transaction
from monitor.truth import Value
from prediction_log.record import ALL_ROWS
from tests.monitor.ledgers import Desk, identifier


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


def test_a_pair_of_a_regression_is_known_for_it_at_once(desk: Desk) -> None:
    """Before any restart; a text is close to nothing and ends no round."""
    labels: tuple[Value, ...] = (10, "dear")
    for key, label in enumerate(labels, 1):
        desk.predict(key, None)
        desk.pair(key, 9.5, 20.0, regression=True)
        desk.label(key, label)
    assert desk.totals() == (0, 1, 0, 0)


def test_a_label_without_a_value_counts_no_pair(desk: Desk) -> None:
    """It was deleted: neither version was right or wrong by it."""
    desk.predict(1)
    desk.pair(1, 1, 0)
    desk.label(1, None)
    assert desk.totals() == (0, 0, 0, 0)


def test_a_pair_that_no_label_can_find_is_not_kept(desk: Desk) -> None:
    """Its prediction was passed and is not there: it was deleted, say, before the shadow had run."""
    desk.predict(1)
    desk.predict(2)
    with transaction(desk.db):
        desk.ledger.delete(1, identifier(1), ALL_ROWS)
    desk.pair(1, 1, 0, passed=True)
    assert desk.count("pairs") == 0
    desk.pair(2, 1, 0, passed=True)
    desk.pair(3, 1, 0)
    assert desk.count("pairs") == 2
    desk.predict(3)
    desk.label(2)
    desk.label(3)
    assert desk.totals() == (0, 2, 0, 0)


def test_pairs_are_bounded_by_age_and_by_number(desk: Desk) -> None:
    """As predictions are; a label that comes then finds nothing to be counted."""
    for key in range(80):
        desk.pair(key, 1, 0)
        desk.expire(0)
    assert desk.count("pairs") == 50
    desk.expire(101)
    assert desk.count("pairs") == 0
