"""When a soak has passed: pure functions over samples of memory and files, and the latencies by cycle.

A cycle is a minute in which a canary starts, answers and is rolled back once, at the same seconds of each.
Only whole cycles are compared, so that neither side has more of the canary than the other. What came before
the first cycle (the warm-up of the load) is not judged at all.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Final

from loadtests.criteria import Check
from loadtests.samples import LOG, Sample
from loadtests.spread import Spread

WARM_UP: Final = 0.2
"""The share of the cycles in which memory may still grow: row files are walked, pools fill."""
MOST_GROWTH: Final = 0.05
MOST_SLOWER: Final = 1.2
MOST_LAG_S: Final = 5.0
MOST_FILE_GROWTH: Final = 1.5
TINY_BYTES: Final = 64 << 10
"""Locks and keys: not worth a line."""
SLACK_BYTES: Final = 4 << 20
"""A file as small as this may grow: its pages, its journal."""
MOST_BUSY: Final = 0.8
"""A generator busier than this is late itself, and its lateness is what would be measured."""
_MIB: Final = 1 << 20
_SHARE: Final = 4
"""The first and the last quarter of what is compared."""


def judge(samples: Sequence[Sample], minutes: Sequence[Spread], cycle: float, log_limit: int) -> list[Check]:
    """Every criterion; a cycle is `cycle` seconds, `minutes` are the latencies of each.

    `log_limit` is the size the log was told to keep below, in bytes.
    """
    by_cycle = _by_cycle(samples, cycle, len(minutes))
    warm = by_cycle[int(WARM_UP * len(by_cycle)) :]
    return [*_answers(minutes), _lag(by_cycle[-1]), *_memory(warm), *_files(warm, log_limit)]


def slower(minutes: Sequence[Spread]) -> bool:
    """Whether the last minute was slower than the first by more than a run may become."""
    first, last = _ends_ms(minutes)
    return not last <= MOST_SLOWER * first


def generator(busiest: float) -> Check:
    """Whether the generator was not the limit: the share of a processor its busiest process used."""
    name, wanted = "generator's busiest process", f"≤ {MOST_BUSY:.0%} of a processor"
    return Check(name, wanted, f"{busiest:.0%}", busiest <= MOST_BUSY)


def _by_cycle(samples: Sequence[Sample], cycle: float, count: int) -> list[list[Sample]]:
    found: list[list[Sample]] = [[] for _ in range(count)]
    for sample in samples:
        if 0 <= sample.seconds < count * cycle:
            found[int(sample.seconds // cycle)].append(sample)
    return found


def _answers(minutes: Sequence[Spread]) -> list[Check]:
    bad = sum(minute.bad for minute in minutes)
    done = sum(minute.done for minute in minutes)
    first, last = _ends_ms(minutes)
    return [
        Check("failed requests", "0", f"{bad} of {done + bad}", bad == 0 < done),
        Check(
            "99 % of the last minute",
            f"≤ {MOST_SLOWER:g} × the first ({first:.1f} ms)",
            f"{last:.1f} ms = {last / first:.2f} ×",
            not slower(minutes),
        ),
    ]


def _ends_ms(minutes: Sequence[Spread]) -> tuple[float, float]:
    return minutes[0].percentile(99) / 1e3, minutes[-1].percentile(99) / 1e3


def _lag(last: Sequence[Sample]) -> Check:
    """A monitor that falls behind would leave the processor to the others, and they would look good."""
    found = max(sample.lag for sample in last)
    wanted = f"≤ {MOST_LAG_S:g} s behind in the last minute"
    return Check("the monitor keeps up", wanted, f"at most {found:.1f} s", found <= MOST_LAG_S)


def _memory(warm: Sequence[Sequence[Sample]]) -> list[Check]:
    """Per process: mean RSS of the last quarter against that of the first quarter after warm-up."""
    samples = [sample for cycle in warm for sample in cycle]
    checks = []
    for name in sorted({name for sample in samples for name in sample.memory}):
        resident = [[sample.memory.get(name, 0) for sample in cycle] for cycle in warm]
        before, after = _ends(resident)
        change = after / before - 1 if before else float("inf")
        most = max(max(cycle) for cycle in resident) / _MIB
        alive = all(name in sample.memory for sample in samples)
        checks.append(
            Check(
                f"RSS of {name}",
                f"± {MOST_GROWTH:.0%} of {before / _MIB:.0f} MiB, alive throughout",
                f"{after / _MIB:.0f} MiB = {change:+.1%}, at most {most:.0f} MiB{_anonymous(warm, name)}",
                abs(change) <= MOST_GROWTH and alive,
            )
        )
    return checks


def _anonymous(warm: Sequence[Sequence[Sample]], name: str) -> str:
    """What of it is no page of a file, as text."""
    sizes: list[list[int]] = [[sample.anonymous.get(name, 0) for sample in cycle] for cycle in warm]
    before, after = _ends(sizes)
    return f"; anonymous {before / _MIB:.0f} → {after / _MIB:.0f} MiB" if before else ""


def _files(warm: Sequence[Sequence[Sample]], log_limit: int) -> list[Check]:
    """The log below its limit; everything else not growing with the requests."""
    kinds: set[str] = {kind for cycle in warm for sample in cycle for kind in sample.files}
    checks = []
    for kind in sorted(kinds):
        sizes = [[sample.files.get(kind, 0) for sample in cycle] for cycle in warm]
        most = max(max(cycle) for cycle in sizes)
        if most < TINY_BYTES:
            continue
        before, after = _ends(sizes)
        bound = max(MOST_FILE_GROWTH * before, before + SLACK_BYTES)
        if kind == LOG:
            bound, after = float(log_limit), float(most)
        checks.append(
            Check(
                f"bytes of {kind}",
                f"≤ {bound / _MIB:.1f} MiB",
                f"{after / _MIB:.1f} MiB",
                after <= bound,
            )
        )
    return checks


def _ends(cycles: Sequence[Sequence[int]]) -> tuple[float, float]:
    """The means of the first and of the last quarter of the cycles, one at least."""
    quarter = max(len(cycles) // _SHARE, 1)
    first = statistics.fmean(size for cycle in cycles[:quarter] for size in cycle)
    return first, statistics.fmean(size for cycle in cycles[-quarter:] for size in cycle)
