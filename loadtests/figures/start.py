"""`figures start`: seconds from the command to its ready file, and the memory of a worker that is idle.

`driftgate up` and `driftgate serve` in turns, each start in a new data folder, over one small model. With
each time goes the processor time that all of its processes had used by then: on a busy machine that is what
two runs can be compared by.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from loadtests.bench.cost import cpu_ns, rss_bytes, tree
from loadtests.bench.servers import STOP_S, wait_until
from loadtests.bench.works import logistic_regression

VERBS: Final = ("up", "serve")
MOST_SECONDS: Final = 2.0
MOST_BYTES: Final = 120_000_000
POLL_S: Final = 0.002
IDLE_S: Final = 1.0


@dataclass(frozen=True)
class Start:
    """One start: until it was ready (s), processor time of all processes until then (s), bytes a worker."""

    seconds: float
    cpu: float
    resident: float


def measure(verb: str, workers: int) -> Start:
    """Start the program over a small model in a new folder, wait, end it. RuntimeError where it fails."""
    with tempfile.TemporaryDirectory(prefix="driftgate-start-") as name:
        folder = Path(name)
        model = folder / "models" / "lr" / "1" / "model.onnx"
        model.parent.mkdir(parents=True)
        model.write_bytes(logistic_regression().SerializeToString())
        ready = folder / "ready.json"
        command = [sys.executable, "-P", "-m", "driftgate", verb, "--models", str(folder / "models")]
        command += ["--data", str(folder / "data"), "--workers", str(workers), "--ready-file", str(ready)]
        command += ["--http-port", "0", "--operator-port", "0"]
        command += ["--monitor-port", "0"] if verb == "up" else []
        began = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_until(ready.exists, f"driftgate {verb}", process, poll=POLL_S)
            seconds = time.monotonic() - began
            pids = tree(process.pid)
            cpu = cpu_ns(pids) / 1e9
            threading.Event().wait(IDLE_S)
            crew = [pid for pid in pids if b"gateway.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()]
            return Start(seconds, cpu, rss_bytes(crew) / len(crew))
        finally:
            process.terminate()
            process.wait(STOP_S)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the medians; 0 where both programs and their workers are within their bounds."""
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.figures start", description=__doc__.split("\n\n")[0]
    )
    parser.add_argument("--verb", action="append", choices=VERBS, help="default: both, in turns")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args(arguments)
    verbs = asked.verb or VERBS
    rounds = [{verb: measure(verb, asked.workers) for verb in verbs} for _ in range(asked.rounds)]
    good = True
    for verb in verbs:
        mine = [round_[verb] for round_ in rounds]
        seconds = statistics.median(one.seconds for one in mine)
        resident = statistics.median(one.resident for one in mine)
        spread = ", ".join(f"{one.seconds:.2f}" for one in mine)
        print(
            f"{verb:<6} ready in {seconds:.2f} s ({spread}); processors {_median(mine, 'cpu'):.2f} s; "
            f"an idle worker {resident / 1e6:.0f} MB; wanted {MOST_SECONDS:g} s, {MOST_BYTES / 1e6:g} MB"
        )
        good = good and seconds <= MOST_SECONDS and resident <= MOST_BYTES
    return 0 if good else 1


def _median(starts: Sequence[Start], field: str) -> float:
    return float(statistics.median(getattr(one, field) for one in starts))
