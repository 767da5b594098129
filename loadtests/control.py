"""Is a program slower for having run for long, or has the machine slower minutes? A hint, no verdict.

A program that was started a moment ago, over the same models and settings and with the same canary, gets
the same load in turns with the one that has run all along: a few seconds each, again and again. Whatever
slows the machine slows both, so the ratio of the two is the program's age alone.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from loadtests import canary
from loadtests.bench import generator
from loadtests.spread import Spread
from loadtests.stream import LEAD_NS, Order, Stream
from loadtests.subject import publish, running

TURN_S: Final = 4.0
TURNS: Final = 15
"""Turns of each: a minute's worth of answers."""
SETTLE_S: Final = 0.5
"""The beginning of a turn does not count: the other's log is still being read, caches are cold."""
WARM_UP_S: Final = 15.0
"""A fresh program's first requests: models are tried, pages of row files touched for the first time."""
JSON: Final[Mapping[str, str]] = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Control:
    """Latencies by turn of the program that has run for long, and of a fresh one, in the same minutes."""

    aged: Sequence[Spread]
    fresh: Sequence[Spread]

    @property
    def p99_ms(self) -> tuple[float, float]:
        """Of the fresh one and of the aged one: the median of the turns' 99th percentiles.

        Not that of all turns together: one turn that the machine disturbed would be most of it.
        """
        fresh, aged = (
            statistics.median(turn.percentile(99) / 1e3 for turn in side) for side in (self.fresh, self.aged)
        )
        return fresh, aged

    def __str__(self) -> str:
        fresh, aged = self.p99_ms
        return (
            f"Beside a fresh program, in turns: 99 % within {aged:.1f} ms, the fresh one's {fresh:.1f} ms = "
            f"{aged / fresh:.2f} ×, medians of {len(self.aged)} turns (a hint; it decides nothing)"
        )


def compare(
    aged: Stream,
    body: bytes,
    folder: Path,
    rate: float,
    *,
    settings: Mapping[str, Any],
    weight: float,
    turns: int = TURNS,
    warm_up: float = WARM_UP_S,
) -> Control:
    """Start a fresh program below `folder`, and ask it and `aged` for `body`, `rate` times a second.

    Both have a canary of `weight` percent with its shadow: the caller has started the aged one's. Takes
    2 × `turns` × (TURN_S + 1) seconds, `warm_up` seconds and the fresh one's start.
    """
    folder.mkdir()
    publish(folder)
    with running(folder, settings=settings) as subject:
        publish(folder, 2)
        request = generator.request_bytes(subject.infer, body, JSON)
        with Stream(subject.infer, request, aged.processes) as fresh:
            canary.start(subject.operator, weight)
            _turn(fresh, rate, warm_up)
            pairs = [(_turn(aged, rate, TURN_S), _turn(fresh, rate, TURN_S)) for _ in range(turns)]
    return Control(*zip(*pairs, strict=True))


def _turn(stream: Stream, rate: float, seconds: float) -> Spread:
    at = time.perf_counter_ns() + LEAD_NS
    stream.begin(Order(rate, SETTLE_S + seconds, SETTLE_S, at))
    return Spread.merged(stream.end().windows[1:])
