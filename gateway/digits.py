"""Whole numbers as strangers write them in headers and queries.

Rule: what is no plain number of 63 bits is never given to `int`, which takes signs, spaces, underscores and
the digits of every script, and raises on thousands of them.
"""

from typing import Final

MOST_DIGITS: Final = 18
"""Every number of so many digits fits into 63 bits."""


def is_number(text: str | bytes) -> bool:
    """Whether a text is one to MOST_DIGITS digits of ASCII, and nothing else."""
    return text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS
