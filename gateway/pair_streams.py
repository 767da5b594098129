"""The shadow pairs of one worker: a stream for every two versions, opened when the first pair comes.

A pair says what both versions gave for a row, and nothing of what was asked. Opening a stream allocates its
file and belongs in a thread; all else belongs to the event loop and waits for nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gateway.inference import Array
from gateway.log_settings import JournalSettings
from gateway.model import LoadedModel
from gateway.pair_recording import PairPlan
from gateway.recording import capacity
from gateway.slot_streams import SlotStreams
from gateway.stream import Noted, Stream, StreamSpec
from gateway.withholding import Policy
from groundwork.slots import Slot
from prediction_log.record import Arm, Kind, Outcome

_OK = int(Outcome.OK)


class PairStreams(SlotStreams):
    """The streams of a worker's slot, and what is recorded of two versions beside one another."""

    def __init__(self, slot: Slot, policy: Policy, settings: JournalSettings, reserve_bytes: int) -> None:
        super().__init__(slot, reserve_bytes)
        self._policy = policy
        self._settings = settings
        self._paired = self._meters.accepted[Kind.PAIR]
        self._pairs: dict[tuple[LoadedModel, LoadedModel], tuple[Stream, PairPlan]] = {}

    def open_pairs(self, stable: LoadedModel, candidate: LoadedModel) -> None:
        """Give the shadow pairs of two versions their stream, once, however many threads ask for it."""
        with self._opening:
            if (stable, candidate) not in self._pairs:
                plan = PairPlan(stable, candidate, self._policy.of(stable.name, stable.outputs))
                stream = self._open(StreamSpec(Kind.PAIR, plan.schema, self._settings.side_buffer_bytes))
                self._pairs[stable, candidate] = (stream, plan)

    def paired(
        self,
        pair: tuple[LoadedModel, LoadedModel],
        noted: Noted,
        stable: Sequence[Array] | None,
        candidate: Sequence[Array] | None,
        rows: int,
    ) -> None:
        """Record both sides of a shadow pair (stable, candidate); None stands for a run that failed."""
        stream, plan = self._pairs[pair]
        columns: dict[str, Any] = {
            "id": noted.identifier,
            "row": 0 if rows == 1 else np.arange(rows, dtype=np.uint32),
            "time": noted.time,
            "revision": noted.revision,
            "answered_by": noted.arm.value,
            "stable_outcome": (Outcome.OK if stable is not None else Outcome.FAILED).value,
            "candidate_outcome": (Outcome.OK if candidate is not None else Outcome.FAILED).value,
        }
        validity = plan.fill(columns, stable, candidate, rows)
        self._append(stream, columns, rows, validity, promised=False)

    def pairs_at_once(self, pair: tuple[LoadedModel, LoadedModel]) -> int:
        """How many rows of a pair's stream may be recorded where it `has_room`: a quarter of a buffer."""
        schema = self._pairs[pair][1].schema
        return capacity(schema, self._settings.side_buffer_bytes)[0] // 4

    def has_room(self, pair: tuple[LoadedModel, LoadedModel]) -> bool:
        """Whether so many are recorded now without loss; where the stream has no file, nothing is to gain."""
        file = self._pairs[pair][0].file
        return file is None or not (file.full_enough and file.waits)

    def paired_rows(
        self,
        pair: tuple[LoadedModel, LoadedModel],
        answered_by: Arm,
        meta: Mapping[str, Array],
        stable: Sequence[Array],
        candidate: Sequence[Array],
    ) -> None:
        """Record pairs whose runs were all well, of any number of requests.

        `meta` has their `id`, `row`, `time` and `revision`. Some 20 µs and a copy.
        """
        stream, plan = self._pairs[pair]
        columns: dict[str, Any] = {
            **meta, "answered_by": answered_by.value, "stable_outcome": _OK, "candidate_outcome": _OK
        }  # fmt: skip
        rows = len(meta["row"])
        validity = plan.fill(columns, stable, candidate, rows)
        self._append(stream, columns, rows, validity, promised=False)

    def paired_plainly(
        self,
        pair: tuple[LoadedModel, LoadedModel],
        noted: Sequence[Noted],
        stable: Sequence[Sequence[Array]],
        candidate: Sequence[Sequence[Array]],
    ) -> bool:
        """Record pairs of one row each, both runs well; False, and nothing done, where one is not plain."""
        stream, plan = self._pairs[pair]
        values = None if stream.file is None else plan.plainly(stable, candidate)
        if values is None or stream.file is None:
            return False
        meta = (
            [one.identifier for one in noted],
            [one.time for one in noted],
            [one.revision for one in noted],
            [one.arm for one in noted],
        )
        if not stream.file.append_pairs(meta, values):
            return False
        self._values[self._paired] += len(noted)
        return True

    def _close_pairs(self, loaded: LoadedModel) -> None:
        """End the streams of all pairs that a released version is one of."""
        for pair in [pair for pair in list(self._pairs) if loaded in pair]:
            self._end(self._pairs.pop(pair)[0])
