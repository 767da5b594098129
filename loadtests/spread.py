"""Latencies as counts: a minute of a million answers in 30 kB, and percentiles good to half a percent.

A list of latencies grows with the run, and the collector of garbage walks it: the latencies would show that.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

_PART_BITS: Final = 7
PARTS: Final = 1 << _PART_BITS
"""Counts per doubling, equally wide: each is at most 0.8 % of its latency."""
LEAST_BITS: Final = 13
"""Below 8 µs nothing is told apart: no answer over TCP is as quick."""
MOST_BITS: Final = 38
"""From 137 s on neither."""


class Spread:
    """Latencies of answers by size, and the number of requests that were not answered with success."""

    def __init__(self) -> None:
        self.bad = 0
        self._counts = array("Q", bytes(array("Q").itemsize * PARTS * (MOST_BITS - LEAST_BITS)))

    @classmethod
    def merged(cls, parts: Iterable[Spread]) -> Spread:
        """All of them in one; the parts stay as they are."""
        whole = cls()
        counts = whole._array()
        for part in parts:
            whole.bad += part.bad
            counts += part._array()  # noqa: SLF001  another of the same class
        return whole

    def took(self, latency: int) -> None:
        """Count an answer that took so many ns."""
        bits = min(max(latency.bit_length(), LEAST_BITS + 1), MOST_BITS)
        part = min(max((latency >> (bits - 1 - _PART_BITS)) - PARTS, 0), PARTS - 1)
        self._counts[(bits - 1 - LEAST_BITS) * PARTS + part] += 1

    @property
    def done(self) -> int:
        """Answers with success."""
        return sum(self._counts)

    def percentile(self, q: float) -> float:
        """Latency in µs below which a share `q` (0..100) of the answers came; nan when there were none."""
        sums = np.cumsum(self._array())
        if not sums[-1]:
            return float("nan")
        place = int(np.searchsorted(sums, q / 100 * float(sums[-1])))
        power, part = divmod(place, PARTS)
        return float((PARTS + part + 0.5) * 2.0 ** (power + LEAST_BITS - _PART_BITS)) / 1e3

    def _array(self) -> NDArray[np.uint64]:
        """The counts themselves, not a copy."""
        return np.frombuffer(self._counts, np.uint64)
