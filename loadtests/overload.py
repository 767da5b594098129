"""`python -m loadtests.overload`: three times as many requests as can be answered, each with a deadline.

First the peak, in a closed loop; then as many times that as asked for, at random (Poisson) times, every
request with `X-Request-Timeout`; then the peak again, for a machine may be busier at one time than at
another: the peak is the mean of both. Goodput is what was answered with 200 a second, over the peak;
latencies are of those answers alone, from the time when their request was due.

Ways to run: `batched` (requests run together), `queued` (one by one, off the event loop) and `inline` (on the
event loop). Each has a perceptron of its own, or with --ms a graph whose run takes so many milliseconds.

Unless --spread is given one processor is the server's and another the generator's, where there are two. The
generator must be able to ask for three times the peak: else its own lateness is what is seen.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime

from loadtests.arrivals import Arrivals
from loadtests.bench import generator
from loadtests.bench.works import perceptron, tower
from loadtests.subject import MODEL, running

SIZES: Final = {
    "batched": (64, 4096, 4096, 10),
    "queued": (64, 4096, 4096, 10),
    "inline": (64, 2048, 2048, 10),
}
SETTINGS: Final[dict[str, dict[str, Any]]] = {
    "batched": {},
    "queued": {"runs": {"batching": "off", "inline": "1us"}},
    "inline": {"runs": {"batching": "off", "inline": "1s"}},
}
LEAST_SHARE: Final = 0.9
CONNECTIONS: Final = 700
"""So many that an answer within the deadline leaves one free: else requests wait in the generator."""
_TRIED_LAYERS: Final = 64


@dataclass(frozen=True)
class Outcome:
    """What overload did: answers a second before and during it, their 99th percentile, the deadline (s).

    `before` is how many were refused in all while the peak was found: none, but on a machine too slow for it.
    """

    peak: float
    asked: float
    served: float
    refused: float
    p99: float
    deadline: float
    before: int = 0

    @property
    def share(self) -> float:
        """The goodput: what was answered, of the peak."""
        return self.served / self.peak

    @property
    def good(self) -> bool:
        """Whether nine tenths of the peak were answered, in time."""
        return self.share >= LEAST_SHARE and self.p99 <= self.deadline

    def __str__(self) -> str:
        return (
            f"peak {self.peak:.0f} a second, asked for {self.asked:.0f} = {self.asked / self.peak:.1f} x, "
            f"answered {self.served:.0f} = {self.share:.2f} x, refused {self.refused:.0f}, "
            f"99 % {self.p99 * 1e3:.1f} ms of {self.deadline * 1e3:g} ms"
        )


def overload(url: str, body: bytes, *, times: float, deadline: float, seconds: float) -> Outcome:
    """Ask the infer URL for `times` its peak for `seconds`, with this deadline (seconds)."""
    kind = {"Content-Type": "application/json"}
    payload = generator.request_bytes(url, body, kind)

    def calm(lasting: float) -> generator.Tally:
        return generator.closed_loop(url, payload, connections=32, seconds=lasting)

    measures = [calm(0.5), calm(seconds / 2)]  # the first answers are no measure
    before = measures[-1].done / measures[-1].seconds
    hurried = generator.request_bytes(url, body, {**kind, "X-Request-Timeout": f"{deadline:.6f}"})
    stream = Arrivals(
        url,
        hurried,
        rate=times * before,
        window=seconds,
        into=generator.Tally,
        connections=CONNECTIONS,
    )
    tallies = stream.run(seconds)
    measures.append(calm(seconds / 2))
    mean = (before + measures[-1].done / measures[-1].seconds) / 2
    served = sum(tally.done for tally in tallies)
    bad = sum(tally.bad for tally in tallies)
    latencies = np.array([one for tally in tallies for one in tally.latencies])
    p99 = float(np.percentile(latencies, 99)) / 1e9 if served else float("inf")
    refused = sum(measure.bad for measure in measures)
    return Outcome(mean, times * before, served / seconds, bad / seconds, p99, deadline, refused)


def lasting(milliseconds: float) -> bytes:
    """A graph whose run of one row takes about so long on this machine, in one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(tower(_TRIED_LAYERS).SerializeToString(), options)
    row = {"X": np.zeros((1, session.get_inputs()[0].shape[1]), np.float32)}
    took = []
    for _ in range(20):
        began = time.perf_counter()
        session.run(None, row)
        took.append(time.perf_counter() - began)
    layers = max(1, round(_TRIED_LAYERS * milliseconds * 1e-3 / min(took)))
    return bytes(tower(layers).SerializeToString())


@contextlib.contextmanager
def subject(
    way: str, milliseconds: float | None = None, *, apart: bool = True
) -> Iterator[tuple[str, bytes]]:
    """The infer URL of a model that is run this way by one worker of a `driftgate up`, and a body for it."""
    sizes = SIZES[way]
    graph = bytes(perceptron(sizes).SerializeToString()) if milliseconds is None else lasting(milliseconds)
    width = sizes[0] if milliseconds is None else 256
    values = np.random.default_rng(7).standard_normal(width).round(4).tolist()
    tensor = {"name": "X", "shape": [1, width], "datatype": "FP32", "data": values}
    with tempfile.TemporaryDirectory(prefix="driftgate-overload-") as name:
        model = Path(name) / "models" / MODEL / "1" / "model.onnx"
        model.parent.mkdir(parents=True)
        model.write_bytes(graph)
        placed = _apart() if apart else contextlib.nullcontext()
        with placed, running(Path(name), workers=1, settings=SETTINGS[way]) as started:
            if apart:
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
    """Run every way that is asked for; 0 when the median round was good in all of them."""
    asked = _arguments(arguments)
    held = True
    for way in asked.way or SIZES:
        found = []
        with subject(way, asked.ms, apart=not asked.spread) as (url, body):
            for _ in range(asked.rounds):
                found.append(
                    overload(url, body, times=asked.times, deadline=asked.deadline, seconds=asked.seconds)
                )
                print(f"{way:<8} {found[-1]}", flush=True)
        held = held and statistics.median([one.good for one in found]) >= 1
    return 0 if held else 1


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.overload", description=__doc__.split("\n\n")[0]
    )
    parser.add_argument("--way", action="append", choices=sorted(SIZES), help="default: all of them")
    parser.add_argument("--ms", type=float, help="what a run takes, instead of the way's own model")
    parser.add_argument("--times", type=float, default=3.0, help="of the peak (default 3)")
    parser.add_argument("--deadline", type=float, default=0.1, help="of each request, seconds (default 0.1)")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measure (default 5)")
    parser.add_argument("--rounds", type=int, default=1, help="measures of each way (default 1)")
    parser.add_argument("--spread", action="store_true", help="leave processors to the system")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
