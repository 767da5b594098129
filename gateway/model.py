"""A version that is loaded and can answer: its manifest, its graph, its tensors, and what it is busy with.

Rules: what is loaded never changes; only who holds on to it does, on the event loop of one worker. The
session alone may be run from threads.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from gateway.batching import Batcher
from gateway.bulk import MOST_BINARY_ROWS, check_rows
from gateway.errors import IncompatibleSignatureError, InvalidInputError
from gateway.inference import Array
from gateway.meters import ModelMeters
from gateway.schedule import Schedule
from gateway.session import Session
from gateway.tensors import Tensor
from gateway.warmup import Cost
from registry_client.manifest import Manifest
from registry_client.signature import Datatype

UNSTUDIED: Final = Schedule()
_NO_JSON: Final = frozenset({Datatype.FP16, Datatype.BF16})
_MILLISECOND: Final = 1_000_000


class LoadedModel:
    """One version in memory; made by the fleet, given to lanes, released by the fleet.

    `inline_rows`: the most rows whose run may stay on the event loop (-1: none); `schedule` is the choice
    that this follows. `size` are the bytes of its file, `since` says when it was loaded (unix ns). `batcher`
    runs the rest, and is made when there is something to run.
    """

    def __init__(
        self,
        manifest: Manifest,
        session: Session,
        meters: ModelMeters,
        cost: Cost,
        inline_rows: int,
        schedule: Schedule = UNSTUDIED,
    ) -> None:
        self.manifest = manifest
        self.session = session
        self.meters = meters
        self.cost = cost
        self.inline_rows = inline_rows
        self.schedule = schedule
        self.batcher: Batcher | None = None
        self.overruns = 0
        self.name = manifest.name
        self.version = manifest.version
        self.digest = manifest.digest
        self.signature = session.signature
        self.inputs = {spec.name: Tensor(spec) for spec in self.signature.inputs}
        tensors = [tensor for tensor in self.inputs.values() if tensor.datatype not in _NO_JSON]
        self.only = tensors[0] if len(tensors) == len(self.inputs) == 1 else None
        """Its input, where it has no other and JSON carries it."""
        leaves = {tensor.leaf for tensor in self.inputs.values()}
        self.leaf = leaves.pop() if len(leaves) == 1 else None
        """What JSON elements of every input are, where all inputs are alike in that."""
        self.outputs = tuple(Tensor(spec) for spec in self.signature.outputs)
        self.output_index = {spec.name: index for index, spec in enumerate(self.signature.outputs)}
        self.batched = all(tensor.batched for tensor in self.inputs.values())
        self.label_output = manifest.label_output
        self.score_output = manifest.score_output
        self.answers: dict[str, tuple[bytes, tuple[bytes, ...]]] = {}
        """Arm to what every plain answer of this version has in common; kept here by what writes them."""
        self.binaries: dict[bytes, Any] = {}
        """The JSON of requests in binary to what it means; kept here by what reads them."""
        self.size = manifest.size
        self.since = 0
        self._holders = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def used(self, now: int) -> int:
        """When a request last used it, or else when it was loaded (unix ns; 0 where nobody knows at `now`).

        A time to come is from before the clock was set back, and says nothing.
        """
        times = (self.since, self.meters.last_answer() * _MILLISECOND)
        return max((time for time in times if time <= now), default=0)

    def hold(self) -> None:
        """A run begins that lasts beyond this turn of the loop."""
        self._holders += 1
        self._idle.clear()

    def let_go(self) -> None:
        """Such a run has ended."""
        self._holders -= 1
        if not self._holders:
            self._idle.set()

    async def idle(self) -> None:
        """Wait until no run holds on to this version."""
        await self._idle.wait()

    def __repr__(self) -> str:
        return f"<{self.name} version {self.version}>"


def rows_of(model: LoadedModel, feeds: Mapping[str, Array]) -> int:
    """The length of the batch axis, which all inputs share.

    InvalidInputError where they do not, TooLargeError where it is too long.
    """
    if not model.batched:
        return 1
    rows = 0
    for array in feeds.values():
        length = len(array)
        if rows not in (0, length):
            raise InvalidInputError(f"inputs disagree on the number of rows: {rows} and {length}; wanted one")
        rows = length
    check_rows(rows, MOST_BINARY_ROWS)
    return rows


def check_compatible(older: LoadedModel, newer: LoadedModel) -> None:
    """IncompatibleSignatureError when `newer` would not accept every request that `older` accepts."""
    reason = older.signature.incompatibility(newer.signature)
    if reason is not None:
        raise IncompatibleSignatureError(
            f"model {newer.name} version {newer.version} cannot stand in for {older.version}: {reason}"
        )
