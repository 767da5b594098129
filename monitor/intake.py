"""What one frame of the log changes: counts, ledger, watches, incidents, events. No clock, no network.

Rules: what a frame changes depends on the state before it and on the frame, nothing else. A kind nobody knows
is counted and skipped. Only rows drawn by the sampling rate and answered by stable or candidate feed the
input detectors; labels of pinned answers are joined and counted, and judge no version.
"""

import bisect
import sqlite3
from collections import Counter
from collections.abc import Iterable
from typing import Final

import msgspec
import numpy as np

from monitor import metrics, notices, outbox, truth
from monitor.catalogue import Catalogue, Known
from monitor.columns import unwatched
from monitor.early_labels import Labelled
from monitor.events import Event
from monitor.incidents import Change
from monitor.ledger import Joined, Ledger, Predicted
from monitor.log_time import LogTime, Times
from monitor.losses import Losses
from monitor.pairings import Paired
from monitor.places import Places
from monitor.reach import Reach
from monitor.settings import MonitorSettings
from monitor.watch import Watch
from prediction_log.frame import Frame
from prediction_log.record import Arm, Kept, Kind, Outcome
from prediction_log.transport import Offset

_REVISIONS: Final = 2**63
_JUDGED: Final = frozenset({int(Arm.STABLE), int(Arm.CANDIDATE)})


class Intake:
    """The rules of the log, applied to the state that a Pipeline owns."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        settings: MonitorSettings,
        catalogue: Catalogue,
        ledger: Ledger,
        tally: metrics.Tally,
        time: LogTime,
        *,
        reach: Reach,
        places: Places,
    ) -> None:
        self._db = connection
        self._settings = settings
        self._catalogue = catalogue
        self._ledger = ledger
        self._tally = tally
        self._time = time
        self._reach = reach
        self._losses = Losses(reach, tally)
        self._places = places
        self.watches: dict[tuple[str, str], Watch] = {}
        self._of_model: dict[str, list[Watch]] = {}
        self.touched: set[tuple[str, str]] = set()
        self.reports: dict[str, str] = {}

    def add(self, watch: Watch) -> Watch:
        """Have a version watched from now on; the same watch."""
        self.watches[watch.model, watch.version] = watch
        bisect.insort(self._of_model.setdefault(watch.model, []), watch, key=lambda one: one.version)
        return watch

    def take(self, frame: Frame, offset: Offset, *, last: bool = True) -> None:
        """Everything that follows from one frame, or from a part of one, which may not be its `last`."""
        kind = Kind(frame.kind).name.lower() if frame.kind in set(Kind) else "unknown"
        of = {"model": frame.schema.model, "version": frame.schema.version, "kind": kind}
        self._tally.add(metrics.FRAMES, last, **of)
        self._tally.add(metrics.ROWS, frame.rows, **of)
        self._tally.add(metrics.LOST, frame.skipped, reason="slot", **of)
        if frame.kind == Kind.PREDICTION:
            self._predictions(frame, offset)
        elif frame.kind == Kind.PAIR:
            self._pairs(frame)
        elif frame.kind == Kind.LABEL:
            self._labels(frame, offset)
        elif frame.kind == Kind.DELETION:
            self._deletions(frame)
        elif frame.kind == Kind.LOSS:
            self._losses.take(frame)
        elif kind == "unknown":
            self._tally.add(metrics.BAD_FRAMES, 1, reason="unknown kind")
        self._reach.passed(offset if last else Offset(offset.segment, offset.row - 1), frame.rows)
        self._settle(frame)

    def _predictions(self, frame: Frame, offset: Offset) -> None:
        watch, known = self._watch(frame.schema.model, frame.schema.version, frame.schema.digest)
        arms = frame.array("arm")
        judged = (arms == Arm.STABLE) | (arms == Arm.CANDIDATE)
        chosen = np.flatnonzero(judged & (frame.array("kept") == Kept.SAMPLE))
        times = self._advance(frame)
        rows = self._answered(frame, known, times)
        watch.used = self._time.used
        watch.rows += frame.rows
        watch.unwatched = unwatched(frame.schema)
        of = {"model": watch.model, "version": watch.version}
        self._tally.add(metrics.INPUTS, frame.rows - len(chosen), use="not a sample", **of)
        use = "used" if watch.layout is not None else "no reference profile"
        self._tally.add(metrics.INPUTS, len(chosen), use=use if known.manifest else "no manifest", **of)
        if watch.layout is not None and known.manifest is not None and len(chosen):
            columns = msgspec.structs.replace(watch.layout.rows(frame, chosen), times=times[chosen])
            watch.note_traces(frame.array("trace_id")[chosen])
            self._note(watch, watch.feed_inputs(columns, offset.segment, offset.row))
        tally: Counter[str] = Counter()
        joined = self._ledger.add_predictions(watch.model, watch.version, rows, tally)
        self._joined(watch.model, joined, offset, tally)
        passed = self._ledger.pass_by(*self._places.span(frame), self._places.is_passed)
        for model, count in sorted(passed.items()):
            self._tally.add(metrics.LABELS, count, model=model, outcome="not drawn")

    def _answered(self, frame: Frame, known: Known, times: Times) -> list[Predicted]:
        """The rows that were answered, as the ledger keeps them."""
        identifiers = np.ascontiguousarray(frame.array("id"))
        clients = frame.strings("client_id")
        named = clients.tolist() if len(clients) and clients.offsets[-1] else [b""] * frame.rows
        columns = zip(
            self._places.keys(identifiers),
            frame.array("row").tolist(),
            [row.tobytes() for row in identifiers],
            named,
            frame.array("arm").tolist(),
            times.tolist(),
            truth.predictions(frame, known.manifest),
            frame.array("outcome").tolist(),
            strict=True,
        )
        return [Predicted(*row) for *row, outcome in columns if outcome == Outcome.OK]

    def _labels(self, frame: Frame, offset: Offset) -> None:
        identifiers = np.ascontiguousarray(frame.array("label_id"))
        rows = frame.array("row").tolist()
        columns = zip(
            self._places.keys(identifiers),
            rows,
            [row.tobytes() for row in identifiers],
            frame.strings("client_id").tolist(),
            truth.labels(frame),
            self._places.passed(identifiers, rows),
            strict=True,
        )
        self._advance(frame)
        tally: Counter[str] = Counter()
        joined: list[Joined] = []
        for row in columns:
            joined += self._ledger.add_label(frame.schema.model, Labelled(*row), tally)
        self._joined(frame.schema.model, joined, offset, tally)

    def _joined(self, model: str, joined: list[Joined], offset: Offset, tally: Counter[str]) -> None:
        """Feed labelled predictions to their versions, in the order they met."""
        for outcome, count in sorted(tally.items()):
            self._tally.add(metrics.LABELS, count, model=model, outcome=outcome)
        by_version: dict[str, list[Joined]] = {}
        for found in joined:
            by_version.setdefault(found.version, []).append(found)
        for version, rows in by_version.items():
            watch, known = self._watch(model, version)
            classes = truth.classes_of(known.manifest.classes if known.manifest is not None else ())
            strange = sum(row.value not in classes for row in rows) if classes else 0
            self._tally.add(metrics.UNKNOWN_CLASSES, strange, model=model, version=version)
            judged = [row for row in rows if row.arm in _JUDGED]
            self._note(watch, watch.feed_labels(judged, self._time.now, offset.segment, offset.row))

    def _pairs(self, frame: Frame) -> None:
        schema = frame.schema
        _, candidate = self._watch(schema.model, schema.version)
        _, stable = self._watch(schema.model, schema.partner)
        regression = truth.is_regression(candidate.manifest)
        if regression != truth.is_regression(stable.manifest):
            return  # a class and a number, or a manifest that cannot be read now: nothing to compare
        identifiers = np.ascontiguousarray(frame.array("id"))
        rows = zip(
            frame.array("revision").tolist(),
            self._places.keys(identifiers),
            frame.array("row").tolist(),
            [row.tobytes() for row in identifiers],
            frame.array("stable_outcome").tolist(),
            truth.answers(frame, stable.manifest, side="stable."),
            frame.array("candidate_outcome").tolist(),
            truth.answers(frame, candidate.manifest, side="candidate."),
            strict=True,
        )
        by_revision: dict[int, list[Paired]] = {}
        for revision, key, row, identifier, first, left, second, right in rows:
            sides = (left if first == Outcome.OK else None, right if second == Outcome.OK else None)
            # An answer without a class to compare proves nothing; a version that failed was wrong.
            failed = (first != Outcome.OK, second != Outcome.OK)
            comparable = failed == (sides[0] is None, sides[1] is None)
            if comparable and failed != (True, True) and revision < _REVISIONS:
                by_revision.setdefault(revision, []).append(Paired(key, row, identifier, *sides))
        for revision, pairs in by_revision.items():
            pairing = schema.model, revision, schema.partner, schema.version
            self._ledger.add_pairs(pairing, pairs, self._places.is_passed, regression=regression)

    def _deletions(self, frame: Frame) -> None:
        identifiers = np.ascontiguousarray(frame.array("id"))
        rows = frame.array("row").tolist()
        for key, identifier, row in zip(self._places.keys(identifiers), identifiers, rows, strict=True):
            self._ledger.delete(key, identifier.tobytes(), row)

    def _watch(self, model: str, version: str, digest: str = "") -> tuple[Watch, Known]:
        """The watch of a version, with what the registry says of it now."""
        known = self._catalogue.version(model, version, digest)
        watch = self.watches.get((model, version))
        if watch is None:
            watch = self.add(Watch(model, version, self._settings))
        if known.profile is not None and watch.layout is None:
            watch.attach(known.profile)
        if known.manifest is not None:
            watch.digest = known.manifest.digest
        watch.problem = known.problem
        self.touched.add((model, version))
        return watch, known

    def _advance(self, frame: Frame) -> Times:
        """Let the log's time pass; the frame's record times, as far as they can be believed."""
        times, held = self._time.take(frame.array("time"))
        self._tally.add(metrics.HELD, held, model=frame.schema.model, version=frame.schema.version)
        self._ledger.now = self._time.kept
        return times

    def _note(self, watch: Watch, changes: Iterable[Change]) -> None:
        """Write what happened to the incident, at the moment it happened."""
        for change in changes:
            incident = watch.incident
            if change == "none" or incident is None:
                continue
            self._tally.add(metrics.ALARMS, 1, change=change, model=watch.model, version=watch.version)
            if change == "opened":
                self.emit(notices.drift(watch, incident, "detected", self._settings))
            elif change == "resolved":
                self.emit(notices.drift(watch, incident, "resolved", self._settings))

    def _settle(self, frame: Frame) -> None:
        """After a frame: end what is idle, ask policy, forget what is old."""
        for model, count in sorted(self._ledger.expire().items()):
            self._tally.add(metrics.LABELS, count, model=model, outcome="unmatched")
        for watch in self._of_model.get(frame.schema.model, ()):
            if frame.kind == Kind.PREDICTION and watch.is_idle_at(self._time.used):
                watch.abandon("the version is not used any more")
                self.touched.add((watch.model, watch.version))
                self._note(watch, ["resolved"])
            if watch.incident is not None and watch.incident.state == "open":
                self._ask_policy(watch)

    def _ask_policy(self, watch: Watch) -> None:
        report = self.reports.get(watch.asked.event, "") if watch.asked else ""
        decision = watch.decide(report)
        self.touched.add((watch.model, watch.version))
        if decision.kind == "request" and watch.incident is not None:
            event = notices.retrain(watch, watch.incident, watch.asked, self._settings)
            watch.requested(event.id)
            self.emit(event)

    def emit(self, event: Event) -> None:
        """Write an event to the outbox, in the transaction of its cause."""
        source, webhooks = self._settings.source, self._settings.webhooks
        if outbox.append(self._db, event, source=source, webhooks=webhooks) is not None:
            self._tally.add(metrics.EVENTS, 1, type=event.type)
