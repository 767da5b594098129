"""A version in memory without a worker around it."""

from collections.abc import Sequence
from pathlib import Path

from gateway.meters import ModelMeters
from gateway.model import LoadedModel
from gateway.session import Session
from gateway.warmup import UNKNOWN
from groundwork.counters import Counters
from registry_client.manifest import Manifest, digest_of


def opened(folder: Path, graph: bytes, *, classes: Sequence[str] = ()) -> LoadedModel:
    """The graph as version 1 of model `m`."""
    (folder / "model.onnx").write_bytes(graph)
    manifest = Manifest(name="m", version="1", digest=digest_of(b""), size=0, classes=tuple(classes))
    meters = ModelMeters(Counters.create(folder / "counters"), "m", "1")
    return LoadedModel(manifest, Session.open(folder / "model.onnx", title="m"), meters, UNKNOWN, -1)
