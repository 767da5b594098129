"""The judge: absolute totals in, verdicts out; pure, and frozen as an interface."""

from collections.abc import Mapping
from typing import Final

import msgspec

from rollouts.evidence import Observation
from rollouts.rollout import Rollout
from rollouts.verdict import Verdict

METRICS: Final[Mapping[str, str]] = {
    "error-rate": "rollouts.metrics.error_rate:ErrorRate",
    "accuracy": "rollouts.metrics.accuracy:Accuracy",
}


class State(msgspec.Struct, frozen=True):
    """One state per metric, by name, as the metric encodes it."""

    metrics: dict[str, bytes] = {}


class Seen(msgspec.Struct, frozen=True):
    """The totals already judged."""


def begin(rollout: Rollout) -> tuple[State, Seen]:
    """Return the state before any evidence."""
    raise NotImplementedError


def judge(
    rollout: Rollout, state: State, seen: Seen, observation: Observation
) -> tuple[State, Seen, tuple[Verdict, ...]]:
    """Return the next state, what it has seen, and one verdict per metric of the spec."""
    raise NotImplementedError
