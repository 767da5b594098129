"""Four counts of the same thing: the first that differs is named."""

import msgspec

from driftgate.demo.books import Books, Count

SAME = Count(10, 40, 40)
BOOKS = Books(client=SAME, gateway=SAME, log=SAME, monitor=Count(None, 40, 40), lost=0)


def test_books_that_agree_have_no_difference() -> None:
    """What one does not count is not compared."""
    assert BOOKS.difference() is None


def test_the_first_difference_is_named() -> None:
    """Who, what, how many, and how many the client has."""
    wrong = msgspec.structs.replace(BOOKS, monitor=Count(None, 39, 40))
    assert wrong.difference() == "the monitor counted 39 rows, the client 40"
