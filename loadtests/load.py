"""The rate at which the processors are busy for a share of the time: what "a load of 60 %" means here.

Everything counts that the machine does: gateway, log, a canary with its shadow, the monitor, the generator,
and whoever else works there. By the utilization law (Denning and Buzen, The operational analysis of
queueing network models, 1978) that share is the rate times what a request costs; what it costs falls a
little as the rate rises, for more is then done each time that somebody wakes. So rates are tried in the
open loop, for a few seconds each, and the next one is in proportion, until one is close.

What a system sustains for a moment would be another measure, and a worse one: requests are then answered in
heaps, with every processor busy all of the time, and at 60 % of that rate nine tenths of them still are.

The decisions (`Trial.sustained`, `following`, `found`) are pure; `measure` is what asks.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from loadtests.spread import Spread
from loadtests.stream import LEAD_NS, Order, Stream

CLOSE: Final = 0.03
"""As near to the share of the processors as this is near enough."""
MOST_P99_MS: Final = 50.0
MOST_LAG_S: Final = 1.0
MOST_TRIALS: Final = 5
MOST_STEP: Final = 2.0
"""No trial has more than so many times the rate of the one before, nor less than that part of it."""
WARM_S: Final = 1.0
TRIAL_S: Final = 4.0
MARGIN_S: Final = 0.2
"""The processors are looked at no longer than until so long before a trial's end."""
PATIENCE_S: Final = 0.5
"""A wait as long as this for a free connection shows that the rate is too high; the rest is spared."""
SETTLE_S: Final = 10.0
"""How long the monitor may take to catch up between two trials."""
LOOK_S: Final = 0.2


@dataclass(frozen=True)
class Trial:
    """What one rate (requests a second) came to.

    `busy` is the share of all processors that worked, `busiest` the share of one that the busiest process of
    the generator used; then the latency, the requests without success, and the monitor's lag after it.
    """

    rate: float
    busy: float
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
            f"{self.rate:7.0f} a second: processors {self.busy:.0%} busy, {within}, "
            f"{self.bad} failed or given up, monitor {self.lag_s:.2f} s behind, "
            f"generator {self.busiest:.0%} of a processor"
        )


def following(trials: Sequence[Trial], first: float, share: float) -> float | None:
    """The rate to try next, `first` of all; None when the last was near enough, or enough was tried."""
    if not trials:
        return first
    last = trials[-1]
    near = last.sustained and abs(last.busy - share) <= CLOSE
    if near or len(trials) >= MOST_TRIALS:
        return None
    step = share / last.busy if last.busy else MOST_STEP
    step = step if last.sustained else min(step, 1 / MOST_STEP)
    return last.rate * min(max(step, 1 / MOST_STEP), MOST_STEP)


def found(trials: Sequence[Trial], share: float) -> float:
    """Of the rates that were sustained the one that came nearest to the share; 0 when none was sustained."""
    good = [trial for trial in trials if trial.sustained]
    return min(good, key=lambda trial: abs(trial.busy - share)).rate if good else 0.0


def measure(
    stream: Stream, first: float, share: float, lag: Callable[[], float], worked: Callable[[], float]
) -> list[Trial]:
    """Try rates until `following` is content.

    `lag` says how many seconds the monitor is behind, `worked` how many seconds all processors have worked.
    """
    trials: list[Trial] = []
    while (rate := following(trials, first, share)) is not None:
        _settle(lag)
        trials.append(_attempt(stream, rate, lag, worked))
        print(f"  {trials[-1]}", flush=True)
    return trials


def _attempt(stream: Stream, rate: float, lag: Callable[[], float], worked: Callable[[], float]) -> Trial:
    at = time.perf_counter_ns() + LEAD_NS
    stream.begin(Order(rate, WARM_S + TRIAL_S, WARM_S, at, PATIENCE_S))
    stream.ended(WARM_S + LEAD_NS / 1e9)
    began, before = time.monotonic(), worked()
    stream.ended(TRIAL_S - MARGIN_S)
    busy = (worked() - before) / (time.monotonic() - began) / (os.cpu_count() or 1)
    report = stream.end()
    warm = Spread.merged(report.windows[1:])
    bad = sum(window.bad for window in report.windows)
    return Trial(rate, busy, warm.percentile(99) / 1e3, bad, lag(), report.busiest)


def _settle(lag: Callable[[], float]) -> None:
    """Wait for the monitor, so that a trial pays for itself alone."""
    limit = time.monotonic() + SETTLE_S
    pause = threading.Event()
    while lag() > MOST_LAG_S / 2 and time.monotonic() < limit:
        pause.wait(LOOK_S)
