"""One version under watch: what is measured of it, its accuracy, incident and requests, as one state.

Rule: everything here follows from the rows fed and the state restored; nothing reads a clock, a file or a
database.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from groundwork import decoders
from monitor.accuracy import LabelAccuracy
from monitor.blocks import PRESENT, Block, Mark, Rows
from monitor.columns import Layout
from monitor.detectors.detector import Detector
from monitor.evidence import NONE, Named, Shares, localise
from monitor.incidents import Change, Finding, Incident, Reading, abandon, consider
from monitor.instruments import Instruments
from monitor.label_times import LabelTimes, Seconds
from monitor.ledger import Joined
from monitor.log_time import NEAR, later
from monitor.policy import Asked, Decision, decide
from monitor.settings import MonitorSettings
from registry_client.profile import Profile

_NS: Final = 1_000_000_000
_TRACES: Final = 8


class Saved(msgspec.Struct, frozen=True, array_like=True, tag="watch-1"):
    """A watch as it is stored."""

    blocks: dict[str, bytes]
    detectors: dict[str, bytes]
    evidence: dict[str, dict[str, float]]
    accuracy: bytes
    labelled: Seconds
    mark: Mark
    incident: Incident | None
    asked: Asked | None
    restarted: int
    used: int = 0
    unwatched: tuple[tuple[str, str], ...] = ()
    rows: int = 0
    traces: tuple[str, ...] = ()
    label_times: tuple[int, ...] = ()


class Watch:
    """The one owner of everything that is known about one version's stream."""

    def __init__(self, model: str, version: str, settings: MonitorSettings) -> None:
        self.model = model
        self.version = version
        self.digest = ""
        self.profile: Profile | None = None
        self.problem = ""
        self.incident: Incident | None = None
        self.asked: Asked | None = None
        self.mark = Mark()
        self.accuracy = LabelAccuracy()
        self.restarted = 0
        self.used = 0
        self.rows = 0  # predicted; `mark` counts what the detectors took, labels besides
        self.unwatched: dict[str, str] = {}
        self.traces: tuple[str, ...] = ()
        self.said = ""
        self.evidence: dict[str, dict[str, float]] = {}
        self.groups: dict[str, float] = {}
        self.threshold = math.log(settings.detection.budget_rows)
        self._settings = settings
        self._labelled = LabelTimes()
        self._instruments = Instruments(settings.detection)
        self.attach(None)

    def attach(self, profile: Profile | None) -> None:
        """Measure with what can be built with this profile (or without one) and is not there yet."""
        self.profile = profile or self.profile
        for anew in self._instruments.attach(profile):
            self.restarted += 1
            self.problem = anew.why
            self.evidence.pop(anew.detector, None)
        self._shares = Shares(self._instruments.detectors)
        self._weigh()

    def _weigh(self) -> None:
        """Each group's evidence from its signals'."""
        self.groups = {
            name: self._shares.group(name, self.evidence[name])
            for name in self._shares.parts
            if name in self.evidence
        }

    @property
    def total(self) -> float:
        """Ln of the version's evidence."""
        return self._shares.total(self.groups)

    @property
    def layout(self) -> Layout | None:
        """Which columns are measured; None without a profile."""
        return self._instruments.layout

    @property
    def detectors(self) -> Mapping[str, Detector]:
        """The detectors that are running, by name."""
        return self._instruments.detectors

    def feed_inputs(self, rows: Rows, segment: int, row: int) -> Iterator[Change]:
        """Take in sampled rows; yields what happened to the incident, as it happens."""
        self._advance(int(rows.times.max()))
        yield from self._feed("inputs", rows, segment, row)

    def note_traces(self, traces: npt.NDArray[np.uint8]) -> None:
        """Remember the trace ids of the newest requests that had one; [rows, 16], zeros without one."""
        carried = traces[traces.any(axis=1)]
        if not len(carried):
            return
        begins = np.flatnonzero(np.append((carried[1:] != carried[:-1]).any(axis=1), [True]))
        newest = [carried[place].tobytes().hex() for place in begins[::-1][:_TRACES]]
        self.traces = tuple(dict.fromkeys([*newest, *self.traces]))[:_TRACES]

    def feed_labels(self, joined: Sequence[Joined], now: int, segment: int, row: int) -> Iterator[Change]:
        """Take in labelled predictions that could be compared; yields what happened to the incident.

        `now` is the log's time (unix ns) at which they met: a prediction may be weeks older than its label,
        and what follows from it happens now.
        """
        scored = [found for found in joined if found.right is not None]
        if scored:
            self._advance(now)
        for found in scored:
            self.accuracy.update(bool(found.right))
            if found.time <= now + NEAR:  # or it was dated by a clock that has been set back since
                self._labelled.add(found.time)
        if scored:
            yield from self._feed("errors", _error_rows(scored), segment, row)

    def _advance(self, now: int) -> None:
        """Let the stream's time be `now`; not back, but for a clock that was set back.

        Then an onset that would lie in what is to come is dated anew, and so is what counts since it.
        """
        time = later(self.mark.time, now)
        if time < self.mark.time:
            self._labelled.forget(time)
            incident = self.incident
            if incident is not None and incident.state == "open" and incident.onset.time > time:
                onset = msgspec.structs.replace(incident.onset, time=time)
                self.incident = msgspec.structs.replace(incident, onset=onset)
        self.mark = msgspec.structs.replace(self.mark, time=time)

    def _feed(self, feed: str, rows: Rows, segment: int, row: int) -> Iterator[Change]:
        self.mark = Mark(self.mark.rows + len(rows), self.mark.time, segment, row)
        for block in self._instruments.blocks(feed, rows, segment, row):
            yield self._look(feed, block)

    def _look(self, feed: str, block: Block) -> Change:
        """Update the detectors of one feed and judge the whole."""
        self.evidence |= self._instruments.update(feed, block)
        self._weigh()
        self.incident, change = consider(
            self.incident,
            self._reading(),
            model=self.model,
            version=self.version,
            gather_rows=self._settings.detection.gather_rows,
        )
        if change == "opened" and self.incident is not None:
            self.incident = msgspec.structs.replace(self.incident, traces=self.traces)
        return change

    def _reading(self) -> Reading:
        total = self.total
        if total < self.threshold:
            return Reading(self.mark, total, self.threshold)
        groups = self._shares.at_fault(self.groups, self.threshold)
        incident = self.incident
        if incident is not None and incident.over and {*groups} <= {*incident.groups}:
            return Reading(self.mark, total, self.threshold, groups, incident.findings)
        return Reading(self.mark, total, self.threshold, groups, self.findings())

    def findings(self) -> tuple[Finding, ...]:
        """The signals at fault now, and behind them what only advises."""
        counted = {name: self.evidence[name] for name in self._shares.parts if name in self.evidence}
        advice = [
            Named(name, signal, value)
            for name, values in sorted(self.evidence.items())
            for signal, value in sorted(values.items())
            if name in self.detectors and name not in self._shares.parts and value > NONE
        ]
        return tuple(self._found(named) for named in [*localise(counted, self.threshold), *advice])

    def _found(self, named: Named) -> Finding:
        effect = self.detectors[named.group].effect(named.signal)
        return Finding(named.signal, named.group, named.evidence, effect)

    def labelled_since(self, time: int) -> int:
        """Labelled rows predicted since a record time (unix ns)."""
        return self._labelled.since(time)

    def decide(self, report: str) -> Decision:
        """What policy says now; an open incident's findings are brought up to date first."""
        incident = self.incident
        if incident is not None and incident.state == "open" and not incident.trigger and incident.over:
            incident = self.incident = msgspec.structs.replace(incident, findings=self.findings())
        decision = decide(
            incident,
            labelled=self.labelled_since(incident.onset.time) if incident else 0,
            now=self.mark.time,
            last=self.asked,
            report=report,
            policy=self._settings.policy,
        )
        self.said = decision.reason
        return decision

    def requested(self, event: str) -> None:
        """Note that a retrain was asked for."""
        if self.incident is not None:
            self.incident = msgspec.structs.replace(self.incident, trigger=event)
            self.asked = Asked(event, self.incident.id, self.mark.time)

    def is_idle_at(self, passed: int) -> bool:
        """Whether an incident is open on a version unused for `idle_resolve` when so much time has passed."""
        open_now = self.incident is not None and self.incident.state == "open"
        return open_now and 0 < self.used < passed - self._settings.detection.idle_resolve * _NS

    def abandon(self, reason: str) -> None:
        """End the open incident for a reason other than its evidence."""
        if self.incident is not None:
            self.incident = abandon(self.incident, self.mark, reason)

    def state(self) -> bytes:
        """Everything `restore` needs."""
        blocks, detectors = self._instruments.states()
        return msgspec.msgpack.encode(
            Saved(
                blocks,
                detectors,
                self.evidence,
                self.accuracy.state(),
                self._labelled.older,
                self.mark,
                self.incident,
                self.asked,
                self.restarted,
                self.used,
                tuple(self.unwatched.items()),
                self.rows,
                self.traces,
                self._labelled.newest,
            ),
            # Equal watches are equal bytes, whichever way they came to be.
            order="sorted",
        )

    @classmethod
    def restore(
        cls, model: str, version: str, settings: MonitorSettings, state: bytes, profile: Profile | None
    ) -> "Watch":
        """The watch that `state` was taken of."""
        saved = decoders.msgpack_of(Saved).decode(state)
        watch = cls(model, version, settings)
        watch._instruments = Instruments(settings.detection, saved.blocks, saved.detectors)
        watch._labelled = LabelTimes(saved.label_times, saved.labelled)
        watch.evidence = saved.evidence
        watch.accuracy.restore(saved.accuracy)
        watch.mark, watch.incident, watch.asked = saved.mark, saved.incident, saved.asked
        watch.restarted, watch.used = saved.restarted, saved.used
        watch.unwatched, watch.rows = dict(saved.unwatched), saved.rows
        watch.traces = saved.traces
        watch.attach(profile)
        return watch


def _error_rows(joined: Sequence[Joined]) -> Rows:
    """Labelled predictions as rows of one column, 1 = wrong."""
    count = len(joined)
    return Rows(
        np.array([[0.0 if found.right else 1.0] for found in joined]),
        np.zeros((count, 0), np.int32),
        np.full((count, 1), PRESENT, np.uint8),
        np.array([found.time for found in joined], np.int64),
    )
