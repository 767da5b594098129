"""The story of a round: frames in, one transaction, totals out.

    frames → decode → intake (counts, ledger, watches, incidents, events) → checkpoint → commit → evidence out

A round is all or nothing. Whatever goes wrong in it, the transaction is rolled back and the state in memory
is read again from the last commit, so that memory and file never differ. Frames that do not decode are
counted and skipped: they were committed to the log, and nothing will make them better. A frame that fails
every round it is in can be left out. Of a large one a round may take some parts, and the next one the others.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import msgspec

from groundwork.database import transaction
from groundwork.errors import StoreError
from monitor import metrics, notices, pairings, store
from monitor.catalogue import Catalogue
from monitor.intake import Intake
from monitor.keys import Keys, settle
from monitor.ledger import Ledger
from monitor.log_time import LogTime
from monitor.metrics import Tally
from monitor.parts import CELLS, parts
from monitor.places import Places
from monitor.reach import Reach
from monitor.settings import MonitorSettings
from monitor.shown import Shown, Snapshot
from monitor.streams import StreamEnds, resumed
from monitor.turns import Turns
from monitor.watch import Watch
from prediction_log.errors import LogError
from prediction_log.frame import Frame, decode
from prediction_log.ids import PredictionIds
from prediction_log.transport import Offset, Source
from registry_client.registry import Registry
from rollouts.evidence import PairTotals
from rollouts.history import Entry

_NS: Final = 1_000_000_000


class Pipeline:
    """The one owner of everything in monitor.db that follows from the log.

    `lock` is held during a round; who writes the same file from another thread takes it. Who reads `shown`
    wants none. `ids` are those of the folder whose log it is, `cells` the values of a part of a frame.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        settings: MonitorSettings,
        registry: Registry,
        ids: PredictionIds,
        *,
        cells: int = CELLS,
    ) -> None:
        self._db = connection
        self._cells = cells
        self._large: tuple[bytes, Frame] | None = None  # the last that was taken in part
        self._file = store.Presence(connection)
        self._keys = Keys(ids)
        settle(connection, self._keys)
        self._settings = settings
        self._catalogue = Catalogue(registry)
        self.lock = Turns()
        self.reload()

    def reload(self) -> None:
        """Take the state of the last commit, whatever is in memory; StoreError where that cannot be read."""
        try:
            self._load()
        except msgspec.DecodeError as error:
            raise StoreError(
                f"{store.NAME}: wanted the monitor's state, found damage ({error}); restore a copy,"
                " or move it away and lose what it held"
            ) from error

    def _load(self) -> None:
        self.offset = store.load_offset(self._db)
        self.history = int(store.load_fact(self._db, "history") or b"0")
        self.left_out = int(store.load_fact(self._db, "left out") or b"0")
        self._ends = StreamEnds(self._db)
        self.tally = Tally()
        counts = store.load_fact(self._db, "tally")
        if counts is not None:
            self.tally.restore(counts)
        self._ledger = Ledger(self._db, self._settings.ledger)
        self._time = LogTime(
            keep_ns=round(self._settings.ledger.keep * _NS),
            idle_ns=round(self._settings.detection.idle_resolve * _NS),
        )
        passed = store.load_fact(self._db, "time")
        if passed is not None:
            self._time.restore(passed)
        self._ledger.now = self._time.kept
        reach = store.load_fact(self._db, "reach")
        self._reach = Reach(self.offset) if reach is None else Reach.restore(reach)
        self._intake = Intake(
            self._db,
            self._settings,
            self._catalogue,
            self._ledger,
            self.tally,
            self._time,
            reach=self._reach,
            places=Places(self._keys, self._ends),
        )
        self._shown = Shown()
        self._show([(self._intake.add(watch), state) for watch, state in self._stored_watches()])

    def _stored_watches(self) -> Iterator[tuple[Watch, bytes]]:
        """The watches of the last commit, as the registry knows their versions now, and their stored form."""
        for model, version, state in store.load_watches(self._db):
            known = self._catalogue.version(model, version)
            watch = Watch.restore(model, version, self._settings, state, known.profile)
            watch.problem = watch.problem or known.problem
            watch.digest = known.manifest.digest if known.manifest else ""
            yield watch, state

    @property
    def shown(self) -> Snapshot:
        """The last commit, for whoever asks from another thread; no round is waited for."""
        return self._shown.last

    def _show(self, changed: Iterable[tuple[Watch, bytes]] = ()) -> None:
        self._shown.show(self.offset, self.history, self.tally.counts, changed)

    @property
    def watches(self) -> list[Watch]:
        """Every version that was ever seen in the log, by model and version."""
        return [watch for _, watch in sorted(self._intake.watches.items())]

    def resume(self, source: Source) -> Offset | None:
        """Before the first round: stand where the log can be read on, if it lost what was read of it.

        Returns the offset that the log does not reach any more (a power cut, or its files were taken away),
        None where it does; rows that were counted are not counted again.
        """
        reached, self.offset = self.offset, resumed(self.offset, source)
        self._show()
        return None if reached == self.offset else reached

    def check(self) -> None:
        """StoreError where what a round commits would be lost with the process; asked before each one."""
        self._file.check()

    def feed(
        self,
        frames: Sequence[tuple[Offset, bytes]],
        entries: Sequence[Entry] = (),
        *,
        enough: Callable[[], bool] = lambda: False,
    ) -> int:
        """Take in rows of the rollouts' history, and frames until there are `enough` (asked after each part).

        What follows is committed with the new offsets. Returns how many frames were taken in whole; whatever
        it raises, nothing was.
        """
        taken = 0
        with self._round():
            asked = [watch.asked.event for watch in self.watches if watch.asked is not None]
            self._intake.reports = store.load_reports(self._db, asked)
            for entry in entries:
                self._intake.emit(notices.rollout(entry))
                self.history = entry.sequence
            for offset, content in frames:
                if not self._take(offset, content, enough):
                    break
                self.left_out = 0
                taken += 1
                if enough():
                    break
        return taken

    def leave_out(self, offset: Offset, *, counts: bool = True) -> None:
        """Go on behind the next frame, the one at this offset, without having taken anything of it.

        `left_out` has those that count since the last that was taken in, also over restarts.
        """
        with self._round():
            self.left_out += counts
            self.tally.add(metrics.BAD_FRAMES, 1, reason="cannot be taken in")
            self.offset = offset

    @contextlib.contextmanager
    def _round(self) -> Iterator[None]:
        """What is done inside is committed together, or none of it: not in the file, and not in memory."""
        with self.lock:
            try:
                with transaction(self._db):
                    yield
                    changed = self._save()
            except BaseException:
                self.reload()
                raise
            self._show(changed)

    def _take(self, offset: Offset, content: bytes, enough: Callable[[], bool]) -> bool:
        """One frame, if it is one, or its parts until there are enough; whether that was all of it."""
        frame = self._decoded(content)
        if frame is not None and self._ends.knows(frame):
            self.tally.add(metrics.REPEATED, frame.rows)
        elif frame is not None:
            for part, upto in parts(frame, self._ends.begun(frame), self._cells):
                last = upto == frame.rows
                self._ends.take(frame, upto)
                self._intake.take(part, offset, last=last)
                if not last and enough():
                    self._large = (content, frame)
                    return False
        self._large = None
        self.offset = offset
        return True

    def _decoded(self, content: bytes) -> Frame | None:
        if self._large is not None and self._large[0] is content:
            return self._large[1]  # its checksum was looked at
        try:
            return decode(content)
        except LogError:
            self.tally.add(metrics.BAD_FRAMES, 1, reason="does not decode")
            return None

    def _save(self) -> list[tuple[Watch, bytes]]:
        """Write what changed, inside the round's transaction; the watches that did, and their states."""
        intake = self._intake
        touched = [(watch := intake.watches[key], watch.state()) for key in sorted(intake.touched)]
        store.save_watches(self._db, [(watch.model, watch.version, state) for watch, state in touched])
        for watch, _ in touched:
            if watch.incident is not None:
                store.save_incident(self._db, watch.incident)
        intake.touched.clear()
        self._ends.save()
        store.save_fact(self._db, "offset", str(self.offset).encode())
        store.save_fact(self._db, "history", str(self.history).encode())
        store.save_fact(self._db, "left out", str(self.left_out).encode())
        store.save_fact(self._db, "time", self._time.state())
        store.save_fact(self._db, "tally", self.tally.state())
        store.save_fact(self._db, "reach", self._reach.state())
        return touched

    def pair_totals(self) -> list[PairTotals]:
        """Labelled pairs by who was right: absolute totals up to the committed offset."""
        return pairings.totals(self._db, str(self.offset))

    def knows(self, model: str, version: str | None) -> bool:
        """Whether a model (and version) was seen in the log or is in the registry; from any thread."""
        seen = any(one.model == model and version in {None, one.version} for one in self.shown.versions)
        return seen or self._catalogue.holds(model, version)


def states(pipeline: Pipeline) -> dict[str, bytes]:
    """The stored form of every watch and of the counts, for comparing two runs bit for bit."""
    watched = {f"{watch.model}/{watch.version}": watch.state() for watch in pipeline.watches}
    return {
        **watched,
        "tally": pipeline.tally.state(),
        "offset": msgspec.msgpack.encode(str(pipeline.offset)),
    }
