"""What a text may turn into, told before it does."""

import pytest

from gateway.bulk import (
    MOST_ABSENT,
    MOST_CELLS,
    MOST_LISTS,
    MOST_ROWS,
    MOST_STRINGS,
    check_absent,
    check_lists,
    check_rows,
    check_strings,
    check_table,
)
from gateway.errors import TooLargeError


@pytest.mark.parametrize("one", [b"[],", b"{},", b'{"a":[1]},'])
def test_lists_and_objects_are_counted(one: bytes) -> None:
    """As many lists and objects as may be pass, one more does not, whichever they are."""
    each = one.count(b"[") + one.count(b"{")
    text = one * (MOST_LISTS // each)
    check_lists(text)
    with pytest.raises(TooLargeError, match="lists and objects"):
        check_lists(text + one)


def test_what_follows_the_json_is_not_counted() -> None:
    """Binary tensors may have any bytes; the same bytes as JSON are refused."""
    text = b"{}" + b"[" * (3 * MOST_LISTS)
    check_lists(text, end=2)
    with pytest.raises(TooLargeError, match="lists and objects"):
        check_lists(text)


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_lines_and_cells_are_counted(end: bytes) -> None:
    """A table of as many lines as may be passes; one with more lines or more cells does not."""
    check_table((b"1" + end) * (MOST_LISTS // len(end)))
    with pytest.raises(TooLargeError, match="lines"):
        check_table((b"1" + end) * (MOST_LISTS + 1))
    with pytest.raises(TooLargeError, match="cells"):
        check_table((b"1" + b",1" * 1023 + end) * (MOST_CELLS // 1024 + 1))


def test_cells_left_out_are_bounded() -> None:
    """As many cells as may be left out pass, one more does not."""
    check_absent(MOST_ABSENT)
    with pytest.raises(TooLargeError, match="leave out"):
        check_absent(MOST_ABSENT + 1)


def test_strings_are_bounded() -> None:
    """A tensor of as many strings as may be passes, one with one more does not."""
    check_strings("s", MOST_STRINGS)
    with pytest.raises(TooLargeError, match="'s' has 4194305 strings"):
        check_strings("s", MOST_STRINGS + 1)


def test_rows_are_bounded() -> None:
    """A request of as many rows as may be passes, one with one more does not."""
    check_rows(MOST_ROWS)
    with pytest.raises(TooLargeError, match="1048577 rows"):
        check_rows(MOST_ROWS + 1)
