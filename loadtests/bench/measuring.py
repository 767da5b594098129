"""One server asked one work: its first answer compared with the model's own, then a timed run."""

from __future__ import annotations

import argparse
import json
import sys
import urllib.request
from dataclasses import dataclass

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
    request = urllib.request.Request(server.url, body, {**headers, **server.headers})  # noqa: S310  loopback
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
    payload = generator.request_bytes(server.url, body, {**headers, **server.headers})
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
