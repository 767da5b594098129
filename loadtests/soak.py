"""`make soak MINUTES=20`: hours of use in minutes, and nothing may grow.

60 % of the measured capacity arrives at random times, canaries come and go every minute, and every five
seconds the memory of each process and the bytes of each kind of file are looked at. The verdict is a table;
samples.csv, minutes.csv and soak.png lie in loadtests/report afterwards.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from driftgate.settings import all_settings
from loadtests import canary, criteria, endurance, samples
from loadtests.arrivals import Arrivals
from loadtests.bench import generator
from loadtests.bench.generator import Tally
from loadtests.samples import Sample
from loadtests.subject import Reference, Subject, publish, running

REPORT: Final = Path(__file__).parent / "report"
SHARE: Final = 0.6
CAPACITY_S: Final = 5.0
CAPACITY_CONNECTIONS: Final = 16
LOOK_S: Final = 5.0
CANARY_S: Final = 30.0
MOST_MINUTES: Final = 12 * 60.0
LIMIT: Final = "log.max_bytes"
LOG_BYTES: Final = 128 << 20
SEGMENT_BYTES: Final = 16 << 20
_JSON: Final = {"Content-Type": "application/json"}
_MIB: Final = 1 << 20


def main() -> int:
    """Run it; 0 when every criterion holds."""
    asked = _arguments()
    REPORT.mkdir(exist_ok=True)
    limit = LOG_BYTES if LIMIT in {setting.name for setting in all_settings()} else None
    with tempfile.TemporaryDirectory(prefix="driftgate-soak-") as name:
        folder = Path(name)
        payload = Reference.read(publish(folder)).body(0, 1)
        with running(folder, settings=_settings(limit)) as subject:
            publish(folder, 2)
            request = generator.request_bytes(subject.infer, payload, _JSON)
            rate = asked.rate or SHARE * _capacity(subject, request)
            print(f"{rate:.0f} requests a second for {asked.minutes:g} minutes …", flush=True)
            seen, minutes, faults = _soak(subject, request, rate, asked.minutes * 60)
    _write(seen, minutes)
    _draw(seen, minutes)
    checks = endurance.judge(seen, minutes, limit)
    checks.append(criteria.Check("canaries", "come and go", "; ".join(faults) or "came and went", not faults))
    print(criteria.table(checks))
    print("Samples, minutes and a picture: loadtests/report")
    return 0 if all(check.passed for check in checks) else 1


def _settings(limit: int | None) -> dict[str, Any]:
    """Small segments, so that they are sealed and dropped within minutes."""
    log: dict[str, int] = {"segment_bytes": SEGMENT_BYTES}
    if limit is not None:
        log[LIMIT.partition(".")[2]] = limit
    return {"log": log, "monitor": {"ledger": {"max_rows": 50_000}}}


def _capacity(subject: Subject, request: bytes) -> float:
    """Answers a second when nobody waits between requests."""
    tally = generator.closed_loop(
        subject.infer, request, connections=CAPACITY_CONNECTIONS, seconds=CAPACITY_S
    )
    print(f"Capacity: {tally.done / tally.seconds:.0f} requests a second, {tally.bad} failed.")
    return tally.done / tally.seconds


def _soak(
    subject: Subject, request: bytes, rate: float, seconds: float
) -> tuple[list[Sample], list[Tally], list[str]]:
    """The load in one thread, canaries in another, samples in this one."""
    stream = Arrivals(subject.infer, request, rate=rate, window=min(60.0, seconds / 2))
    over = threading.Event()
    faults: list[str] = []
    load = threading.Thread(target=stream.run, args=(seconds,), name="load")
    flights = threading.Thread(target=_fly, args=(subject.operator, over, faults), name="canaries")
    began = time.monotonic()
    seen: list[Sample] = []
    load.start()
    flights.start()
    try:
        while load.is_alive() and time.monotonic() - began < seconds:
            seen.append(samples.look(subject.pid, subject.data, time.monotonic() - began))
            load.join(LOOK_S)
    finally:
        over.set()
        load.join()
        flights.join()
    whole = int(seconds // stream.windows[0].seconds) if stream.windows else 0
    return seen, stream.windows[:whole], faults


def _fly(operator: str, over: threading.Event, faults: list[str]) -> None:
    """Start and roll back, again and again, half a minute each."""
    while not over.wait(CANARY_S / 2):
        try:
            canary.start(operator, 20)
            over.wait(CANARY_S)
            canary.abort(operator)
        except OSError as error:
            faults.append(f"{type(error).__name__}: {error}")
            return


def _write(seen: Sequence[Sample], minutes: Sequence[Tally]) -> None:
    memory = sorted({name for sample in seen for name in sample.memory})
    files = sorted({name for sample in seen for name in sample.files})
    with (REPORT / "samples.csv").open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(
            ["seconds", *(f"memory {name}" for name in memory), *(f"bytes {name}" for name in files)]
        )
        for sample in seen:
            sizes = [sample.memory.get(name, 0) for name in memory]
            out.writerow([f"{sample.seconds:.1f}", *sizes, *(sample.files.get(name, 0) for name in files)])
    with (REPORT / "minutes.csv").open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["minute", "answered", "failed", "p50_ms", "p99_ms"])
        for place, tally in enumerate(minutes):
            spread = [f"{tally.percentile(q) / 1e3:.3f}" for q in (50, 99)]
            out.writerow([place, tally.done, tally.bad, *spread])


def _draw(seen: Sequence[Sample], minutes: Sequence[Tally]) -> None:
    from matplotlib.figure import Figure  # noqa: PLC0415  loads slowly

    figure = Figure(figsize=(10, 9), layout="constrained")
    memory, files, latency = figure.subplots(3, 1)
    times = [sample.seconds / 60 for sample in seen]
    for axes, kind in ((memory, "memory"), (files, "files")):
        names = sorted({name for sample in seen for name in getattr(sample, kind)})
        for name in names:
            axes.plot(times, [getattr(sample, kind).get(name, 0) / _MIB for sample in seen], label=name)
        axes.set_ylabel(f"{kind}, MiB")
        axes.set_ylim(bottom=0)
        axes.legend(ncols=4, fontsize="small")
    for q in (50, 99):
        latency.plot([tally.percentile(q) / 1e3 for tally in minutes], marker="o", label=f"{q} %")
    latency.set_ylabel("latency, ms")
    latency.set_xlabel("minutes")
    latency.legend()
    figure.savefig(REPORT / "soak.png", dpi=110)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.soak", description=__doc__.split("\n\n")[0])
    parser.add_argument("--minutes", type=float, default=20.0, help="for how long (default 20)")
    parser.add_argument("--rate", type=float, help="requests a second (default: 60 %% of what is measured)")
    asked = parser.parse_args()
    if not 1 <= asked.minutes <= MOST_MINUTES:
        parser.error(f"wanted 1 to {MOST_MINUTES:g} minutes")
    return asked


if __name__ == "__main__":
    sys.exit(main())
