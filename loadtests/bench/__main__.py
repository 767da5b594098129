"""`python -m loadtests.bench`: rounds of every server in turn, answers checked first, ratios to the naive.

CPU is what the server's process tree was on a processor for, per request; the monitor's stands beside it.
The servers of a round run one after the other so that a slow minute of the machine hits all of them; the
medians of the rounds' ratios are what to quote.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort

from loadtests.bench import cost, generator, servers, works


@dataclass(frozen=True)
class Row:
    """One server in one round."""

    server: str
    rps: float
    p50_us: float
    p99_us: float
    cpu_us: float
    beside_us: float
    rss_mb: float
    bad: int


def check(server: servers.Server, work: works.Work) -> None:
    """The server's first answer is the model's own; SystemExit otherwise."""
    body, headers = work.request()
    request = urllib.request.Request(server.url, body, headers)  # noqa: S310  loopback
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  loopback
        raw, size = answer.read(), answer.headers.get("Inference-Header-Content-Length")
    last = json.loads(raw[: int(size)] if size else raw)["outputs"][-1]
    session = ort.InferenceSession(str(work.model), providers=["CPUExecutionProvider"])
    wanted = session.run(None, {"X": work.rows_of_input()})[-1].ravel()
    got = np.frombuffer(raw[-wanted.nbytes :], wanted.dtype) if size else np.array(last["data"]).ravel()
    if got.shape != wanted.shape or not np.allclose(got, wanted, atol=1e-3):
        sys.exit(f"{server.name}: wrong answer for {work.name}: {got[:4]} instead of {wanted[:4]}")


def measure(server: servers.Server, work: works.Work, options: argparse.Namespace) -> Row:
    """One timed run after a short one that warms caches."""
    body, headers = work.request()
    payload = generator.request_bytes(server.url, body, headers)
    generator.closed_loop(server.url, payload, connections=options.connections, seconds=0.5)
    before, before_beside = cost.cpu_ns(server.pids), cost.cpu_ns(server.beside)
    if options.rate:
        tally = generator.open_loop(
            server.url, payload, connections=64, seconds=options.seconds, rate=options.rate
        )
    else:
        tally = generator.closed_loop(
            server.url, payload, connections=options.connections, seconds=options.seconds
        )
    used, beside = cost.cpu_ns(server.pids) - before, cost.cpu_ns(server.beside) - before_beside
    done = max(tally.done, 1)
    return Row(
        server=server.name,
        rps=tally.done / tally.seconds,
        p50_us=tally.percentile(50),
        p99_us=tally.percentile(99),
        cpu_us=used / done / 1e3,
        beside_us=beside / done / 1e3,
        rss_mb=cost.rss_bytes(server.pids) / 2**20,
        bad=tally.bad,
    )


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
            return statistics.median(getattr(row, field) for row in mine)

        def ratio(field: str, mine: list[Row] = mine, first: list[Row] = first) -> float:
            pairs = zip(mine, first, strict=True)
            return statistics.median(getattr(a, field) / getattr(b, field) for a, b in pairs)

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
    pinned = not options.no_pin and len(os.sched_getaffinity(0)) > 1
    if pinned:
        os.sched_setaffinity(0, {1})
    models = Path(".cache/bench-models").resolve()
    kept: dict[str, list[list[dict[str, object]]]] = {}
    for name in options.work or works.WORKS:
        work = works.work(name, models)
        rows: list[list[Row]] = []
        for _ in range(options.rounds):
            rows.append([])
            for server_name in names:
                start = servers.SERVERS[server_name]
                with start(work, "0" if pinned else None, options.workers) as server:
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
