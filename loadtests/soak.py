"""`make soak MINUTES=20`: hours of use in minutes, and nothing may grow.

Requests arrive at random times, as many as keep the machine's processors 60 % busy (see `loadtests.load`):
fewer in the seconds in which the machine is slower, more where it is quicker (see `loadtests.yardstick`).
A canary with a shadow starts and is rolled back once a minute, at the same seconds of each minute, and
every five seconds the memory of each process, the bytes of each kind of file and the monitor's lag are
looked at. Half a minute before the first is not judged. The verdict is a table; samples.csv, minutes.csv,
seconds.csv and soak.png lie in loadtests/report.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from loadtests import canary, criteria, endurance, load, samples, soak_report
from loadtests.bench import generator
from loadtests.samples import Sample
from loadtests.spread import Spread
from loadtests.stream import LEAD_NS, Order, Stream
from loadtests.subject import Reference, Subject, ask, publish, running
from loadtests.yardstick import Yardstick

SHARE: Final = 0.6
"""Of the time of all processors."""
GUESS: Final = 0.25
"""Of what a closed loop gives: the first rate that is tried."""
CLOSED_S: Final = 2.0
CLOSED_CONNECTIONS: Final = 16
SENDERS: Final = 2
"""As many as the gateway has workers: a request costs its sender less than its worker."""
CANARY_PERCENT: Final = 20
JSON: Final[Mapping[str, str]] = {"Content-Type": "application/json"}
CYCLE_S: Final = 60.0
LOOKS: Final = 12
"""A cycle has so many windows of latencies, and as many samples."""
START, ABORT = 0.25, 0.75
"""When in a cycle the canary comes and goes, as shares of it."""
WARM_UP: Final = 0.5
"""The load runs for this share of a cycle before the first one."""
MOST_MINUTES: Final = 12 * 60.0
LOG_BYTES: Final = 128 << 20
SEGMENT_BYTES: Final = 16 << 20
SETTINGS: Final[Mapping[str, Any]] = {
    "log": {"segment_bytes": SEGMENT_BYTES, "max_bytes": LOG_BYTES},
    "monitor": {"ledger": {"max_rows": 50_000}},
}
"""Small segments and few rows that wait for labels, so that all is dropped again within minutes."""


@dataclass(frozen=True)
class Course:
    """When what happens: `start` is when the first cycle begins (ns of `time.perf_counter_ns`)."""

    start: int
    cycle: float
    count: int

    @property
    def window(self) -> float:
        """Seconds of one window of latencies."""
        return self.cycle / LOOKS

    @property
    def warm_up(self) -> float:
        """Seconds of load before `start`."""
        return WARM_UP * self.cycle

    def now(self) -> float:
        """Seconds since `start`; less than 0 in the warm-up."""
        return (time.perf_counter_ns() - self.start) / 1e9


@dataclass
class Outcome:
    """What a soak saw: samples, latencies by window (warm-up left out), what canaries complained of."""

    seen: list[Sample] = field(default_factory=list)
    windows: Sequence[Spread] = ()
    faults: list[str] = field(default_factory=list)
    busiest: float = 0.0

    @property
    def minutes(self) -> list[Spread]:
        """Latencies by cycle."""
        places = range(0, len(self.windows), LOOKS)
        return [Spread.merged(self.windows[place : place + LOOKS]) for place in places]


def main() -> int:
    """Run it; 0 when every criterion holds."""
    asked = _arguments()
    cycle = min(CYCLE_S, asked.minutes * 60 / 2)
    count = int(asked.minutes * 60 // cycle)
    with tempfile.TemporaryDirectory(prefix="driftgate-soak-") as name:
        folder = Path(name)
        payload = Reference.read(publish(folder)).body(0, 1)
        with running(folder, settings=SETTINGS) as subject:
            publish(folder, 2)
            request = generator.request_bytes(subject.infer, payload, JSON)
            with Yardstick() as yardstick, Stream(subject.infer, request, SENDERS, yardstick.speed) as stream:
                canary.start(subject.operator, CANARY_PERCENT)
                rate = asked.rate or _rate(subject, stream, request, yardstick)
                if not rate:
                    return 1
                print(f"{rate:.0f} requests a second for {count} × {cycle:g} s …", flush=True)
                outcome = _soak(subject, stream, yardstick, Order(rate, count * cycle, cycle / LOOKS, 0))
    return _verdict(outcome, cycle)


def _rate(subject: Subject, stream: Stream, request: bytes, yardstick: Yardstick) -> float:
    """The rate of a load of 60 %, found while the canary answers and is shadowed; 0: nothing is sustained.

    It is the rate at the speed that the machine had in the closed loop; the stream follows it from then on.
    """
    closed = generator.closed_loop(subject.infer, request, connections=CLOSED_CONNECTIONS, seconds=CLOSED_S)
    peak = closed.done / closed.seconds
    yardstick.begin()
    print(
        f"A closed loop of {CLOSED_CONNECTIONS} callers gets {peak:.0f} answers a second for {CLOSED_S:g} s."
    )
    print(
        f"The rate that keeps the processors {SHARE:.0%} busy with all of it (gateway, log, canary of "
        f"{CANARY_PERCENT} % with shadow, monitor, {stream.processes} senders), {load.TRIAL_S:g} s each"
    )
    trials = load.measure(stream, GUESS * peak, SHARE, lambda: _lag(subject.monitor), samples.worked)
    rate = load.found(trials, SHARE)
    if not rate:
        print("FAIL  no rate that was tried is sustained: the machine is too busy to measure on")
    return rate


def _lag(monitor: str) -> float:
    """Seconds that the monitor is behind; infinity while it cannot say."""
    lag = ask(f"{monitor}/v1/status")["lag"]
    return float("inf") if lag is None else float(lag["seconds"])


def _soak(subject: Subject, stream: Stream, yardstick: Yardstick, order: Order) -> Outcome:
    """The load in processes of its own, canaries in a thread, samples in this one.

    `order` says what is judged; the warm-up comes before it.
    """
    begin = time.perf_counter_ns() + LEAD_NS
    cycle = order.window * LOOKS
    course = Course(begin + int(WARM_UP * cycle * 1e9), cycle, round(order.seconds / cycle))
    over = threading.Event()
    outcome = Outcome()
    flights = threading.Thread(
        target=_fly, args=(subject.operator, course, over, outcome.faults), name="canaries"
    )
    stream.begin(Order(order.rate, course.warm_up + order.seconds, order.window, begin))
    flights.start()
    try:
        while not stream.ended(course.window - course.now() % course.window):
            now = samples.look(subject.pid, subject.data, course.now())
            outcome.seen.append(replace(now, lag=_lag(subject.monitor), piece=yardstick.cost()))
    finally:
        over.set()
        flights.join()
    report = stream.end()
    skip = int(WARM_UP * LOOKS)
    outcome.windows = report.windows[skip : skip + course.count * LOOKS]
    outcome.busiest = report.busiest
    return outcome


def _fly(operator: str, course: Course, over: threading.Event, faults: list[str]) -> None:
    """Roll the canary of the measurement back in the warm-up; then one start and one roll-back each cycle."""
    moves = [(ABORT - 1, False)]
    moves += [(place + at, at == START) for place in range(course.count) for at in (START, ABORT)]
    for share, comes in moves:
        if over.wait(max(share * course.cycle - course.now(), 0)):
            return
        try:
            if comes:
                canary.start(operator, CANARY_PERCENT)
            else:
                canary.abort(operator)
        except Exception as error:  # noqa: BLE001  whatever it was, canaries come and go no more
            faults.append(f"{type(error).__name__}: {error}")
            return


def _verdict(outcome: Outcome, cycle: float) -> int:
    minutes = outcome.minutes
    soak_report.write(outcome.seen, minutes, outcome.windows, cycle / LOOKS)
    checks = endurance.judge(outcome.seen, minutes, cycle, LOG_BYTES)
    checks.append(endurance.generator(outcome.busiest))
    faults = "; ".join(outcome.faults)
    checks.append(criteria.Check("canaries", "come and go", faults or "came and went", not faults))
    print(criteria.table(checks))
    for name, place in (("first", 0), ("last", len(minutes) - 1)):
        print(f"In the {name} minute: {soak_report.told(outcome.seen, minutes[place], place, cycle)}")
    print("Samples, minutes and a picture: loadtests/report")
    return 0 if all(check.passed for check in checks) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.soak", description=__doc__.split("\n\n")[0])
    parser.add_argument("--minutes", type=float, default=20.0, help="for how long (default 20)")
    parser.add_argument("--rate", type=float, help="requests a second, throughout (default: a load of 60 %%)")
    asked = parser.parse_args()
    if not 1 <= asked.minutes <= MOST_MINUTES:
        parser.error(f"wanted 1 to {MOST_MINUTES:g} minutes")
    return asked


if __name__ == "__main__":
    sys.exit(main())
