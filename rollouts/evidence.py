"""What was counted: the numbers a judge sees.

Everything here is an absolute, cumulative total: of one worker incarnation for requests and errors, of the
whole log for labelled pairs. Taking differences is the judge's task, so a lost or repeated observation
harms nothing.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

Arm = Literal["stable", "candidate", "shadow", "pinned"]
Stratum = tuple[int, str]
"""(route revision, arm)."""


class ArmCounts(msgspec.Struct, frozen=True):
    """Requests of one arm under one revision and how many of them were errors."""

    requests: int = 0
    errors: int = 0


class PairTotals(msgspec.Struct, frozen=True):
    """Labelled pairs of one revision by who was right, counted up to the log position `offset`."""

    model: str
    revision: int
    stable: str
    candidate: str
    both_right: int = 0
    only_stable: int = 0
    only_candidate: int = 0
    both_wrong: int = 0
    offset: str = ""

    @property
    def pairs(self) -> int:
        """All labelled pairs."""
        return self.both_right + self.only_stable + self.only_candidate + self.both_wrong


class Observation(msgspec.Struct, frozen=True):
    """What one tick read: totals by stratum for each incarnation, and the pair totals in the store."""

    counts: Mapping[int, Mapping[Stratum, ArmCounts]]
    pairs: tuple[PairTotals, ...] = ()
