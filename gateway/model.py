"""A version that is loaded and can answer: its manifest, its graph, its tensors, and what it is busy with.

Rules: what is loaded never changes; `in_flight`, and the places where the journal and the meters hang their
own state (`stream`, `meters`), are touched on the event loop of one worker only. The session alone may be
run from threads.
"""

from typing import TYPE_CHECKING

import msgspec

from gateway.errors import IncompatibleSignatureError
from gateway.session import Session
from gateway.tensors import Tensor
from registry_client.manifest import Manifest

if TYPE_CHECKING:  # both hang their state here; neither is needed to define it
    from gateway.journal import PredictionStream
    from gateway.meters import ModelMeters


class Cost(msgspec.Struct, frozen=True):
    """What a run was measured to cost at load, in seconds: `fixed` + `per_row` * rows; inf when unknown."""

    fixed: float
    per_row: float

    def rows_within(self, seconds: float) -> int:
        """The most rows whose run is expected to take no longer than `seconds`; -1 when not even none."""
        if self.fixed > seconds:
            return -1
        return 1 << 40 if self.per_row <= 0 else int((seconds - self.fixed) / self.per_row)


class LoadedModel:
    """One version in memory; made by the fleet, given to lanes, released by the fleet."""

    def __init__(self, manifest: Manifest, session: Session, cost: Cost, inline_rows: int) -> None:
        self.manifest = manifest
        self.session = session
        self.cost = cost
        self.inline_rows = inline_rows
        self.name = manifest.name
        self.version = manifest.version
        self.digest = manifest.digest
        self.signature = session.signature
        self.inputs = {spec.name: Tensor(spec) for spec in self.signature.inputs}
        self.outputs = tuple(Tensor(spec) for spec in self.signature.outputs)
        self.output_index = {spec.name: index for index, spec in enumerate(self.signature.outputs)}
        self.batched = all(tensor.batched for tensor in self.inputs.values())
        self.label_output = manifest.label_output
        self.score_output = manifest.score_output
        self.in_flight = 0
        self.stream: PredictionStream | None = None
        self.meters: ModelMeters | None = None

    def __repr__(self) -> str:
        return f"<{self.name} version {self.version}>"


def check_compatible(older: LoadedModel, newer: LoadedModel) -> None:
    """IncompatibleSignatureError when `newer` would not accept every request that `older` accepts."""
    reason = older.signature.incompatibility(newer.signature)
    if reason is not None:
        raise IncompatibleSignatureError(
            f"model {newer.name} version {newer.version} cannot stand in for {older.version}: {reason}"
        )
