"""What to do next with a rollout: one pure decision from verdicts, counts and the time.

It moves forward only with proof that the spec asks for and a monitor that is alive; it goes back whenever the
judge proves a regression, in every live state, whatever else is missing. Every decision carries its sentence.
It does not edit anything (`rollouts.verbs` does) and reads no clock.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec

from rollouts.rollout import Rollout
from rollouts.route import Route
from rollouts.verdict import Verdict

Kind = Literal["hold", "advance", "promote", "abort", "pause", "finish"]


class Freshness(msgspec.Struct, frozen=True):
    """How old what the monitor said is, in seconds (None: it never said anything), and how old it may be."""

    monitor_age: float | None = None
    limit: float = 15.0


class Decision(msgspec.Struct, frozen=True):
    """What to do and why.

    For "hold" `waiting` names what is waited for. `verdict`, `n` and `evidence` go into the history row.
    """

    kind: Kind
    reason: str
    waiting: tuple[str, ...] = ()
    verdict: str = ""
    n: int = 0
    evidence: dict[str, float | int | str | None] = {}


def decide(
    rollout: Rollout,
    route: Route,
    verdicts: Sequence[Verdict],
    *,
    samples: int,
    pairs: int,
    now: int,
    freshness: Freshness,
) -> Decision:
    """Return what to do at `now` (unix ns).

    `samples` and `pairs` are those of the current step (see `rollouts.evidence.step_samples`, `step_pairs`).
    """
    raise NotImplementedError
