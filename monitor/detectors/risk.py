"""The risk detector: labelled errors against the risk that the reference data showed.

The null: the next labelled prediction is wrong with a chance of at most m, whatever came before; m is the
upper confidence bound of the held-out risk plus the tolerance (one point or a tenth of it, whichever is
more). One side only: a version that errs less needs no alarm. The same statistic as the input detector's, on
one stream (risk tracking: Podkopaev and Ramdas, 2021).

Refuses to know: when a label came, and of which kind the model is.
"""

import math
from collections.abc import Mapping
from typing import Final, Self

import msgspec
import numpy as np

from groundwork import decoders
from monitor.blocks import Block, Mark
from monitor.detectors.bounds import upper_share
from monitor.detectors.detector import Effect, Feed
from monitor.errors import DetectorStateError
from monitor.settings import DetectionSettings
from registry_client.profile import Profile

SIGNAL: Final = "error-rate"
_ALTERNATIVES: Final = np.array([0.02, 0.04, 0.08, 0.16, 0.32])
_CERTAIN: Final = 0.98
_HEADROOM: Final = 1.0
_QUIET: Final = 3.0


class _Saved(msgspec.Struct, frozen=True, array_like=True, tag="risk-1"):
    """The detector as it is stored."""

    allowed: float
    budget: float
    evidence: tuple[float, ...]
    wrong: int
    rows: int
    onset: Mark


class RiskDetector:
    """Evidence that a version errs more than its reference allows."""

    feed: Feed = "errors"
    share = 0.6

    def __init__(self, reference: float, allowed: float, settings: DetectionSettings) -> None:
        self.weights: Mapping[str, float] = {SIGNAL: 1.0}
        self._reference = reference
        self._allowed = allowed
        self._budget = settings.budget_rows
        targets = allowed + _ALTERNATIVES[allowed + _ALTERNATIVES < 1.0]
        self._hit = np.log(targets / allowed)
        self._miss = np.log((1.0 - targets) / (1.0 - allowed))
        self._cap = math.log(settings.budget_rows * len(targets) / self.share) + _HEADROOM
        self._quiet = math.log(settings.label_block_rows) + _QUIET
        self._evidence = np.full(len(targets), -np.inf)
        self._wrong = 0
        self._rows = 0
        self._onset = Mark()

    @classmethod
    def build(cls, profile: Profile | None, settings: DetectionSettings) -> Self | None:
        """A detector for a version whose profile holds a zero-one risk that can still be exceeded."""
        risk = profile.risk if profile else None
        if risk is None or risk.loss != "zero-one" or risk.n <= 0:
            return None
        reference = risk.errors / risk.n
        bound = upper_share(np.array([reference]), np.array([float(risk.n)]), settings.reference_doubt)[0]
        tolerance = settings.tolerance
        allowed = float(bound) + max(tolerance.risk, tolerance.risk_relative * reference)
        return cls(reference, allowed, settings) if allowed < _CERTAIN else None

    def update(self, block: Block) -> Mapping[str, float]:
        """Take in labelled rows (one column, 1 = wrong); ln evidence of the one signal."""
        if self._onset == Mark():
            self._onset = block.begin
        rows = len(block.rows)
        wrong = int(np.count_nonzero(block.rows.numeric[:, 0] > 0.5))  # noqa: PLR2004  a truth value as a number
        gained = wrong * self._hit + (rows - wrong) * self._miss
        self._evidence = np.minimum(np.logaddexp(self._evidence, math.log(rows)) + gained, self._cap)
        evidence = float(np.logaddexp.reduce(self._evidence)) - math.log(len(self._evidence))
        self._wrong += wrong
        self._rows += rows
        if evidence <= self._quiet:
            self._wrong, self._rows, self._onset = 0, 0, block.end
        return {SIGNAL: evidence}

    def effect(self, signal: str) -> Effect:
        """The rise of the error rate since the onset."""
        after = self._wrong / self._rows if self._rows else self._reference
        return Effect(
            size=max(0.0, after - self._reference),
            event=signal,
            before=self._reference,
            after=after,
            rows=self._rows,
            onset=self._onset,
        )

    def state(self) -> bytes:
        """Everything that changes, with the numbers it depends on."""
        return msgspec.msgpack.encode(
            _Saved(
                self._allowed,
                self._budget,
                tuple(self._evidence.tolist()),
                self._wrong,
                self._rows,
                self._onset,
            )
        )

    def restore(self, state: bytes) -> None:
        """Go on from `state`; DetectorStateError when it was made for another allowed risk."""
        try:
            saved = decoders.msgpack_of(_Saved).decode(state)
        except msgspec.DecodeError as error:
            raise DetectorStateError(
                f"a risk detector's state cannot be read ({error}); it starts afresh"
            ) from None
        if (saved.allowed, saved.budget) != (self._allowed, self._budget):
            raise DetectorStateError(
                f"a risk detector's state was made for an allowed risk of {saved.allowed:.4f}, and"
                f" {self._allowed:.4f} is configured; it starts afresh",
            )
        self._evidence = np.array(saved.evidence)
        self._wrong, self._rows, self._onset = saved.wrong, saved.rows, saved.onset
