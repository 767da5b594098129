"""Labelled pair totals to the rollouts store: absolute, with the log offset, after the commit they come from.

Absolute totals make it safe to tell them twice, late, or again after a crash; the judge takes differences.
Each telling is also the monitor's beat, by which a rollout sees that its evidence is being watched. What
cannot be told now is told the next time.
"""

from collections.abc import Sequence
from typing import Protocol

from msgspec.structs import replace

from groundwork.clock import Clock
from groundwork.errors import DriftgateError
from rollouts.evidence import PairTotals

NAME = "monitor"
BEAT_S = 1.0


class Rollouts(Protocol):
    """What is asked of the rollouts store."""

    def put_pairs(self, *totals: PairTotals) -> None:
        """Replace absolute totals; counts as a beat."""

    def beat(self, name: str) -> None:
        """Note that a program is alive."""


class EvidenceOut:
    """Remembers what the store was told last."""

    def __init__(self, rollouts: Rollouts, clock: Clock) -> None:
        self._rollouts = rollouts
        self._clock = clock
        self._told: dict[tuple[str, int, str, str], PairTotals] = {}
        self._beat_at = float("-inf")

    def publish(self, totals: Sequence[PairTotals]) -> str:
        """Tell what changed, or that nothing did once a second; the error's code, or nothing."""
        changed = [total for total in totals if self._told.get(_key(total)) != _counted(total)]
        now = self._clock.monotonic()
        if not changed and now - self._beat_at < BEAT_S:
            return ""
        try:
            if changed:
                self._rollouts.put_pairs(*changed)
            else:
                self._rollouts.beat(NAME)
        except DriftgateError as error:
            return error.code
        self._beat_at = now
        self._told.update({_key(total): _counted(total) for total in changed})
        return ""


def _key(total: PairTotals) -> tuple[str, int, str, str]:
    return total.model, total.revision, total.stable, total.candidate


def _counted(total: PairTotals) -> PairTotals:
    """All that was counted; the log offset moves on with every frame and is no news."""
    return replace(total, offset="")
