"""How often: a handful under `make test`, everything under `make torture`."""

import os
from typing import Final

TORTURE: Final = os.environ.get("TORTURE", "") not in {"", "0"}
"""Whether full counts were asked for."""


def count(ordinary: int, full: int) -> int:
    """The number to use in this run."""
    return full if TORTURE else ordinary
