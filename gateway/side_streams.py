"""What no version was run for: the rejects and the labels of one worker, each beside the versions' streams.

Rejects have one stream, made with the worker; a model's labels have one of their own, opened in a thread when
the first label comes. Where the log has no room a label is refused, for its sender can keep it.
"""

from collections.abc import Sequence

from gateway.errors import LogFullError
from gateway.log_settings import JournalSettings
from gateway.pair_streams import PairStreams
from gateway.rejecting import row, texts
from gateway.stream import Stream, StreamSpec
from gateway.withholding import NOT_SHOWN, Policy
from groundwork.clock import Clock
from groundwork.slots import Slot
from prediction_log.ids import PredictionIds
from prediction_log.labels import LabelRow, label_columns
from prediction_log.record import Kind, label_schema, reject_schema


class SideStreams(PairStreams):
    """The streams of a worker's slot, and what is recorded of requests and labels that no run belongs to."""

    def __init__(
        self, slot: Slot, ids: PredictionIds, clock: Clock, settings: JournalSettings, reserve_bytes: int
    ) -> None:
        super().__init__(slot, Policy(settings.columns, ids), settings, reserve_bytes)
        self._ids = ids
        self._clock = clock
        self._rejected = self._meters.accepted[Kind.REJECT]
        self._rejects = self._open(StreamSpec(Kind.REJECT, reject_schema(""), settings.side_buffer_bytes))
        self._labels: dict[str, Stream] = {}

    def rejected(self, model: str, version: str, status: int, code: str, message: str, latency: int) -> bytes:
        """Record a request that no version was run for; returns its id."""
        stream, now = self._rejects, self._clock.now()
        identifier = self._ids.encode(self.incarnation, stream.number, stream.next_sequence())
        said = texts(code, NOT_SHOWN if self._policy.hides(model) else message, version, model)
        if stream.file is not None and stream.file.append_reject(identifier, now, latency, status, said):
            self._values[self._rejected] += 1
        else:
            self._append(stream, row(identifier, now, latency, status, said), 1, None)
        return identifier

    def open_labels(self, model: str) -> None:
        """Give the labels of a model their stream, once, however many threads ask for it."""
        with self._opening:
            if model not in self._labels:
                spec = StreamSpec(Kind.LABEL, label_schema(model), self._settings.side_buffer_bytes)
                self._labels[model] = self._open(spec)

    def has_labels(self, model: str) -> bool:
        """Whether `open_labels` was called for this model."""
        return model in self._labels

    def labelled(self, model: str, labels: Sequence[LabelRow]) -> None:
        """Record all of these labels, or none and raise LogFullError; `open_labels` was called."""
        stream, columns = self._labels[model], label_columns(labels)
        if stream.file is None or not stream.file.offer(columns, len(labels)):
            raise LogFullError(f"labels of {model}: the log has no room now; send them again in a moment")
        self._values[self._meters.accepted[stream.kind]] += len(labels)
