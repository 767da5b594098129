"""What the load test's two processes tell each other: a plan on the way there, facts on the way back."""

from __future__ import annotations

import msgspec

from loadtests.canary import Move


class Plan(msgspec.Struct, frozen=True):
    """What locust is to do: `seconds` in all, a pause of some `pace` seconds between a caller's requests.

    Without `canary` nothing but predictions of one row is sent: the idle figure.
    """

    operator: str
    reference: str
    facts: str
    seconds: float
    pace: float
    canary: bool = True


class Facts(msgspec.Struct):
    """What was seen, counted by the callers themselves.

    `strays` are candidate answers to requests begun after the roll-back was confirmed; `aborted` is the
    monotonic time of that; `requests` and `failures` are locust's, by request name, `p99_ms` is exact.
    """

    rows: int = 0
    labels: int = 0
    strays: int = 0
    aborted: float = 0.0
    arms: dict[str, int] = msgspec.field(default_factory=dict)
    moves: list[Move] = msgspec.field(default_factory=list)
    faults: list[str] = msgspec.field(default_factory=list)
    requests: dict[str, int] = msgspec.field(default_factory=dict)
    failures: dict[str, int] = msgspec.field(default_factory=dict)
    p99_ms: dict[str, float] = msgspec.field(default_factory=dict)
    codes: dict[str, int] = msgspec.field(default_factory=dict)
