"""`figures stall`: how long a health check waits while a body of tens of megabytes is read and answered.

One worker; another process sends the body, in one form after the other (flat and nested lists of JSON, rows
of KServe v1, a table as MLflow has it, CSV, binary tensors), while this one asks the same worker for its
health, again and again over one connection. Printed are the slowest answers of each, and as many of a time
when nothing else was asked.
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from types import MappingProxyType
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
_NUMBER: Final = b"0.123456"
_ROW: Final = b",".join([_NUMBER] * SIZES[0])
_COLUMNS: Final = [f"x{place}" for place in range(SIZES[0])]
_JSON: Final = MappingProxyType({"Content-Type": "application/json"})
_TENSOR: Final = b'{"inputs":[{"name":"X","datatype":"FP32","shape":[%d,%d],"data":['

Request = tuple[str, bytes, Mapping[str, str]]
"""Path, body and headers."""


def flat(size: int) -> Request:
    """One list of all numbers."""
    rows = size // (len(_ROW) + 1)
    text = _TENSOR % (rows, SIZES[0]) + b",".join([_ROW] * rows) + b"]}]}"
    return "/v2/models/m/infer", text, _JSON


def nested(size: int) -> Request:
    """A list for each row."""
    rows = size // (len(_ROW) + 3)
    text = _TENSOR % (rows, SIZES[0]) + _rows(rows) + b"]}]}"
    return "/v2/models/m/infer", text, _JSON


def instances(size: int) -> Request:
    """KServe v1's rows."""
    text = b'{"instances":[' + _rows(size // (len(_ROW) + 3)) + b"]}"
    return "/v1/models/m:predict", text, _JSON


def table(size: int) -> Request:
    """A data frame as pandas splits it."""
    columns = json.dumps(_COLUMNS).encode()
    text = b'{"dataframe_split":{"columns":%b,"data":[%b]}}' % (columns, _rows(size // (len(_ROW) + 3)))
    return "/invocations", text, _JSON


def csv(size: int) -> Request:
    """The same as lines of text."""
    text = ",".join(_COLUMNS).encode() + (b"\n" + _ROW) * (size // (len(_ROW) + 1))
    return "/invocations", text, {"Content-Type": "text/csv"}


def binary(size: int) -> Request:
    """A tensor's bytes, and an answer in bytes."""
    rows = size // (4 * SIZES[0])
    raw = np.full((rows, SIZES[0]), 0.1234, np.float32).tobytes()
    tensor: dict[str, object] = {"name": "X", "shape": [rows, SIZES[0]], "datatype": "FP32"}
    tensor |= {"parameters": {"binary_data_size": len(raw)}}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    return (
        "/v2/models/m/infer",
        head + raw,
        {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(head))},
    )


FORMS: Final[Mapping[str, Callable[[int], Request]]] = MappingProxyType(
    {form.__name__: form for form in (flat, nested, instances, table, csv, binary)}
)


def _rows(count: int) -> bytes:
    return b",".join([b"[%b]" % _ROW] * count)


def send(url: str, form: str, size: int) -> tuple[int, int, float]:
    """In another process: post the body; status, bytes of the answer, seconds."""
    path, content, headers = FORMS[form](size)
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE_S)
    began = time.monotonic()
    connection.request("POST", path, content, dict(headers))
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
    parser.add_argument("--form", action="append", choices=FORMS, help="default: all")
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
                    work = other.submit(send, subject.http, form, int(asked.megabytes * 1e6))
                    latencies = poll(subject.http, _runs(work))
                    status, length, seconds = work.result()
                    worst = max(worst, *latencies)
                    print(f"{form}: {status}, {length} bytes after {seconds:.2f} s; {told(latencies)}")
    print(f"the slowest check took {worst * 1e3:.1f} ms; wanted {MOST_S * 1e3:g}")
    return 0 if worst <= MOST_S else 1


def _runs(work: Future[tuple[int, int, float]]) -> Callable[[], bool]:
    return lambda: not work.done()
