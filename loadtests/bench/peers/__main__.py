"""`python -m loadtests.bench.peers`: MLServer, KServe, LitServe and BentoML beside us, in turns.

The work is one row × 30 through a logistic regression in onnxruntime, as JSON. Each peer lives in an
environment of its own below .cache/peers, made from the package index the first time (minutes, hundreds of
megabytes); what cannot be installed or started is named. Answers are checked first. CPU is each server's
process tree; ours has its routes, its log and its metrics in it, and a live monitor runs beside.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Final

from loadtests.bench import servers, works
from loadtests.bench.measuring import Row, check, measure
from loadtests.bench.peers import report
from loadtests.bench.peers.environments import PEERS, Absent, Installed, install
from loadtests.bench.peers.starting import NotStartedError, serving

FOLDER: Final = Path(".cache/peers")
WORK: Final = "one-row"


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.bench.peers", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--peer", action="append", choices=list(PEERS), help="default: all of them")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each timed run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-pin", action="store_true", help="let servers and generator share the cores")
    parser.add_argument("--json", type=Path, help="write what was found here, every round's rows with it")
    options = parser.parse_args()
    options.rate = 0.0
    return options


def one_round(
    here: Mapping[str, Installed], absent: dict[str, str], work: works.Work, options: argparse.Namespace
) -> dict[str, Row]:
    """Every server once, one after the other; who does not come up is absent from then on."""
    cores = None if options.no_pin else "0"
    rows = {}
    with servers.driftgate(work, cores) as server:
        check(server, work)
        rows["driftgate"] = measure(server, work, options)
    for name, installed in here.items():
        if name in absent:
            continue
        try:
            with serving(installed, work, cores) as server:
                check(server, work)
                rows[name] = measure(server, work, options)
        except NotStartedError as error:
            absent[name] = str(error)
    return rows


def main() -> None:
    """Install, measure in turns, print and write."""
    options = arguments()
    found = [install(PEERS[name], FOLDER.resolve()) for name in options.peer or PEERS]
    absent = {one.peer.name: one.reason for one in found if isinstance(one, Absent)}
    here = {one.peer.name: one for one in found if isinstance(one, Installed)}
    options.no_pin = options.no_pin or len(os.sched_getaffinity(0)) < 2  # noqa: PLR2004  a core for each side
    if not options.no_pin:
        os.sched_setaffinity(0, {1})
    work = works.work(WORK, Path(".cache/bench-models").resolve())
    rounds = [one_round(here, absent, work, options) for _ in range(options.rounds)]
    versions = {"driftgate": {name: version(name) for name in ("driftgate", "onnxruntime")}}
    versions |= {name: dict(one.versions) for name, one in here.items()}
    lines = report.lines(rounds, versions)
    with contextlib.suppress(OSError):
        print(
            f"load average {' '.join(f'{one:.1f}' for one in os.getloadavg())}, {os.cpu_count()} processors"
        )
    print(
        f"{WORK}: {work.rows} × {work.features}, {options.connections} connections, {options.rounds} rounds"
    )
    print(report.table(lines, absent))
    if options.json:
        kept = {
            "lines": [asdict(line) for line in lines],
            "not_measured": absent,
            "rounds": [{name: asdict(row) for name, row in one.items()} for one in rounds],
        }
        options.json.write_text(json.dumps(kept, indent=1))
    if not here:
        sys.exit("no peer could be installed")


if __name__ == "__main__":
    main()
