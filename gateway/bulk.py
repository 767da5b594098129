"""How much a body may turn into before it is read: every list, object or row costs a hundred times its bytes.

A body of 64 MiB holds twenty million `[],` or thirty million lines `1`, which Python would turn into
gigabytes. Numbers and words cost some twelve times their bytes at the worst, which the limit of a body
bounds; but a string, four bytes on the wire where it is empty, costs the runtime another 32 for each copy.
Rule: what may be too much is counted, at about 1 ns a byte, before anything is made of it; a body too short
to be too much costs nothing.
"""

from typing import Final

from gateway.errors import TooLargeError

MOST_LISTS: Final = 1 << 20
"""Lists and objects in one JSON text, rows in one table."""
MOST_CELLS: Final = 1 << 23
"""Cells in one table."""
MOST_ABSENT: Final = 1 << 20
"""Cells that the rows of one table leave out: each becomes a null that nobody sent."""
MOST_ROWS: Final = 1 << 20
"""Rows of one request in JSON or a table, as many as may be lists of their own."""
MOST_BINARY_ROWS: Final = 1 << 24
"""Rows of one request in binary: what 64 MiB hold of four bytes each. One costs 250 while it is answered."""
MOST_STRINGS: Final = 1 << 22
"""Elements of one tensor of strings: of empty ones, some 300 MB in the runtime."""
_SHORTEST_LIST: Final = 2
_SLICE: Final = 1 << 20  # others get their turn between two


def check_lists(text: bytes, end: int | None = None) -> None:
    """TooLargeError where the JSON text before `end` opens more than MOST_LISTS lists and objects.

    Brackets in strings count, for telling them apart would cost what is to be saved.
    """
    size = len(text) if end is None else end
    if size > MOST_LISTS * _SHORTEST_LIST and _count(text, size, b"[", b"{") > MOST_LISTS:
        raise TooLargeError(
            f"the JSON has more than {MOST_LISTS} lists and objects; send flat lists, binary tensors "
            "or fewer rows at a time"
        )


def check_table(text: bytes) -> None:
    """TooLargeError where CSV has more than MOST_LISTS lines or MOST_CELLS cells."""
    size = len(text)
    if size <= MOST_LISTS:
        return
    lines = _count(text, size, b"\n", b"\r")
    if lines > MOST_LISTS or lines + _count(text, size, b",") > MOST_CELLS:
        raise TooLargeError(
            f"the table has more than {MOST_LISTS} lines or {MOST_CELLS} cells; send fewer rows at a time"
        )


def check_absent(cells: int) -> None:
    """TooLargeError where rows that name their cells leave more than MOST_ABSENT of them out.

    Rows that each name a column of their own would make a table as large as the square of their number.
    """
    if cells > MOST_ABSENT:
        raise TooLargeError(
            f"the rows leave out {cells} cells, {MOST_ABSENT} at most may be; send fewer rows at a time, or "
            "every cell"
        )


def check_rows(rows: int, most: int = MOST_ROWS) -> None:
    """TooLargeError where a request has more than so many rows.

    A row may be one byte on the wire, or a thousandth of it where the body was compressed.
    """
    if rows > most:
        raise TooLargeError(f"the request has {rows} rows, {most} at most may be; send fewer rows at a time")


def check_strings(name: str, count: int) -> None:
    """TooLargeError where a tensor has more than MOST_STRINGS strings."""
    if count > MOST_STRINGS:
        raise TooLargeError(
            f"input {name!r} has {count} strings, {MOST_STRINGS} at most may be; send fewer rows at a time"
        )


def _count(text: bytes, size: int, *marks: bytes) -> int:
    return sum(
        text.count(mark, at, min(at + _SLICE, size)) for at in range(0, size, _SLICE) for mark in marks
    )
