"""The detector interface, frozen: evidence in, and not one decision.

A detector watches one version of one model. It says how strong the evidence of a change is, per signal;
whether that is an alarm is decided one level up (monitor.evidence), because one budget covers the whole
model.

The law every calibrated detector keeps: per signal, the expected evidence (not its logarithm) after t rows of
unchanged data is at most t. Averages of such signals keep it, whatever the dependence between them; an alarm
at evidence A therefore comes, on unchanged data, after A rows or more on average.
"""

from collections.abc import Mapping
from typing import Final, Literal, Protocol, Self

import msgspec

from monitor.blocks import Block, Mark
from monitor.settings import DetectionSettings
from registry_client.profile import Profile

Feed = Literal["inputs", "errors"]

DETECTORS: Final[Mapping[str, str]] = {
    "inputs": "monitor.detectors.edetector:InputDetector",
    "risk": "monitor.detectors.risk:RiskDetector",
    "adwin": "monitor.detectors.adwin:AdwinDetector",
}
"""name -> "module:Class". The name is also the group its signals are reported under."""


class Effect(msgspec.Struct, frozen=True):
    """What changed, in units people read; since the last time the signal was quiet.

    `size` is a distance between distributions (largest difference of cumulative shares for numbers, total
    variation for categories) or a difference of rates. `before` and `after` are the reference's and the live
    share of the event named by `event`.
    """

    size: float
    event: str
    before: float
    after: float
    rows: int
    onset: Mark


class Detector(Protocol):
    """Evidence about one version of one model.

    `feed` says what its blocks hold: "inputs" (the version's columns, see monitor.columns) or "errors" (one
    numeric column, 1 = the labelled prediction was wrong). `share` is its part of the model's budget; 0 means
    that it advises and never alarms. `weights` are its signals' parts of that share; they sum to 1.
    """

    feed: Feed
    share: float
    weights: Mapping[str, float]

    @classmethod
    def build(cls, profile: Profile | None, settings: DetectionSettings) -> Self | None:
        """A detector for this version, or None when the profile holds nothing to compare with."""
        ...

    def update(self, block: Block) -> Mapping[str, float]:
        """Take in a block; ln evidence per signal, for all of them (-inf is none)."""
        ...

    def state(self) -> bytes:
        """Everything `restore` needs to go on exactly from here; carries its own version."""
        ...

    def restore(self, state: bytes) -> None:
        """Go on from `state`; DetectorStateError when it was made by another version or for other columns."""
        ...

    def effect(self, signal: str) -> Effect:
        """What the evidence of one signal means."""
        ...
