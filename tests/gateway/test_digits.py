"""Whole numbers as strangers write them."""

import pytest

from gateway.digits import MOST_DIGITS, is_number


@pytest.mark.parametrize("text", ["0", "00", "17", b"17", "9" * MOST_DIGITS])
def test_digits_are_a_number(text: str | bytes) -> None:
    """Plain digits are a number, which 63 bits hold."""
    assert is_number(text)
    assert int(text) < 2**63


@pytest.mark.parametrize(
    "text", ["", "-1", "+1", " 1", "1_0", "1.0", "٣", "²", b"-1", "9" * (MOST_DIGITS + 1)]
)
def test_everything_else_is_none(text: str | bytes) -> None:
    """Signs, spaces, underscores, other scripts' digits and what is too long are no number."""
    assert not is_number(text)
