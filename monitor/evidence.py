"""One budget for a whole version: the evidence of its detectors, averaged by their shares.

Each calibrated detector keeps the law of monitor.detectors.detector; so does their weighted average, in rows
(a labelled row is one of the rows that were predicted). Evidence at or above the budget is an alarm, and
alarms on unchanged data come at least that many rows apart on average.

At an alarm the signals at fault are named by the rule of Benjamini and Hochberg for e-detectors
(Dandapanthula and Ramdas, 2025): the r strongest, for the largest r whose r-th evidence is at least
budget·K/r. That bounds the error over patience, not the share of false names.
"""

import math
from collections.abc import Mapping

import msgspec
import numpy as np

from monitor.detectors.detector import Detector

NONE = -math.inf
_MOST_NAMED = 20


class Shares:
    """The detectors' parts of the budget, normalised among those that are there; immutable."""

    def __init__(self, detectors: Mapping[str, Detector]) -> None:
        total = sum(detector.share for detector in detectors.values())
        self.parts: Mapping[str, float] = {
            name: detector.share / total for name, detector in detectors.items() if detector.share > 0
        }
        self._signals = {name: tuple(detectors[name].weights) for name in self.parts}
        self._weights = {
            name: np.log(np.array(list(detectors[name].weights.values()))) for name in self.parts
        }

    def group(self, name: str, evidence: Mapping[str, float]) -> float:
        """Ln of a detector's weighted average over its signals, within its own share."""
        signals = self._signals[name]
        values = np.fromiter((evidence[signal] for signal in signals), np.float64, len(signals))
        return float(np.logaddexp.reduce(values + self._weights[name]))

    def total(self, groups: Mapping[str, float]) -> float:
        """Ln of the version's evidence from its groups'."""
        weighted = [math.log(part) + groups.get(name, NONE) for name, part in self.parts.items()]
        return float(np.logaddexp.reduce(weighted)) if weighted else NONE

    def at_fault(self, groups: Mapping[str, float], threshold: float) -> tuple[str, ...]:
        """The groups that reach the threshold with their own share, or else the one that brings the most."""
        weighted = {name: math.log(part) + groups.get(name, NONE) for name, part in self.parts.items()}
        alone = tuple(name for name, value in weighted.items() if value >= threshold)
        return alone or ((max(weighted, key=weighted.__getitem__),) if weighted else ())


class Named(msgspec.Struct, frozen=True):
    """A signal at fault: its detector, its name, its ln evidence."""

    group: str
    signal: str
    evidence: float


def localise(evidence: Mapping[str, Mapping[str, float]], threshold: float) -> list[Named]:
    """The signals at fault, strongest first; at least one when there is any evidence, at most twenty."""
    signals = [
        Named(group, signal, value)
        for group, values in evidence.items()
        for signal, value in values.items()
        if value > NONE
    ]
    signals.sort(key=lambda named: (-named.evidence, named.group, named.signal))
    count = len(signals)
    passing = [
        rank
        for rank, named in enumerate(signals, 1)
        if named.evidence >= threshold + math.log(count) - math.log(rank)
    ]
    return signals[: min(_MOST_NAMED, max(passing, default=1))]
