"""When a soak has passed: pure functions over samples of memory and files, and the latencies by minute."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Final

from loadtests.bench.generator import Tally
from loadtests.criteria import Check
from loadtests.samples import LOG, Sample

WARM_UP: Final = 0.2
"""The share of the run in which memory may still grow: pools fill, versions are loaded for the first time."""
MOST_GROWTH: Final = 0.05
MOST_SLOWER: Final = 1.2
MOST_FILE_GROWTH: Final = 1.5
TINY_BYTES: Final = 64 << 10
"""Locks and keys: not worth a line."""
SLACK_BYTES: Final = 4 << 20
"""A file as small as this may grow: its pages, its journal."""
_MIB: Final = 1 << 20


def judge(samples: Sequence[Sample], minutes: Sequence[Tally], log_limit: int | None) -> list[Check]:
    """Every criterion; `log_limit` is the size the log was told to keep below, None if it cannot be told."""
    warm = [sample for sample in samples if sample.seconds >= WARM_UP * samples[-1].seconds]
    return [*_answers(minutes), *_memory(warm), *_files(warm, log_limit)]


def _answers(minutes: Sequence[Tally]) -> list[Check]:
    bad = sum(minute.bad for minute in minutes)
    done = sum(minute.done for minute in minutes)
    first, last = (minutes[place].percentile(99) / 1e3 for place in (0, -1))
    return [
        Check("failed requests", "0", f"{bad} of {done + bad}", bad == 0 < done),
        Check(
            "99 % of the last minute",
            f"{MOST_SLOWER:g} × the first ({first:.1f} ms)",
            f"{last:.1f} ms = {last / first:.2f} ×",
            last <= MOST_SLOWER * first,
        ),
    ]


def _memory(warm: Sequence[Sample]) -> list[Check]:
    """Per process: the median of the last quarter against that of the first quarter after warm-up."""
    names = sorted({name for sample in warm for name in sample.memory})
    checks = []
    for name in names:
        sizes = [sample.memory.get(name, 0) for sample in warm]
        before, after = _ends(sizes)
        change = after / before - 1 if before else float("inf")
        checks.append(
            Check(
                f"memory of {name}",
                f"± {MOST_GROWTH:.0%} of {before / _MIB:.0f} MiB, alive throughout",
                f"{after / _MIB:.0f} MiB = {change:+.1%}, at most {max(sizes) / _MIB:.0f} MiB",
                abs(change) <= MOST_GROWTH and 0 not in sizes,
            )
        )
    return checks


def _files(warm: Sequence[Sample], log_limit: int | None) -> list[Check]:
    """The log below its limit; everything else not growing with the requests."""
    checks = []
    for kind in sorted({kind for sample in warm for kind in sample.files}):
        sizes = [sample.files.get(kind, 0) for sample in warm]
        if max(sizes) < TINY_BYTES:
            continue
        before, after = _ends(sizes)
        bound = max(MOST_FILE_GROWTH * before, before + SLACK_BYTES)
        if kind == LOG and log_limit is None:
            found = f"{max(sizes) / _MIB:.1f} MiB, and no setting limits it"
            checks.append(Check(f"bytes of {kind}", "a limit", found, passed=False))
            continue
        if kind == LOG and log_limit is not None:
            bound, after = float(log_limit), max(sizes)
        checks.append(
            Check(
                f"bytes of {kind}",
                f"≤ {bound / _MIB:.1f} MiB",
                f"{after / _MIB:.1f} MiB",
                after <= bound,
            )
        )
    return checks


def _ends(sizes: Sequence[int]) -> tuple[float, float]:
    """The medians of the first and of the last quarter."""
    quarter = max(len(sizes) // 4, 1)
    return statistics.median(sizes[:quarter]), statistics.median(sizes[-quarter:])
