"""`python -m loadtests.open_loop --rate 500 --seconds 10`: latency as callers feel it.

Requests are due at random (Poisson) times whatever the server does, and each latency counts from the time its
request was due: a stall of a second is charged to everyone who came in that second. Without --url a model is
pushed and `driftgate up` is started on free ports; with it, an existing model's infer URL is asked.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from loadtests.arrivals import Arrivals
from loadtests.bench import generator
from loadtests.subject import Reference, publish, running

QUANTILES: Final = (50.0, 90.0, 99.0, 99.9)
MOST_RATE: Final = 50_000.0
MOST_SECONDS: Final = 600.0
BAR: Final = 40
_JSON: Final = {"Content-Type": "application/json"}


def table(tally: generator.Tally, rate: float) -> str:
    """What came back, in lines: counts, rates, latencies in milliseconds."""
    spread = "  ".join(f"{q:g} %: {tally.percentile(q) / 1e3:.2f}" for q in QUANTILES)
    worst = max(tally.latencies, default=0) / 1e6
    return (
        f"asked for   {rate:g} requests a second\n"
        f"answered    {tally.done} in {tally.seconds:.1f} s = {tally.done / tally.seconds:.0f} a second\n"
        f"failed      {tally.bad}\n"
        f"latency ms  {spread}  worst: {worst:.2f}"
    )


def histogram(latencies: Sequence[int]) -> str:
    """Latencies (ns) as bars, one line per doubling; an empty text for none."""
    if not latencies:
        return ""
    powers = np.floor(np.log2(np.maximum(np.asarray(latencies), 1))).astype(int)
    counts = np.bincount(powers - powers.min())
    lines = []
    for place, count in enumerate(counts.tolist()):
        upper = 2.0 ** (powers.min() + place + 1) / 1e6
        bar = "█" * round(BAR * count / counts.max()) or ("▏" if count else "")
        lines.append(f"< {upper:9.3f} ms  {count:8d}  {bar}")
    return "\n".join(lines)


@contextlib.contextmanager
def subject(url: str | None, body: Path | None, rows: int) -> Iterator[tuple[str, bytes]]:
    """The URL to ask and the body to send; our own `driftgate up` where no URL is named."""
    if url is not None:
        if body is None:
            raise SystemExit("--url also needs --body FILE: the JSON of one request to that model")
        yield url, body.read_bytes()
        return
    with tempfile.TemporaryDirectory(prefix="driftgate-open-loop-") as name:
        reference = Reference.read(publish(Path(name)))
        with running(Path(name)) as started:
            yield started.infer, reference.body(0, rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; 0 when every request was answered with 200."""
    asked = _arguments(arguments)
    with subject(asked.url, asked.body, asked.rows) as (url, body):
        payload = generator.request_bytes(url, body, _JSON)
        generator.closed_loop(url, payload, connections=4, seconds=0.5)  # the first answers are no measure
        stream = Arrivals(
            url,
            payload,
            rate=asked.rate,
            window=asked.seconds,
            into=lambda: generator.Tally(seconds=asked.seconds),
            connections=asked.connections,
        )
        (tally,) = stream.run(asked.seconds)
    print(table(tally, asked.rate))
    print(histogram(tally.latencies))
    return 0 if tally.done and not tally.bad else 1


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.open_loop", description=__doc__.split("\n\n")[0]
    )
    parser.add_argument("--rate", type=float, default=500.0, help="requests a second (default 500)")
    parser.add_argument("--seconds", type=float, default=10.0, help="for how long (default 10)")
    parser.add_argument("--rows", type=int, default=1, help="rows of a request (default 1)")
    parser.add_argument("--connections", type=int, default=64, help="connections (default 64)")
    parser.add_argument("--url", help="the infer URL of a running model; our own otherwise")
    parser.add_argument("--body", type=Path, help="with --url: a file with the JSON to send")
    asked = parser.parse_args(arguments)
    if not (0 < asked.rate <= MOST_RATE and 0 < asked.seconds <= MOST_SECONDS):
        parser.error(f"wanted a rate up to {MOST_RATE:g} and up to {MOST_SECONDS:g} seconds")
    return asked


if __name__ == "__main__":
    sys.exit(main())
