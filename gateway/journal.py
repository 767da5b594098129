"""What this worker writes to the log: a stream per version, beside those for rejects, labels and pairs.

Rules:

1. Rows are appended on the event loop only; opening a stream allocates its file in full, so it belongs in a
   thread.
2. A prediction id names the incarnation, the stream and the sequence number of its first row, so an answer
   can carry the id of a row that is appended just after it was encoded.
3. Where a file cannot be allocated, the version serves unlogged and says so, and its answers still have ids.
   When there is room again the file is made (`retry`, `adopt`) and begins by telling what was lost.
4. Nothing here waits. Where both buffers of a file are full the row file counts the loss.
5. A version whose model is sampled records what is drawn (`prediction_log.sampling`), and besides it
   failures, candidates and what a shadow pair will follow; those are marked as no sample of the traffic.
6. A version that would write more than its share of `journal.max_rate` (`gateway.log_rate`) is sampled as
   well, unless somebody follows its rows in the log.

It does not know when buffers are flushed, or to where.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np

from gateway.inference import Array
from gateway.log_rate import Flow, LogRate
from gateway.log_settings import JournalSettings
from gateway.model import LoadedModel
from gateway.recording import PredictionPlan
from gateway.rejecting import cut
from gateway.run_settings import ANY_MODEL
from gateway.side_streams import SideStreams
from gateway.slot_streams import Large
from gateway.stream import Noted, Stream, StreamSpec
from groundwork.clock import Clock
from groundwork.slots import Slot
from prediction_log.ids import PredictionIds, StreamIds
from prediction_log.record import Arm, Kept, Kind, Outcome
from prediction_log.sampling import FULL as EVERYTHING
from prediction_log.sampling import is_drawn, threshold

# An enumeration's `value` costs a request 0.1 µs each.
_OK: Final = int(Outcome.OK)
_FAILED: Final = int(Outcome.FAILED)
_SAMPLE: Final = Kept.SAMPLE
_CLIENT_ID_BYTES: Final = 256


Filled = tuple[dict[str, Any], Any]
"""Columns of a request's tensors, and their validity."""


class PredictionStream(msgspec.Struct, frozen=True):
    """The stream of one version, its ids and which of them are drawn, and the plan of its columns.

    `rate` is what the settings say is drawn, `limit` the threshold of what is drawn now.
    """

    stream: Stream
    ids: StreamIds
    rate: float
    limit: int
    plan: PredictionPlan

    @property
    def bounded(self) -> bool:
        """Whether less is drawn than the settings say, for want of room."""
        return self.limit != threshold(self.rate)


class Journal(SideStreams):
    """The row files of one worker's slot, and what goes into them."""

    def __init__(
        self,
        slot: Slot,
        ids: PredictionIds,
        clock: Clock,
        settings: JournalSettings,
        *,
        reserve_bytes: int = 0,
    ) -> None:
        super().__init__(slot, ids, clock, settings, reserve_bytes)
        self._remarks: dict[tuple[str, str], list[str]] = {}
        self._predicted = self._meters.accepted[Kind.PREDICTION]
        self._predictions: dict[LoadedModel, PredictionStream] = {}
        self._log_rate = LogRate(settings.max_rate)
        self._followed: set[LoadedModel] = set()

    @property
    def frame_bytes(self) -> int:
        """How large a frame of predictions is at most, but for requests that are larger by themselves."""
        return self._settings.buffer_bytes

    def faults(self) -> dict[tuple[str, str], str]:
        """The versions that serve unlogged, and why: (model, version) to one line."""
        held = list(self._predictions.items())
        return {
            (loaded.name, loaded.version): stream.stream.unlogged
            for loaded, stream in held
            if stream.stream.unlogged
        }

    def remarks(self) -> list[str]:
        """What is not recorded as somebody may expect, one line each."""
        policy = [line for lines in list(self._remarks.values()) for line in lines]
        bounded = [
            f"{loaded.name} {loaded.version}: its predictions would write more than journal.max_rate "
            f"({self._settings.max_rate} bytes a second) has room for: an even sample of them is recorded"
            for loaded, prediction in list(self._predictions.items())
            if prediction.bounded
        ]
        strange = [
            f"{loaded.name} {loaded.version}: output {name!r} has not the shape that its graph says, and is "
            "recorded as missing; correct the graph and publish it anew"
            for loaded, prediction in list(self._predictions.items())
            for name in sorted(prediction.plan.strange)
        ]
        return [*self.unlogged(), *dict.fromkeys(policy), *bounded, *strange]

    def open(self, loaded: LoadedModel) -> None:
        """Give a version its stream; where the disk has no room it serves unlogged."""
        settings = self._settings
        columns = (*loaded.inputs.values(), *loaded.outputs)
        plan = PredictionPlan(loaded, settings.max_row_bytes, self._policy.of(loaded.name, columns))
        rate = settings.sampling.get(loaded.name, settings.sampling.get(ANY_MODEL, 1.0))
        stream = self._open(StreamSpec(Kind.PREDICTION, plan.schema, settings.buffer_bytes, rate))
        self._remarks[loaded.name, loaded.version] = self._policy.remarks(loaded.name, columns)
        ids = StreamIds(self._ids, self.incarnation, stream.number)
        self._predictions[loaded] = PredictionStream(stream, ids, rate, threshold(rate), plan)

    def close(self, loaded: LoadedModel) -> None:
        """End the streams of a released version; a file leaves when what it holds is in the log."""
        self._close_pairs(loaded)
        self._remarks.pop((loaded.name, loaded.version), None)
        if loaded in self._predictions:
            self._end(self._predictions.pop(loaded).stream)

    def bound(self, now: float) -> None:
        """Draw as much of each version as `journal.max_rate` has room for; `now` in monotonic seconds.

        Some 2 µs a version, five times a second; called as often as anybody likes.
        """
        if not self._log_rate.due(now):
            return
        flows = {
            loaded: Flow(each.stream.number, each.stream.next_sequence(), each.stream.row_bytes * each.rate)
            for loaded, each in list(self._predictions.items())
            if loaded not in self._followed
        }
        shares = self._log_rate.look(now, flows.values())
        for loaded, flow in flows.items():
            self._draw(loaded, shares[flow.stream])

    def _draw(self, loaded: LoadedModel, share: float) -> None:
        """Record this share of what the settings say from here on."""
        prediction = self._predictions[loaded]
        limit = threshold(prediction.rate * share)
        if limit != prediction.limit:
            self._predictions[loaded] = msgspec.structs.replace(prediction, limit=limit)
            prediction.stream.thin(prediction.rate * share)

    def follow(self, loaded: LoadedModel, *, followed: bool) -> None:
        """Whether somebody needs every row of this version in the log: then it is not bounded."""
        (self._followed.add if followed else self._followed.discard)(loaded)

    def identify(self, loaded: LoadedModel) -> bytes:
        """The id of the request whose rows this version records next. A fifth of a microsecond."""
        prediction = self._predictions[loaded]
        return prediction.ids.at(prediction.stream.next_sequence())

    def predicted(
        self,
        loaded: LoadedModel,
        noted: Noted,
        feeds: Mapping[str, Array],
        outputs: Sequence[Array] | None,
        rows: int,
        kept: Kept = _SAMPLE,
        *,
        paired: bool = False,
    ) -> None:
        """Record a run, one row per instance; `outputs` is None when it failed.

        `paired` says that a shadow pair follows, so that the row is wanted whatever the draw.
        """
        prediction = self._predictions[loaded]
        if kept is _SAMPLE and self._quickly(prediction, noted, feeds, outputs, rows):
            return
        columns = self._columns(prediction, noted, rows, kept, always=paired or outputs is None)
        if columns is None:
            prediction.stream.skip(rows)
            self._values[loaded.meters.not_drawn] += rows
            return
        validity = prediction.plan.fill(columns, feeds, outputs, rows)
        columns["outcome"] = _FAILED if outputs is None else _OK
        # Where a candidate failed, stable's row is the one of the answer.
        promised = outputs is not None or noted.arm is not Arm.CANDIDATE
        self._append(prediction.stream, columns, rows, validity, promised=promised)
        if prediction.plan.withholds:
            self._values[loaded.meters.withheld] += rows

    def stream(self, loaded: LoadedModel) -> int:
        """The number of the stream that a version's predictions go to."""
        return self._predictions[loaded].stream.number

    def standing(self, loaded: LoadedModel) -> int:
        """The sequence number that the next row of a version's predictions gets."""
        return self._predictions[loaded].stream.next_sequence()

    def flushed(self, loaded: LoadedModel) -> bool:
        """Whether all predictions of a version are in the log that will ever be."""
        file = self._predictions[loaded].stream.file
        return file is None or file.empty

    def keeps_whole(self, loaded: LoadedModel) -> bool:
        """Whether the log has every request of this version with all its values as they were."""
        prediction = self._predictions[loaded]
        whole = prediction.plan.quick is not None and prediction.limit == EVERYTHING
        return whole and prediction.stream.file is not None

    def plan(self, loaded: LoadedModel) -> PredictionPlan:
        """What is recorded of a version's tensors; its `fill` may run in a thread."""
        return self._predictions[loaded].plan

    def begin(self, loaded: LoadedModel, noted: Noted, filled: Filled, rows: int, *, paired: bool) -> Large:
        """Record a run that did not fail and whose tensors `filled` holds; `Large.write` it, then `end`."""
        prediction, (values, validity) = self._predictions[loaded], filled
        columns = self._columns(prediction, noted, rows, _SAMPLE, always=paired)
        if columns is None:
            prediction.stream.skip(rows)
            self._values[loaded.meters.not_drawn] += rows
            return Large(prediction.stream, noted.identifier, rows)
        columns |= values
        columns["outcome"] = _OK
        if prediction.plan.withholds:
            self._values[loaded.meters.withheld] += rows
        file = prediction.stream.file
        begun = None if file is None else file.begin_large(columns, rows, validity)
        if begun is None:
            self._append(prediction.stream, columns, rows, validity)
        return Large(prediction.stream, noted.identifier, rows, begun)

    def end(self, large: Large, *, wanted: bool) -> None:
        """Let the log have what was written, where somebody still wants the answer."""
        self._end_large(large, wanted=wanted)

    def _columns(
        self, prediction: PredictionStream, noted: Noted, rows: int, kept: Kept, *, always: bool
    ) -> dict[str, Any] | None:
        """What is recorded of a request beside its tensors and its outcome; None where it was not drawn."""
        if prediction.limit != EVERYTHING and not is_drawn(noted.identifier, prediction.limit):
            if not (always or noted.arm is Arm.CANDIDATE):
                return None
            kept = Kept.ALWAYS
        columns: dict[str, Any] = {
            "id": noted.identifier,
            "row": 0 if rows == 1 else np.arange(rows, dtype=np.uint32),
            "time": noted.time,
            "arm": int(noted.arm),
            "revision": noted.revision,
            "latency": noted.latency,
            "kept": int(kept),
            "trace_id": noted.trace_id,
        }
        if noted.client_id:
            columns["client_id"] = cut(noted.client_id, _CLIENT_ID_BYTES)
        return columns

    def _quickly(
        self,
        prediction: PredictionStream,
        noted: Noted,
        feeds: Mapping[str, Array],
        outputs: Sequence[Array] | None,
        rows: int,
    ) -> bool:
        """Record rows the short way; False, and nothing done, where something about them is not plain."""
        quick, file = prediction.plan.quick, prediction.stream.file
        if quick is None or file is None or outputs is None or noted.client_id:
            return False
        if prediction.limit != EVERYTHING and not is_drawn(noted.identifier, prediction.limit):
            return False
        values: Sequence[bytes | memoryview] | None
        values = quick.values(feeds, outputs) if rows == 1 else quick.many(feeds, outputs, rows)
        meta = noted.identifier, noted.time, noted.arm, noted.revision, noted.latency, noted.trace_id
        if values is None or not file.append_quick(meta, values, rows):
            return False
        self._values[self._predicted] += rows
        return True
