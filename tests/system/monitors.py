"""A real monitor process over a data folder, and a model whose drift it can tell.

The model `m` (x float32 [-1, 4] → label) is published with a profile of the very rows that are sent, so that
undisturbed traffic is its reference, however few rows there are.
"""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
import numpy as np

from monitor import metrics
from monitor.store import load_fact, open_store
from registry_client.directory import DirectoryRegistry
from registry_client.manifest import Manifest, digest_of
from registry_client.profile import encode, identify
from registry_client.profiling import build_profile
from tests import models
from tests.monitor import worlds
from tests.system.program import Program

WIDTH: Final = 4
TRUE: Final = 1
"""What every label says: half of the reference rows are answered with it, of the drifted ones few."""
PATIENCE: Final = 120.0
"""Who asks waits for the end of a round, which gives way to everybody on the machine."""

_ROWS: Final = 512
_WAY: Final = np.random.default_rng(7).normal(size=WIDTH)
"""The direction in which `models.logistic` looks."""


class Bodies(msgspec.Struct, frozen=True):
    """Requests of one row each: as in the reference, and all of them moved by two standard deviations."""

    usual: tuple[bytes, ...]
    drifted: tuple[bytes, ...]


def publish(folder: Path, *versions: str, classes: tuple[str, ...] = ()) -> Bodies:
    """Publish versions of `m`, each with its reference profile and risk; what to send to it."""
    rows = np.random.default_rng(1).normal(size=(_ROWS, WIDTH)).astype("<f4")
    model = models.logistic(WIDTH)
    reference = np.tile(rows, (8, 1))
    said = (reference @ _WAY > 0).astype(np.int64)
    profile = build_profile(
        {"x": reference}, {}, labels=np.full(len(said), TRUE), predictions=said, held_out=True
    )
    for version in versions:
        content = encode(identify(profile, model="m", version=version, digest=digest_of(model)))
        manifest = Manifest(
            name="m",
            version=version,
            digest=digest_of(model),
            size=len(model),
            task="classification",
            label_output="label",
            classes=classes,
            profile_digest=digest_of(content),
        )
        DirectoryRegistry(folder).publish(manifest, model, content)
    moved = rows - (2 * _WAY / np.linalg.norm(_WAY)).astype("<f4")
    return Bodies(tuple(map(body, rows)), tuple(map(body, moved)))


def body(row: np.ndarray) -> bytes:
    """A request of one row."""
    tensor = {"name": "x", "shape": [1, WIDTH], "datatype": "FP32", "data": row.tolist()}
    return msgspec.json.encode({"inputs": [tensor]})


def counted(data: Path) -> int:
    """How many prediction rows the monitor of this folder had counted at its last checkpoint, ever."""
    with contextlib.closing(open_store(data, readonly=True)) as connection:
        kept = load_fact(connection, "tally")
    tally = metrics.Tally()
    assert kept is not None
    tally.restore(kept)
    rows = [
        value
        for key, value in tally.counts.items()
        if key.name == metrics.ROWS and ("kind", "prediction") in key.labels
    ]
    return sum(rows)


class Monitor(Program):
    """One `python -m monitor` over `data`; its settings, ready file and output lie in `folder`."""

    def __init__(self, folder: Path, data: Path, registry: Path, **changes: Any) -> None:
        self.data = data
        settings = worlds.settings(data=str(data), models=str(registry), port=0, poll=0.05, **changes)
        super().__init__("monitor", folder, settings)
        self.url = ""

    async def start(self, environ: Mapping[str, str] | None = None) -> None:
        """Start it and wait until it answers."""
        self.url = (await self.ready(environ))["monitor"]

    def status(self) -> Any:
        """GET /v1/status."""
        answer = httpx.get(f"{self.url}/v1/status", trust_env=False, timeout=PATIENCE)
        assert answer.is_success, answer.text
        return answer.json()

    def total(self, name: str) -> float:
        """The sum of a metric over all its labels."""
        text = httpx.get(f"{self.url}/metrics", trust_env=False, timeout=PATIENCE).text
        found = [line for line in text.splitlines() if line.startswith((f"{name}{{", f"{name} "))]
        return sum(float(line.split()[-1]) for line in found)

    def rows(self) -> int:
        """How many predictions it has counted, ever."""
        return sum(found["rows"] for found in self.status()["versions"])
