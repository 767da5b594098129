"""What is put under load: a real `driftgate up` on free loopback ports, over a model pushed a moment ago.

Everything lies in a folder of its own and ends with the `with` block: SIGTERM first, and the block fails when
the program does not exit with 0.
"""

from __future__ import annotations

import contextlib
import csv
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from loadtests.bench.servers import READY_S, wait_until

MODEL: Final = "scores"
INPUT: Final = "input"
"""What publishing calls the one input of an estimator that was fitted on an array."""
FEATURES: Final = 8
ROWS: Final = 4000
STOP_S: Final = 60.0
LAST_WORDS: Final = 4000
"""Characters of the program's lines that are shown when it fails."""

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Subject:
    """A running program: three addresses, its process, its data folder."""

    http: str
    operator: str
    monitor: str
    pid: int
    data: Path

    @property
    def infer(self) -> str:
        """Where predictions are asked for."""
        return f"{self.http}/v2/models/{MODEL}/infer"


@dataclass(frozen=True)
class Reference:
    """The rows that were pushed as reference, float32 [rows, FEATURES], and their labels [rows]."""

    rows: Array
    labels: NDArray[np.int64]

    @classmethod
    def read(cls, path: Path) -> Reference:
        """From the CSV file that `publish` wrote."""
        with path.open(newline="") as file:
            _, *lines = csv.reader(file)
        table = np.array(lines, dtype=np.float64)
        return cls(table[:, :-1].astype(np.float32), table[:, -1].astype(np.int64))

    def body(self, first: int, count: int) -> bytes:
        """A request for `count` rows from row `first` on, as Open Inference Protocol JSON."""
        part = self.rows[first : first + count]
        tensor = {"name": INPUT, "shape": list(part.shape), "datatype": "FP32", "data": part.ravel().tolist()}
        return json.dumps({"inputs": [tensor]}).encode()


def publish(folder: Path, version: int = 1) -> Path:
    """Train a version of the model, push it below `folder`; the CSV file of its reference."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415  loads slowly

    from registry_client.publishing import publish as push  # noqa: PLC0415  loads slowly

    rows, labels = _world(seed=version)
    half = len(rows) // 2
    estimator = LogisticRegression().fit(rows[:half], labels[:half])
    push(
        estimator,
        name=MODEL,
        version=str(version),
        reference=rows[half:],
        labels=labels[half:],
        held_out=True,
        registry=folder / "models",
    )
    reference = folder / f"reference-{version}.csv"
    _write(reference, rows[half:], labels[half:])
    return reference


@contextlib.contextmanager
def running(
    folder: Path, *, workers: int = 2, settings: Mapping[str, Any] | None = None
) -> Iterator[Subject]:
    """`driftgate up` over the models below `folder`; RuntimeError when it does not end in order."""
    ready, config = folder / "ready.json", folder / "driftgate.json"
    given: dict[str, Any] = {"workers": workers, **(settings or {})}
    given |= {name: {"port": 0, **given.get(name, {})} for name in ("http", "operator", "monitor")}
    config.write_text(json.dumps(given))
    command = [sys.executable, "-P", "-m", "driftgate", "up", "--models", str(folder / "models")]
    command += ["--data", str(folder / "data"), "--config", str(config), "--ready-file", str(ready)]
    said = folder / "up.log"
    with said.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        wait_until(ready.exists, "driftgate up", process)
        found = json.loads(ready.read_bytes())
        yield Subject(found["http"], found["operator"], found["monitor"], process.pid, folder / "data")
    except BaseException:
        process.kill()  # its children are tied to it
        process.wait()
        print(said.read_text()[-LAST_WORDS:], file=sys.stderr)
        raise
    process.terminate()
    code = process.wait(STOP_S)
    if code:
        raise RuntimeError(f"driftgate up ended with exit code {code}: {said.read_text()[-LAST_WORDS:]}")


def ask(url: str, body: Mapping[str, Any] | None = None) -> Any:
    """The JSON answer to a GET, or to a POST where there is a body; HTTPError for anything but success."""
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, content, {"Content-Type": "application/json"})  # noqa: S310  loopback
    with urllib.request.urlopen(request, timeout=READY_S) as answer:  # noqa: S310  loopback
        return json.load(answer)


def _world(seed: int) -> tuple[Array, NDArray[np.int64]]:
    """Rows and labels of one world: the same rule, drawn anew."""
    source = np.random.default_rng(seed)
    rows = source.standard_normal((ROWS, FEATURES)).astype(np.float32)
    doubt = source.standard_normal(ROWS) * 0.5
    return rows, (rows @ np.linspace(-1, 1, FEATURES) + doubt > 0).astype(np.int64)


def _write(path: Path, rows: Array, labels: NDArray[np.int64]) -> None:
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow([*(f"x{place}" for place in range(FEATURES)), "label"])
        for row, label in zip(rows.tolist(), labels.tolist(), strict=True):
            out.writerow([*row, label])
