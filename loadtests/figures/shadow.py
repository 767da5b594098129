"""`figures shadow`: what a shadow of every request costs callers at a load of 50 %.

First the load: the rate of random arrivals that keeps the worker's busiest thread (its loop, or that of dear
runs) busy for half of the time without a shadow. Then so many arrive in short turns without and with a second
version beside each answer: the same requests at the same times in each. The figure is the median of the
turns' 99th percentiles with a shadow over that without. The sender sleeps until each request is due
(`loadtests.alarm`). Works are those of `loadtests.bench`.
"""

from __future__ import annotations

import argparse
import math
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from loadtests import ledger, load, samples
from loadtests.arrivals import Arrivals
from loadtests.bench import cost, generator, works
from loadtests.subject import Subject, ask, running

MOST_RATIO: Final = 1.1
SHARE: Final = 0.5
CONNECTIONS: Final = 32
WARM_S: Final = 0.5
TRIAL_S: Final = 2.0
PATIENCE_S: Final = 2.0
STILL_S: Final = 0.5
"""Longer than between two writes of the log, after which pairs come."""
GUESS: Final = 0.25
"""Of what a closed loop gives: the first rate that is tried."""
STEP: Final = {"weight": 0, "shadow": 100, "hold": {"for": "1h", "until": "duration", "max": "2h"}}


def turn(url: str, request: bytes, rate: float, seconds: float) -> generator.Tally:
    """Latencies of one turn; what came while it warmed up is left out."""
    stream = Arrivals(
        url, request, rate=rate, window=WARM_S, into=generator.Tally, connections=CONNECTIONS, grain=0.0
    )
    _, *windows = stream.run(WARM_S + seconds)
    whole = generator.Tally(seconds=seconds)
    for window in windows:
        whole.latencies += window.latencies
        whole.bad += window.bad
    return whole


def loaded(worker: int, url: str, request: bytes, first: float) -> float:
    """Requests a second that keep the busiest thread of the process `worker` busy for SHARE of the time.

    RuntimeError where no rate is sustained.
    """
    trials: list[load.Trial] = []
    while (rate := load.following(trials, first, SHARE)) is not None:
        began, before = time.monotonic(), cost.threads_ns(worker)
        tally = turn(url, request, rate, TRIAL_S)
        wall, after = time.monotonic() - began, cost.threads_ns(worker)
        busy = max(used - before.get(thread, 0) for thread, used in after.items()) / 1e9 / wall
        trials.append(load.Trial(rate, busy, tally.percentile(99) / 1e3, tally.bad, 0.0, math.nan))
        print(f"  {rate:.0f} a second without a shadow: the worker's busiest thread {busy:.0%} busy")
    if not load.found(trials, SHARE):
        raise RuntimeError("no rate that was tried is sustained: the machine is too busy to measure on")
    return load.found(trials, SHARE)


def shadowed(subject: Subject, model: str, *, on: bool) -> None:
    """Begin or end the rollout whose one step is a shadow; returns when every worker goes by it."""
    wish: dict[str, Any] = {"candidate": "2", "spec": {"steps": [STEP]}} if on else {}
    verb = "start" if on else "abort"
    done = ask(f"{subject.operator}/v1/rollouts/{model}/{verb}", {"who": "figures", "why": "figures", **wish})
    if not done["applied"]:
        raise RuntimeError(f"{verb}: not every worker goes by it")


def measure(subject: Subject, work: works.Work, rounds: int, seconds: float) -> float:
    """The ratio; every turn is printed as it comes."""
    model = work.model.parents[1].name
    url = f"{subject.http}/v2/models/{model}/infer"
    request = generator.request_bytes(url, *work.request())
    generator.closed_loop(url, request, connections=16, seconds=WARM_S)
    closed = generator.closed_loop(url, request, connections=16, seconds=2.0)
    print(f"{work.name}: a closed loop of 16 gets {closed.done / closed.seconds:.0f} answers a second")
    worker = samples.processes(subject.pid)["worker"]
    rate = loaded(worker, url, request, GUESS * closed.done / closed.seconds)
    print(f"{work.name}: {rate:.0f} requests a second, in turns without and with a shadow of each")
    calm, beside = [], []
    for _ in range(rounds):
        calm.append(turn(url, request, rate, seconds))
        before = _pairs(subject)
        shadowed(subject, model, on=True)
        beside.append(turn(url, request, rate, seconds))
        pairs = settled(lambda: _pairs(subject), threading.Event().wait, time.monotonic) - before
        shadowed(subject, model, on=False)
        one, other = calm[-1], beside[-1]
        print(
            f"  p50 {one.percentile(50):.0f} and {other.percentile(50):.0f} µs, "
            f"p99 {one.percentile(99):.0f} and {other.percentile(99):.0f} µs; "
            f"{pairs:.0f} pairs of about {rate * (seconds + WARM_S):.0f}; failed {one.bad + other.bad}"
        )
    for q in (50, 90, 99):
        print(f"  p{q}, medians of the turns: {typical(calm, q):.0f} and {typical(beside, q):.0f} µs")
    return typical(beside, 99) / typical(calm, 99)


def settled(
    read: Callable[[], float], pause: Callable[[float], object], monotonic: Callable[[], float]
) -> float:
    """A count once it has stood still for STILL_S, or after PATIENCE_S: pairs come after their answers."""
    began = moved = monotonic()
    count = read()
    while monotonic() - moved < STILL_S and monotonic() - began < PATIENCE_S:
        pause(STILL_S / 10)
        now = read()
        if now != count:
            count, moved = now, monotonic()
    return count


def typical(turns: Sequence[generator.Tally], q: float) -> float:
    """The median of the turns' percentiles, in µs: a turn in which the machine was away is one of many."""
    return statistics.median(tally.percentile(q) for tally in turns)


def _publish_again(work: works.Work, folder: Path) -> None:
    """The same graph as version 2, whole at once, and after version 1 was taken for stable."""
    shutil.copytree(work.model.parent, folder / "second")
    (folder / "second").rename(work.model.parents[1] / "2")


def _pairs(subject: Subject) -> float:
    return ledger.metric(subject.http, "driftgate_pairs_total")


def main(arguments: Sequence[str] | None = None) -> int:
    """Every work that is asked for; 0 where the ratio holds in all."""
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.figures shadow", description=__doc__.split("\n\n")[0]
    )
    parser.add_argument("--work", action="append", choices=works.WORKS, help="default: one-row, perceptron")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=1.5, help="of each turn (default 1.5)")
    asked = parser.parse_args(arguments)
    good = True
    for name in asked.work or ("one-row", "perceptron"):
        with tempfile.TemporaryDirectory(prefix="driftgate-shadow-", ignore_cleanup_errors=True) as folder:
            work = works.work(name, Path(folder) / "models")
            with running(Path(folder), workers=1) as subject:
                _publish_again(work, Path(folder))
                found = measure(subject, work, asked.rounds, asked.seconds)
        print(f"{name}: p99 with a shadow is {found:.2f} times that without; wanted {MOST_RATIO:g}")
        good = good and found <= MOST_RATIO
    return 0 if good else 1
