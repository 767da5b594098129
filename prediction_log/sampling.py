"""Which predictions are drawn, by their ids alone: whoever knows the id and the rate knows the answer.

A prediction id is a random-looking 128 bits (`prediction_log.ids`), so its first four bytes are as good a
hash as any. All rows of a request are drawn together.
"""

from typing import Final

FULL: Final = 2**32
"""The threshold of everything."""


def threshold(rate: float) -> int:
    """The threshold of a rate from 0 to 1, in parts of FULL."""
    return round(rate * FULL)


def is_drawn(identifier: bytes, limit: int) -> bool:
    """Whether the prediction of these 16 bytes is drawn under this threshold."""
    return int.from_bytes(identifier[:4], "little") < limit
