"""`python -m loadtests.overload`: three times as many requests as can be answered, each with a deadline.

First the peak, in a closed loop; then as many times that as asked for, at random (Poisson) times, every
request with `X-Request-Timeout`. Goodput is what was answered with 200 a second, over the peak; latencies are
of those answers alone, from the time when their request was due. Ways to run: `batched` (requests run
together), `queued` (one by one, off the event loop) and `inline` (a smaller model, on the event loop).

Where there are two processors, one is the server's and another the generator's, and models are large enough
that three times the peak is not more than the generator can ask for: else its own lateness is what is seen.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from loadtests.arrivals import Arrivals
from loadtests.bench import generator
from loadtests.bench.works import perceptron
from loadtests.subject import MODEL, running

SIZES: Final = {
    "batched": (64, 4096, 4096, 10),
    "queued": (64, 4096, 4096, 10),
    "inline": (64, 2048, 2048, 10),
}
LEAST_SHARE: Final = 0.9
CONNECTIONS: Final = 700
"""So many that an answer within the deadline leaves one free: else requests wait in the generator."""


@dataclass(frozen=True)
class Outcome:
    """What overload did: answers a second before and during it, their 99th percentile, the deadline (s)."""

    peak: float
    asked: float
    served: float
    refused: float
    p99: float
    deadline: float

    @property
    def good(self) -> bool:
        """Whether nine tenths of the peak were answered, in time."""
        return self.served >= LEAST_SHARE * self.peak and self.p99 <= self.deadline

    def __str__(self) -> str:
        return (
            f"peak        {self.peak:.0f} a second\n"
            f"asked for   {self.asked:.0f} a second = {self.asked / self.peak:.1f} x\n"
            f"answered    {self.served:.0f} a second = {self.served / self.peak:.2f} x\n"
            f"refused     {self.refused:.0f} a second\n"
            f"99 %        {self.p99 * 1e3:.1f} ms of {self.deadline * 1e3:g} ms"
        )


def overload(url: str, body: bytes, *, times: float, deadline: float, seconds: float) -> Outcome:
    """Ask the infer URL for `times` its peak for `seconds`, with this deadline (seconds)."""
    kind = {"Content-Type": "application/json"}
    payload = generator.request_bytes(url, body, kind)
    generator.closed_loop(url, payload, connections=32, seconds=0.5)  # the first answers are no measure
    calm = generator.closed_loop(url, payload, connections=32, seconds=seconds)
    peak = calm.done / calm.seconds
    hurried = generator.request_bytes(url, body, {**kind, "X-Request-Timeout": f"{deadline:.6f}"})
    stream = Arrivals(
        url,
        hurried,
        rate=times * peak,
        window=seconds,
        into=generator.Tally,
        connections=CONNECTIONS,
    )
    tallies = stream.run(seconds)
    served = sum(tally.done for tally in tallies)
    bad = sum(tally.bad for tally in tallies)
    latencies = np.array([one for tally in tallies for one in tally.latencies])
    p99 = float(np.percentile(latencies, 99)) / 1e9 if served else float("inf")
    return Outcome(peak, times * peak, served / seconds, bad / seconds, p99, deadline)


@contextlib.contextmanager
def subject(way: str) -> Iterator[tuple[str, bytes]]:
    """The infer URL of a model that is run this way by one worker of a `driftgate up`, and a body for it."""
    sizes = SIZES[way]
    settings: dict[str, Any] = {} if way == "batched" else {"runs": {"batching": "off"}}
    values = np.random.default_rng(7).standard_normal(sizes[0]).round(4).tolist()
    tensor = {"name": "X", "shape": [1, sizes[0]], "datatype": "FP32", "data": values}
    with tempfile.TemporaryDirectory(prefix="driftgate-overload-") as name:
        model = Path(name) / "models" / MODEL / "1" / "model.onnx"
        model.parent.mkdir(parents=True)
        model.write_bytes(perceptron(sizes).SerializeToString())
        with _apart(), running(Path(name), workers=1, settings=settings) as started:
            os.sched_setaffinity(0, _processors()[-1:])
            yield started.infer, json.dumps({"inputs": [tensor]}).encode()


def _processors() -> list[int]:
    return sorted(os.sched_getaffinity(os.getppid()))


@contextlib.contextmanager
def _apart() -> Iterator[None]:
    """What is started within the block stays on the first processor; afterwards we are where we were."""
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, _processors()[:1])
    try:
        yield
    finally:
        os.sched_setaffinity(0, mine)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run every way that is asked for; 0 when goodput held in all of them."""
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.overload", description=__doc__.split("\n\n")[0]
    )
    parser.add_argument("--way", action="append", choices=sorted(SIZES), help="default: all of them")
    parser.add_argument("--times", type=float, default=3.0, help="of the peak (default 3)")
    parser.add_argument("--deadline", type=float, default=0.1, help="of each request, seconds (default 0.1)")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measure (default 5)")
    asked = parser.parse_args(arguments)
    held = True
    for way in asked.way or SIZES:
        with subject(way) as (url, body):
            found = overload(url, body, times=asked.times, deadline=asked.deadline, seconds=asked.seconds)
        print(f"{way}\n{found}\n")
        held = held and found.good
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
