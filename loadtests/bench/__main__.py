"""`python -m loadtests.bench`: rounds of every server in turn, answers checked first, ratios to the naive.

CPU is what the server's process tree was on a processor for, per request; the monitor's stands beside it. The
generator has a processor to itself. The servers of a round have the others, one after the other, so that a
slow minute of the machine hits all of them; the medians of the rounds' ratios are what to quote.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from dataclasses import asdict
from pathlib import Path

from loadtests.bench import servers, works
from loadtests.bench.measuring import Row, check, measure


def table(rows: list[list[Row]], names: list[str]) -> str:
    """Medians over rounds, and medians of the per-round ratios to the first server."""
    lines = [
        (
            f"{'server':<12}{'rps':>9}{'p50 µs':>9}{'p99 µs':>9}{'CPU µs':>9}{'beside':>8}{'RSS MB':>8}"
            f"{'CPU ×':>8}{'p50 ×':>8}{'p99 ×':>8}{'rps ×':>8}{'bad':>6}"
        )
    ]
    for place, name in enumerate(names):
        mine = [round_[place] for round_ in rows]
        first = [round_[0] for round_ in rows]

        def median(field: str, mine: list[Row] = mine) -> float:
            return float(statistics.median(getattr(row, field) for row in mine))

        def ratio(field: str, mine: list[Row] = mine, first: list[Row] = first) -> float:
            pairs = zip(mine, first, strict=True)
            return float(statistics.median(getattr(a, field) / getattr(b, field) for a, b in pairs))

        lines.append(
            f"{name:<12}{median('rps'):>9.0f}{median('p50_us'):>9.0f}{median('p99_us'):>9.0f}"
            f"{median('cpu_us'):>9.1f}{median('beside_us'):>8.1f}{median('rss_mb'):>8.0f}"
            f"{ratio('cpu_us'):>8.2f}{ratio('p50_us'):>8.2f}{ratio('p99_us'):>8.2f}{ratio('rps'):>8.2f}"
            f"{sum(row.bad for row in mine):>6}"
        )
    return "\n".join(lines)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench", description=__doc__.split("\n")[0])
    parser.add_argument("--work", action="append", choices=works.WORKS, help="default: all of them")
    parser.add_argument("--server", action="append", choices=list(servers.SERVERS), help="default: all")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each timed run")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--rate", type=float, default=0.0, help="open loop at this many requests per second")
    parser.add_argument("--no-pin", action="store_true", help="let servers and generator share the cores")
    parser.add_argument("--json", type=Path, help="write every round's rows here")
    return parser.parse_args()


def main() -> None:
    """Every work asked for, a table each."""
    options = arguments()
    names = options.server or list(servers.SERVERS)
    cores: str | None = None
    if not options.no_pin and len(os.sched_getaffinity(0)) > 1:
        cores, own = servers.sides(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {own})
    models = Path(".cache/bench-models").resolve()
    kept: dict[str, list[list[dict[str, object]]]] = {}
    for name in options.work or works.WORKS:
        work = works.work(name, models)
        rows: list[list[Row]] = []
        for _ in range(options.rounds):
            rows.append([])
            for server_name in names:
                start = servers.SERVERS[server_name]
                with start(work, cores, options.workers) as server:
                    check(server, work)
                    rows[-1].append(measure(server, work, options))
        load = f"open loop {options.rate:g}/s" if options.rate else f"{options.connections} connections"
        print(f"\n{name}: {work.rows} × {work.features}, {load}, {options.rounds} rounds, medians")
        print(table(rows, names))
        kept[name] = [[asdict(row) for row in round_] for round_ in rows]
    if options.json:
        options.json.write_text(json.dumps(kept, indent=1))


if __name__ == "__main__":
    main()
