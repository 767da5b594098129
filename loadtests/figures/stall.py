"""`figures stall`: how long a health check waits while a body of tens of megabytes is read and answered.

One worker; another process sends the body, as JSON and as binary tensors, while this one asks the same worker
for its health, again and again over one connection. Printed are the slowest answers of each, and as many of a
time when nothing else was asked.
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import numpy as np

from loadtests.bench import works
from loadtests.subject import running

MOST_S: Final = 0.020
SIZES: Final = (64, 32, 10)
PATIENCE_S: Final = 120.0
CALM_S: Final = 2.0
PAUSE_S: Final = 0.001
FORMS: Final = ("json", "binary")
_NUMBER: Final = b"0.1234"


def body(form: str, size: int) -> tuple[bytes, dict[str, str]]:
    """A request of about so many bytes for the model, and its headers."""
    if form == "json":
        rows = size // ((len(_NUMBER) + 1) * SIZES[0])
        values = b",".join([_NUMBER] * (rows * SIZES[0]))
        head = b'{"inputs":[{"name":"X","datatype":"FP32","shape":[%d,%d],"data":[' % (rows, SIZES[0])
        return head + values + b"]}]}", {"Content-Type": "application/json"}
    rows = size // (4 * SIZES[0])
    raw = np.full((rows, SIZES[0]), 0.1234, np.float32).tobytes()
    tensor: dict[str, object] = {"name": "X", "shape": [rows, SIZES[0]], "datatype": "FP32"}
    tensor |= {"parameters": {"binary_data_size": len(raw)}}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    return head + raw, {
        "Content-Type": "application/octet-stream",
        "Inference-Header-Content-Length": str(len(head)),
    }


def send(url: str, form: str, size: int) -> tuple[int, int, float]:
    """In another process: post the body; status, bytes of the answer, seconds."""
    content, headers = body(form, size)
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE_S)
    began = time.monotonic()
    connection.request("POST", parts.path, content, headers)
    answer = connection.getresponse()
    length = len(answer.read())
    connection.close()
    return answer.status, length, time.monotonic() - began


def poll(url: str, more: Callable[[], bool]) -> list[float]:
    """Seconds of every health check while there is `more` to wait for, one after the other."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE_S)
    pause = threading.Event()
    found = []
    while more():
        began = time.perf_counter()
        connection.request("GET", "/v2/health/live")
        answer = connection.getresponse()
        answer.read()
        found.append(time.perf_counter() - began)
        if answer.status != http.HTTPStatus.OK:
            raise RuntimeError(f"the worker is not live: {answer.status}")
        pause.wait(PAUSE_S)
    connection.close()
    return found


def told(latencies: Sequence[float]) -> str:
    """How many, their 99th percentile and the three slowest, in milliseconds."""
    worst = ", ".join(f"{one * 1e3:.1f}" for one in sorted(latencies, reverse=True)[:3])
    return (
        f"{len(latencies)} checks, 99 % within {np.percentile(latencies, 99) * 1e3:.1f} ms, slowest {worst}"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Every form that is asked for; 0 where no check took longer than it may."""
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.figures stall", description=__doc__.split("\n\n")[0]
    )
    parser.add_argument("--form", action="append", choices=FORMS, help="default: both")
    parser.add_argument("--megabytes", type=float, default=64.0, help="of the body (default 64)")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args(arguments)
    worst = 0.0
    with tempfile.TemporaryDirectory(prefix="driftgate-stall-") as name:
        model = Path(name) / "models" / "m" / "1" / "model.onnx"
        model.parent.mkdir(parents=True)
        model.write_bytes(works.perceptron(SIZES).SerializeToString())
        spawned = multiprocessing.get_context("spawn")
        with running(Path(name), workers=1) as subject, ProcessPoolExecutor(1, spawned) as other:
            ends = time.monotonic() + CALM_S
            print(f"nothing else: {told(poll(subject.http, lambda: time.monotonic() < ends))}")
            for form in asked.form or FORMS:
                for _ in range(asked.rounds):
                    work = other.submit(
                        send, f"{subject.http}/v2/models/m/infer", form, int(asked.megabytes * 1e6)
                    )
                    latencies = poll(subject.http, _runs(work))
                    status, length, seconds = work.result()
                    worst = max(worst, *latencies)
                    print(f"{form}: {status}, {length} bytes after {seconds:.2f} s; {told(latencies)}")
    print(f"the slowest check took {worst * 1e3:.1f} ms; wanted {MOST_S * 1e3:g}")
    return 0 if worst <= MOST_S else 1


def _runs(work: Future[tuple[int, int, float]]) -> Callable[[], bool]:
    return lambda: not work.done()
