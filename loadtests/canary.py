"""A canary as an operator flies it: started, turned up, rolled back, through the operator API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from loadtests.subject import MODEL, ask

CANDIDATE: Final = "2"
WHO: Final = "loadtest"


@dataclass(frozen=True)
class Move:
    """What the operator API said about one verb."""

    verb: str
    revision: int
    applied: bool
    state: str
    candidate: str | None
    weight: str


def start(operator: str, weight: float) -> Move:
    """Begin a rollout of version 2 at `weight` percent that stays where it is until it is told otherwise."""
    step = {"weight": weight, "shadow": weight, "hold": {"for": "1h", "until": "duration", "max": "2h"}}
    return _act(operator, "start", candidate=CANDIDATE, spec={"steps": [step]})


def turn(operator: str, weight: float) -> Move:
    """Send `weight` percent to the candidate, and pause there."""
    return _act(operator, "set-weight", weight=weight, hold=True)


def abort(operator: str) -> Move:
    """Back to stable; the answer means that every worker has applied it."""
    return _act(operator, "abort")


def _act(operator: str, verb: str, **wish: Any) -> Move:
    done = ask(f"{operator}/v1/rollouts/{MODEL}/{verb}", {"who": WHO, "why": "under load", **wish})
    status = done["status"]
    return Move(
        verb, done["revision"], done["applied"], status["state"], status["candidate"], status["weight"]
    )
