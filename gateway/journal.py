"""What this worker writes to the log: a stream per version, and others for rejects, labels and pairs.

Rules:

1. Rows are appended on the event loop only; opening a stream allocates its file in full, so it belongs in a
   thread.
2. A prediction id names the incarnation, the stream and the sequence number of its first row, so an answer
   can carry the id of a row that is appended just after it was encoded.
3. Where a file cannot be allocated, the version serves unlogged and says so, and its answers still have ids.
4. Nothing here waits. Where both buffers of a file are full the row file counts the loss; only a label is
   refused instead, for its sender can keep it.

It does not know when buffers are flushed, or to where.
"""

import itertools
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np

from gateway.errors import LogFullError
from gateway.inference import Array
from gateway.meters import LogMeters
from gateway.model import LoadedModel
from gateway.recording import PairPlan, PredictionPlan, capacity
from gateway.settings import JournalSettings
from groundwork.clock import Clock
from groundwork.errors import NoRoomError
from groundwork.slots import Slot
from prediction_log.ids import PredictionIds
from prediction_log.labels import LabelRow, label_columns
from prediction_log.record import Arm, Kept, Kind, Outcome, Schema, label_schema, reject_schema
from prediction_log.rows import FULL, OVERSIZED, SUFFIX, RowFile

NO_TRACE: Final = bytes(16)
_MESSAGE_BYTES: Final = 500
_NAME_BYTES: Final = 100
_CLIENT_ID_BYTES: Final = 256


class Stream:
    """One stream of rows: its number, and its file where there was room for one (`unlogged` says why not)."""

    def __init__(self, kind: Kind, number: int, file: RowFile | None, unlogged: str = "") -> None:
        self.kind = kind
        self.number = number
        self.file = file
        self.unlogged = unlogged
        self.lost = 0
        self._given = 0

    def next_sequence(self) -> int:
        """The sequence number that the next row gets, logged or not."""
        return self._given if self.file is None else self.file.next_sequence

    def pass_by(self, rows: int) -> None:
        """Use up the sequence numbers of rows that have no file."""
        self._given += rows


class PredictionStream(msgspec.Struct, frozen=True):
    """The stream of one version, and the plan of its columns."""

    stream: Stream
    plan: PredictionPlan


class Noted(msgspec.Struct, frozen=True, gc=False):
    """What is recorded of a request whatever came of it; `time` in unix ns, `latency` in whole µs."""

    identifier: bytes
    time: int
    latency: int
    arm: Arm
    revision: int
    client_id: str | None = None
    trace_id: bytes = NO_TRACE


class Journal:
    """The row files of one worker's slot."""

    def __init__(self, slot: Slot, ids: PredictionIds, clock: Clock, settings: JournalSettings) -> None:
        self._slot = slot
        self._encode_id = ids.encode
        self.incarnation = slot.incarnation
        self._clock = clock
        self._settings = settings
        self._numbers = itertools.count(1)
        self._streams: dict[int, Stream] = {}
        self._closing: list[Stream] = []
        self._opening = threading.Lock()
        self._meters = LogMeters(slot.counters)
        self._values = slot.counters.values
        self._predictions: dict[LoadedModel, PredictionStream] = {}
        self._pairs: dict[tuple[LoadedModel, LoadedModel], tuple[Stream, PairPlan]] = {}
        self._labels: dict[str, Stream] = {}
        self._rejects = self._open(Kind.REJECT, reject_schema(""), settings.side_buffer_bytes)

    def files(self) -> list[RowFile]:
        """Every row file that may hold rows, for the flusher."""
        for stream in [stream for stream in self._closing if stream.file is None or stream.file.empty]:
            self._closing.remove(stream)
            del self._streams[stream.number]
            if stream.file is not None:
                stream.file.path.unlink(missing_ok=True)
        return [stream.file for stream in list(self._streams.values()) if stream.file is not None]

    def unlogged(self) -> list[str]:
        """Why which streams have no file, one line each; empty when all is logged."""
        return [stream.unlogged for stream in list(self._streams.values()) if stream.unlogged]

    def open(self, loaded: LoadedModel) -> None:
        """Give a version its stream; where the disk has no room it serves unlogged."""
        plan = PredictionPlan(loaded, self._settings.max_row_bytes)
        stream = self._open(Kind.PREDICTION, plan.schema, self._settings.buffer_bytes)
        self._predictions[loaded] = PredictionStream(stream, plan)

    def open_pairs(self, stable: LoadedModel, candidate: LoadedModel) -> None:
        """Give the shadow pairs of two versions their stream, once."""
        if (stable, candidate) not in self._pairs:
            plan = PairPlan(stable, candidate)
            stream = self._open(Kind.PAIR, plan.schema, self._settings.side_buffer_bytes)
            self._pairs[stable, candidate] = (stream, plan)

    def open_labels(self, model: str) -> None:
        """Give the labels of a model their stream, once."""
        if model not in self._labels:
            self._labels[model] = self._open(
                Kind.LABEL, label_schema(model), self._settings.side_buffer_bytes
            )

    def has_labels(self, model: str) -> bool:
        """Whether `open_labels` was called for this model."""
        return model in self._labels

    def close(self, loaded: LoadedModel) -> None:
        """End the streams of a released version; a file leaves when what it holds is in the log."""
        for pair in [pair for pair in self._pairs if loaded in pair]:
            self._closing.append(self._pairs.pop(pair)[0])
        if loaded in self._predictions:
            self._closing.append(self._predictions.pop(loaded).stream)

    def identify(self, loaded: LoadedModel) -> bytes:
        """The id of the request whose rows this version records next. About a microsecond."""
        return self._identify(self._predictions[loaded].stream)

    def predicted(
        self,
        loaded: LoadedModel,
        noted: Noted,
        feeds: Mapping[str, Array],
        outputs: Sequence[Array] | None,
        rows: int,
        kept: Kept = Kept.SAMPLE,
    ) -> None:
        """Record a run, one row per instance; `outputs` is None when it failed."""
        columns: dict[str, Any] = {
            "id": noted.identifier,
            "row": 0 if rows == 1 else np.arange(rows, dtype=np.uint32),
            "time": noted.time,
            "arm": noted.arm.value,
            "revision": noted.revision,
            "outcome": Outcome.FAILED.value if outputs is None else Outcome.OK.value,
            "latency": noted.latency,
            "kept": kept.value,
            "trace_id": noted.trace_id,
        }
        if noted.client_id:
            columns["client_id"] = _cut(noted.client_id, _CLIENT_ID_BYTES)
        prediction = self._predictions[loaded]
        validity = prediction.plan.fill(columns, feeds, outputs, rows)
        self._append(prediction.stream, columns, rows, validity)
        if prediction.plan.withholds:
            self._values[loaded.meters.withheld] += rows

    def rejected(self, model: str, version: str, status: int, code: str, message: str, latency: int) -> bytes:
        """Record a request that no version was run for; returns its id."""
        identifier = self._identify(self._rejects)
        columns = {
            "id": identifier,
            "time": self._clock.now(),
            "outcome": Outcome.REJECTED.value,
            "latency": latency,
            "kept": Kept.ALWAYS.value,
            "status": status,
            "code": code.encode(),
            "message": _cut(message, _MESSAGE_BYTES),
            "model": _cut(model, _NAME_BYTES),
            "version": _cut(version, _NAME_BYTES),
        }
        self._append(self._rejects, columns, 1, None)
        return identifier

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
        self._append(stream, columns, rows, validity)

    def labelled(self, model: str, labels: Sequence[LabelRow]) -> None:
        """Record all of these labels, or none and raise LogFullError; `open_labels` was called."""
        stream, columns = self._labels[model], label_columns(labels)
        if stream.file is None or not stream.file.takes(columns, len(labels)):
            raise LogFullError(f"labels of {model}: the log has no room now; send them again in a moment")
        self._append(stream, columns, len(labels), None)

    def _identify(self, stream: Stream) -> bytes:
        return self._encode_id(self.incarnation, stream.number, stream.next_sequence())

    def _append(self, stream: Stream, columns: Mapping[str, Any], rows: int, validity: Any) -> None:
        file = stream.file
        if file is None:
            stream.pass_by(rows)
            self._values[self._meters.lost[stream.kind]] += rows
            return
        file.append(columns, rows, validity)
        lost = file.lost_by[FULL] + file.lost_by[OVERSIZED]
        if lost == stream.lost:
            self._values[self._meters.accepted[stream.kind]] += rows
        else:
            stream.lost = lost
            self._values[self._meters.lost[stream.kind]] += rows

    def _open(self, kind: Kind, schema: Schema, buffer_bytes: int) -> Stream:
        with self._opening:
            number = next(self._numbers)
            try:
                stream = Stream(kind, number, self._create(kind, number, schema, buffer_bytes))
            except NoRoomError as error:
                title = f"{schema.model} {schema.version} {kind.name.lower()}s".strip()
                stream = Stream(kind, number, None, f"{title} are not logged: {error}")
            self._streams[number] = stream
            return stream

    def _create(self, kind: Kind, number: int, schema: Schema, buffer_bytes: int) -> RowFile:
        rows, arena = capacity(schema, buffer_bytes)
        return RowFile.create(
            self._slot.folder / f"{number}{SUFFIX}",
            kind=kind,
            incarnation=self.incarnation,
            stream=number,
            schema=schema,
            row_capacity=rows,
            arena_bytes=arena,
        )


def _cut(text: str, size: int) -> bytes:
    """UTF-8 of the text, at most `size` bytes."""
    return text.encode("utf-8", "replace")[:size]
