"""What a soak leaves in loadtests/report: samples.csv, minutes.csv, seconds.csv and soak.png."""

from __future__ import annotations

import csv
import statistics
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

from loadtests.samples import GENERATOR, Sample
from loadtests.spread import Spread

FOLDER: Final = Path(__file__).parent / "report"
OTHERS: Final = "others"
QUANTILES: Final = (50, 99)
_MIB: Final = 1 << 20


def write(
    seen: Sequence[Sample], minutes: Sequence[Spread], windows: Sequence[Spread], window: float
) -> None:
    """All files; `minutes` are the cycles, `windows` their parts of `window` seconds each."""
    FOLDER.mkdir(exist_ok=True)
    _samples(seen)
    _latencies("minutes.csv", minutes, 1, "minute")
    _latencies("seconds.csv", windows, window, "second")
    _draw(seen, windows, window)


def processors(seen: Sequence[Sample], first: float, last: float) -> dict[str, float]:
    """Processors used from one second to another, by process, and by everybody else as `others`.

    Empty when nobody looked in between. A neighbour that works shows up here, and in every latency.
    """
    within = [sample for sample in seen if first <= sample.seconds <= last]
    if len(within) < 2:  # noqa: PLR2004  an interval has two ends
        return {}
    before, after = within[0], within[-1]
    wall = after.seconds - before.seconds
    used = {name: (after.used[name] - before.used.get(name, 0.0)) / wall for name in after.used}
    return used | {OTHERS: (after.machine - before.machine) / wall - sum(used.values())}


def told(seen: Sequence[Sample], minute: Spread, place: int, cycle: float) -> str:
    """What the minute number `place` (from 0, of `cycle` seconds) was like, in one line."""
    first, last = place * cycle, (place + 1) * cycle
    used = processors(seen, first, last)
    pieces = [sample.piece for sample in seen if first < sample.seconds <= last]
    cost = statistics.fmean(pieces) if pieces else float("nan")
    shares = ", ".join(f"{name} {share:.2f}" for name, share in used.items())
    return f"{minute.done / cycle:.0f} a second, {cost:.0f} µs for a piece of work; processors: {shares}"


def _samples(seen: Sequence[Sample]) -> None:
    names = sorted({name for sample in seen for name in sample.memory})
    files = sorted({name for sample in seen for name in sample.files})
    heads = [f"{kind} {name}" for kind in ("rss", "anonymous") for name in names]
    with (FOLDER / "samples.csv").open("w", newline="") as file:
        out = csv.writer(file)
        users = [*names, GENERATOR, OTHERS]
        out.writerow(
            [
                "seconds",
                "lag_s",
                "piece_us",
                *heads,
                *(f"bytes {kind}" for kind in files),
                *(f"cpu {name}" for name in users),
            ]
        )
        for before, now in pairwise(seen):
            used = processors([before, now], before.seconds, now.seconds)
            sizes = [part.get(name, 0) for part in (now.memory, now.anonymous) for name in names]
            sizes += [now.files.get(kind, 0) for kind in files]
            shares = [f"{used.get(name, 0.0):.3f}" for name in users]
            out.writerow([f"{now.seconds:.1f}", f"{now.lag:.2f}", f"{now.piece:.1f}", *sizes, *shares])


def _latencies(name: str, spreads: Sequence[Spread], scale: float, unit: str) -> None:
    with (FOLDER / name).open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow([unit, "answered", "failed", *(f"p{q}_ms" for q in QUANTILES)])
        for place, spread in enumerate(spreads):
            shares = [f"{spread.percentile(q) / 1e3:.3f}" for q in QUANTILES]
            out.writerow([f"{place * scale:g}", spread.done, spread.bad, *shares])


def _draw(seen: Sequence[Sample], windows: Sequence[Spread], window: float) -> None:
    from matplotlib.figure import Figure  # noqa: PLC0415  loads slowly

    figure = Figure(figsize=(10, 11), layout="constrained")
    memory, files, latency, speed = figure.subplots(4, 1, sharex=True)
    times = [sample.seconds / 60 for sample in seen]
    for axes, kind in ((memory, "memory"), (files, "files")):
        names = sorted({name for sample in seen for name in getattr(sample, kind)})
        for name in names:
            axes.plot(times, [getattr(sample, kind).get(name, 0) / _MIB for sample in seen], label=name)
        axes.set_ylabel("RSS, MiB" if kind == "memory" else "files, MiB")
        axes.set_ylim(bottom=0)
        axes.legend(ncols=4, fontsize="small")
    middles = [(place + 0.5) * window / 60 for place in range(len(windows))]
    for q in QUANTILES:
        latency.plot(middles, [spread.percentile(q) / 1e3 for spread in windows], label=f"{q} %")
    latency.set_ylabel("latency, ms")
    latency.set_yscale("log")
    latency.legend()
    speed.plot(times, [sample.piece for sample in seen])
    speed.set_ylabel("a piece of work, µs")
    speed.set_ylim(bottom=0)
    speed.set_xlabel("minutes")
    figure.savefig(FOLDER / "soak.png", dpi=110)
