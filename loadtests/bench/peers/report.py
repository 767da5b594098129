"""What the rounds say: medians per server, and how many times a peer's processor time ours is. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from loadtests.bench.measuring import Row
from loadtests.bench.peers.environments import PEERS


@dataclass(frozen=True)
class Line:
    """A server's medians; `ratio` is the median over rounds of its processor time per request to ours."""

    server: str
    versions: Mapping[str, str]
    rps: float
    p50_us: float
    p99_us: float
    cpu_us: float
    per_cpu_second: float
    rss_mb: float
    ratio: float
    target: float | None
    bad: int


def lines(rounds: Sequence[Mapping[str, Row]], versions: Mapping[str, Mapping[str, str]]) -> list[Line]:
    """One line per server that was measured, ours first; a round in which a server was absent is left out."""
    names = dict.fromkeys(name for one in rounds for name in one)
    return [_line(name, rounds, versions.get(name, {})) for name in names]


def _line(name: str, rounds: Sequence[Mapping[str, Row]], versions: Mapping[str, str]) -> Line:
    mine = [one[name] for one in rounds if name in one]
    ratios = [one[name].cpu_us / one["driftgate"].cpu_us for one in rounds if name in one]

    def median(field: str) -> float:
        return float(statistics.median(getattr(row, field) for row in mine))

    return Line(
        server=name,
        versions=versions,
        rps=median("rps"),
        p50_us=median("p50_us"),
        p99_us=median("p99_us"),
        cpu_us=median("cpu_us"),
        per_cpu_second=1e6 / median("cpu_us"),
        rss_mb=median("rss_mb"),
        ratio=statistics.median(ratios),
        target=PEERS[name].target if name in PEERS else None,
        bad=sum(row.bad for row in mine),
    )


def table(found: Sequence[Line], absent: Mapping[str, str]) -> str:
    """For a terminal; whoever could not be measured is named below with the reason."""
    head = f"{'server':<12}{'rps':>9}{'p50 µs':>10}{'p99 µs':>10}{'CPU µs':>9}{'per CPU s':>11}{'RSS MB':>8}"
    text = [f"{head}{'CPU ×':>8}{'wanted':>8}{'bad':>6}  versions"]
    for line in found:
        wanted = "" if line.target is None else f"≥ {line.target:g}"
        versions = ", ".join(f"{name} {version}" for name, version in line.versions.items())
        text.append(
            f"{line.server:<12}{line.rps:>9.0f}{line.p50_us:>10.0f}{line.p99_us:>10.0f}{line.cpu_us:>9.1f}"
            f"{line.per_cpu_second:>11.0f}{line.rss_mb:>8.0f}{line.ratio:>8.2f}{wanted:>8}{line.bad:>6}"
            f"  {versions}"
        )
    text += [f"not measured: {name} ({PEERS[name].package}): {reason}" for name, reason in absent.items()]
    return "\n".join(text)
