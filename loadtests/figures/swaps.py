"""`figures swaps`: the 99th percentile of callers while one large version takes the place of another.

One worker over versions of 25 to 60 MB; requests arrive at random times throughout. A version is rolled out
and promoted, the one before the last leaves memory, and after a calm moment the next one follows. Latencies
of requests that were due during swaps are put together, and so are those of the calm moments between them.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import numpy as np

from loadtests.arrivals import Arrivals
from loadtests.bench import generator, works
from loadtests.subject import Subject, ask, running

MOST_RATIO: Final = 1.5
SIZES_MB: Final = (25, 60, 32, 55, 40, 48)
SPEC: Final = {
    "steps": [{"weight": 50, "hold": {"for": "1h"}}],
    "metrics": [{"name": "error-rate"}],
    "bake": {"for": "0s"},
}
PACE: Final = {"pilot": 0.05, "unload": 0.1, "registry": 0.1}
WINDOW_S: Final = 0.1
WARM_S: Final = 1.0
LONGEST_S: Final = 30.0
POLL_S: Final = 0.02

Span = tuple[int, int]
"""From and until, in ns of `time.perf_counter_ns`."""


def publish(folder: Path, count: int) -> Path:
    """Versions 1 to `count` below `folder`, by sizes in turn; the file of the first."""
    for version in range(1, count + 1):
        wide = int((SIZES_MB[version % len(SIZES_MB)] * 1e6 / 8) ** 0.5)
        path = folder / str(version) / "model.onnx"
        path.parent.mkdir(parents=True)
        path.write_bytes(works.perceptron((64, wide, wide, wide, 8)).SerializeToString())
    return folder / "1" / "model.onnx"


def swap(subject: Subject, version: int) -> Span:
    """Roll a version out; from when until when that took, the release of an older one included."""
    began = time.perf_counter_ns()
    url = f"{subject.operator}/v1/rollouts/m"
    wish: dict[str, Any] = {"who": "figures", "why": "figures"}
    ask(f"{url}/start", {**wish, "candidate": str(version), "spec": SPEC})
    ask(f"{url}/promote", wish)
    held = {str(version): 1, str(version - 1): 1}
    limit, pause = time.monotonic() + LONGEST_S, threading.Event()
    while True:
        view = ask(f"{subject.operator}/v1/models/m")
        if view["loaded"] == held and view["rollout"] is None:
            return began, time.perf_counter_ns()
        if time.monotonic() > limit:
            raise RuntimeError(f"version {version} has not taken over within {LONGEST_S:g} s")
        pause.wait(POLL_S)


def apart(
    windows: Sequence[generator.Tally], began: int, swaps: Sequence[Span]
) -> tuple[list[int], list[int]]:
    """Latencies (ns) of windows that lie between swaps, and of those that touch one."""
    calm: list[int] = []
    swapping: list[int] = []
    wide = int(WINDOW_S * 1e9)
    for place, tally in enumerate(windows):
        first = began + place * wide
        touched = any(first < until and first + wide > since for since, until in swaps)
        (swapping if touched else calm).extend(tally.latencies)
    return calm, swapping


def measure(count: int, rate: float, rest: float) -> tuple[list[int], list[int], int]:
    """Latencies (ns) between swaps and in them, of so many swaps; and how many requests failed."""
    with tempfile.TemporaryDirectory(prefix="driftgate-swaps-") as name:
        folder = Path(name)
        later = folder / "later"
        model = publish(later, count + 1)
        (folder / "models" / "m").mkdir(parents=True)
        (later / "1").rename(folder / "models" / "m" / "1")
        with running(folder, workers=1, settings={"pace": PACE}) as subject:
            for path in sorted(later.iterdir()):
                path.rename(folder / "models" / "m" / path.name)
            body, headers = works.Work("m", model, 1, 64).request()
            url = f"{subject.http}/v2/models/m/infer"
            stream = Arrivals(
                url,
                generator.request_bytes(url, body, headers),
                rate=rate,
                window=WINDOW_S,
                into=generator.Tally,
                connections=8,
            )
            began = time.perf_counter_ns() + int(WARM_S * 1e9)
            pause, swaps = threading.Event(), []
            with ThreadPoolExecutor(1) as beside:
                sending = beside.submit(stream.run, LONGEST_S * (count + 1), at=began)
                try:
                    pause.wait(2 * WARM_S)
                    for version in range(2, count + 2):
                        swaps.append(swap(subject, version))
                        pause.wait(rest)
                finally:
                    stream.end()
                windows = sending.result()
    calm, swapping = apart(windows, began, swaps)
    return calm, swapping, sum(tally.bad for tally in windows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print both percentiles; 0 where their ratio holds and nobody failed."""
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.figures swaps", description=__doc__.split("\n\n")[0]
    )
    parser.add_argument("--swaps", type=int, default=12)
    parser.add_argument("--rate", type=float, default=100.0, help="requests a second (default 100)")
    parser.add_argument("--rest", type=float, default=2.0, help="seconds between two swaps (default 2)")
    asked = parser.parse_args(arguments)
    calm, swapping, bad = measure(asked.swaps, asked.rate, asked.rest)
    before, during = (float(np.percentile(latencies, 99)) / 1e6 for latencies in (calm, swapping))
    print(
        f"{asked.swaps} swaps: p99 {before:.1f} ms between them ({len(calm)} requests), "
        f"{during:.1f} ms in them ({len(swapping)}) = {during / before:.2f} ×; "
        f"wanted {MOST_RATIO:g}; failed {bad}"
    )
    return 0 if during <= MOST_RATIO * before and not bad else 1
