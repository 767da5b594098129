"""How much the whole system sustains: gateway, log, a canary with its shadow, the monitor, and the generator.

A closed loop says how many answers a second the gateway gives when it has the processors to itself for a
moment; the monitor then falls behind, and requests that come whether or not the last one was answered queue.
So rates are tried in the open loop, for a few seconds each. One is sustained when every request was answered,
99 % within a bound, and the monitor had read the log up to now at its end. Half of what a closed loop gives
is tried first, then the rate between what was sustained and what was not, until they are close.

The decisions (`Trial.sustained`, `following`, `found`) are pure; `measure` is what asks.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from loadtests.spread import Spread
from loadtests.stream import LEAD_NS, Order, Stream

MOST_P99_MS: Final = 50.0
MOST_LAG_S: Final = 1.0
MOST_TRIALS: Final = 7
CLOSE: Final = 1.1
"""A rate that was not sustained this near above one that was: near enough."""
UP: Final = 1.5
DOWN: Final = 0.6
WARM_S: Final = 1.0
TRIAL_S: Final = 4.0
PATIENCE_S: Final = 0.5
"""A wait as long as this for a free connection shows that the rate is too high; the rest is spared."""
SETTLE_S: Final = 10.0
"""How long the monitor may take to catch up between two trials."""
LOOK_S: Final = 0.2


@dataclass(frozen=True)
class Trial:
    """What one rate (requests a second) came to: latency, requests without success, the lag after it.

    `busiest` is the share of one processor that the busiest process of the generator used.
    """

    rate: float
    p99_ms: float
    bad: int
    lag_s: float
    busiest: float

    @property
    def sustained(self) -> bool:
        """Whether this rate can go on."""
        return not self.bad and self.p99_ms <= MOST_P99_MS and self.lag_s <= MOST_LAG_S

    def __str__(self) -> str:
        within = "given up at once" if math.isnan(self.p99_ms) else f"99 % within {self.p99_ms:.1f} ms"
        return (
            f"{self.rate:7.0f} a second: {'sustained' if self.sustained else 'too much'}, "
            f"{within}, {self.bad} failed or given up, "
            f"monitor {self.lag_s:.2f} s behind, generator {self.busiest:.0%} of a processor"
        )


def following(trials: Sequence[Trial], first: float) -> float | None:
    """The rate to try next, `first` of all; None when the answer is near enough, or enough was tried."""
    if not trials:
        return first
    good, bad = _edges(trials)
    if len(trials) >= MOST_TRIALS or (good and bad <= CLOSE * good):
        return None
    if math.isinf(bad):
        return UP * good
    return math.sqrt(good * bad) if good else DOWN * bad


def found(trials: Sequence[Trial]) -> float:
    """The highest sustained rate below every rate that was not; 0 when none was sustained."""
    return _edges(trials)[0]


def measure(stream: Stream, first: float, lag: Callable[[], float]) -> list[Trial]:
    """Try rates until `following` is content; `lag` says how many seconds the monitor is behind."""
    trials: list[Trial] = []
    while (rate := following(trials, first)) is not None:
        _settle(lag)
        trials.append(_attempt(stream, rate, lag))
        print(f"  {trials[-1]}", flush=True)
    return trials


def _edges(trials: Sequence[Trial]) -> tuple[float, float]:
    bad = min((trial.rate for trial in trials if not trial.sustained), default=math.inf)
    return max((trial.rate for trial in trials if trial.sustained and trial.rate < bad), default=0.0), bad


def _attempt(stream: Stream, rate: float, lag: Callable[[], float]) -> Trial:
    at = time.perf_counter_ns() + LEAD_NS
    stream.begin(Order(rate, WARM_S + TRIAL_S, WARM_S, at, PATIENCE_S))
    report = stream.end()
    warm = Spread.merged(report.windows[1:])
    bad = sum(window.bad for window in report.windows)
    return Trial(rate, warm.percentile(99) / 1e3, bad, lag(), report.busiest)


def _settle(lag: Callable[[], float]) -> None:
    """Wait for the monitor, so that a trial pays for itself alone."""
    limit = time.monotonic() + SETTLE_S
    pause = threading.Event()
    while lag() > MOST_LAG_S / 2 and time.monotonic() < limit:
        pause.wait(LOOK_S)
