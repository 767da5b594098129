"""Where routes, rollouts and history are kept: one SQLite file that every process of a machine shares.

`edit` is the only way a route changes: a compare-and-swap on its revision whose one synced transaction
writes the route, the rollout's record and the history row together. Readers never wait for writers (WAL);
writers wait for each other for at most five seconds. The store judges no verdict and knows no process.
"""

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final, TypeVar

import msgspec
from msgspec.structs import replace

from groundwork.clock import Clock
from groundwork.database import is_without_room, open_database, transaction, unreadable
from groundwork.errors import DriftgateError, LockedError, NoRoomError, StoreError
from rollouts import edits, history, tables
from rollouts.ballast import Ballast
from rollouts.errors import ConflictError, RouteError
from rollouts.evidence import PairTotals
from rollouts.history import Entry
from rollouts.rollout import Rollout
from rollouts.route import Route, check

T = TypeVar("T")

URGENT: Final[frozenset[str]] = frozenset({"abort", "undo", "crash"})
"""Verbs of going back, and of what leads to it, that may use the ballast when the disk is full."""

_NS: Final = 1_000_000_000
_PRIMARY: Final = 0xFF
_BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


class SqliteStore:
    """The store over `rollouts.db`; one connection, usable from several threads, one at a time."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self._clock = clock
        self._ballast = Ballast(path.with_suffix(".ballast"))
        self._lock = threading.RLock()
        self._connection = open_database(path, tables.SCHEMA, synchronous="FULL")
        self._ballast.ensure()

    def close(self) -> None:
        """Close the connection; the store is of no use afterwards."""
        with self._lock:
            self._connection.close()

    # Routes -----------------------------------------------------------------------------------------------

    def routes(self) -> Mapping[str, Route]:
        """Return every route by model name."""
        return self._read(tables.read_routes)

    def route(self, model: str) -> Route | None:
        """Return a model's route, or None when it was never seen."""
        return self._read(lambda connection: tables.read_route(connection, model))

    def edit(
        self, model: str, expected_revision: int, route: Route, entry: Entry, rollout: Rollout | None = None
    ) -> Route:
        """Replace the route whose revision is `expected_revision` (0: none yet) and return the new one.

        One synced transaction (2 to 3 ms on a local disk) writes route, rollout and history.

        Raises:
            ConflictError: Another edit came first; its `current` is the route that stands.
            RouteError: The document may not stand, or is not the next revision of this model.
            NoRoomError: The disk is full and the ballast could not help; or the edit lets another version
                answer, and there is no room held for going back from it.
        """
        if check(route).model != model or route.revision != expected_revision + 1:
            raise RouteError(
                f"route of {model!r}: revision {expected_revision + 1} of it was wanted, revision "
                f"{route.revision} of {route.model!r} found; make the edit from the route that was read"
            )

        urgent = entry.verb in URGENT

        def work(connection: sqlite3.Connection) -> Route:
            before = tables.read_route(connection, model)
            _expect(model, expected_revision, before)
            if before is not None and not urgent and edits.exposes(before, route):
                self._check_way_back(model)
            tables.write_route(connection, route)
            if rollout is not None:
                tables.write_rollout(connection, rollout)
            self._append(connection, replace(entry, model=model, before=before, after=route), route.revision)
            return route

        return self._write(work, urgent=urgent)

    def ensure_first(self, model: str, stable: str, actor: str) -> Route:
        """Return the model's route, written as revision 1 with this stable when there was none."""
        standing = self.route(model)
        if standing is not None:
            return standing
        reason = f"first sight of {model}; version {stable} answers"
        try:
            return self.edit(
                model, 0, edits.first(model, stable), Entry(actor=actor, verb="first", reason=reason)
            )
        except ConflictError:
            standing = self.route(model)
            if standing is None:
                raise
            return standing

    # History ----------------------------------------------------------------------------------------------

    def note(self, model: str, entry: Entry) -> Entry:
        """Add a history row that changes nothing (a crash that was seen, say) and return it as written."""

        def work(connection: sqlite3.Connection) -> Entry:
            standing = tables.read_route(connection, model)
            filled = replace(entry, model=model, before=standing, after=standing)
            return self._append(connection, filled, standing.revision if standing is not None else 0)

        return self._write(work, urgent=entry.verb in URGENT)

    def history(self, model: str | None = None, after: int = 0, limit: int = 1000) -> list[Entry]:
        """Return rows with a sequence above `after`, ascending, of one model or of all."""
        return self._read(lambda connection: history.read(connection, model, after, limit))

    def latest(self, model: str, count: int = 10) -> list[Entry]:
        """Return a model's last rows, ascending."""
        return self._read(lambda connection: history.latest(connection, model, count))

    def last(self, model: str, wanted: Callable[[Entry], bool]) -> Entry | None:
        """Return a model's newest row that is `wanted`, or None."""
        return self._read(lambda connection: history.last(connection, model, wanted))

    def verify(self) -> int:
        """Check the chain of the whole history and return its length; ChainError names the broken row."""
        return self._read(history.verify)

    # Rollouts and evidence --------------------------------------------------------------------------------

    def rollout(self, rollout_id: str) -> Rollout | None:
        """Return a rollout by id, or None."""
        return self._read(lambda connection: tables.read_rollout(connection, rollout_id))

    def active(self, model: str) -> Rollout | None:
        """Return the model's live rollout, or None."""
        return self._read(lambda connection: tables.read_active(connection, model))

    def rollouts(self, model: str | None = None) -> list[Rollout]:
        """Return the rollouts of one model or of all, oldest first."""
        return self._read(lambda connection: tables.read_rollouts(connection, model))

    def latest_rollouts(self) -> list[Rollout]:
        """Return each model's most recent rollout, live or ended, by model."""
        return self._read(tables.read_latest)

    def checkpoint(self, rollout_id: str, state: bytes, seen: bytes) -> None:
        """Keep a judge's state together with the totals it has seen, in one transaction."""
        self._write(lambda connection: tables.write_checkpoint(connection, rollout_id, state, seen))

    def load_checkpoint(self, rollout_id: str) -> tuple[bytes, bytes] | None:
        """Return (state, seen) as last kept, or None."""
        return self._read(lambda connection: tables.read_checkpoint(connection, rollout_id))

    def put_pairs(self, *totals: PairTotals) -> None:
        """Replace absolute pair totals, all in one transaction; this also counts as the monitor's beat."""
        self._write(lambda connection: self._put_pairs(connection, totals))

    def pairs(self, model: str) -> list[PairTotals]:
        """Return a model's pair totals by ascending revision."""
        return self._read(lambda connection: tables.read_pairs(connection, model))

    # Liveness ---------------------------------------------------------------------------------------------

    def lease(self, name: str, holder: str, ttl: float) -> int | None:
        """Take or renew a lease for `ttl` seconds; return its epoch, or None while another holds it."""
        now = self._clock.now()
        expires = now + round(ttl * _NS)
        return self._write(
            lambda connection: tables.take_lease(connection, name, holder, now=now, expires=expires)
        )

    def release(self, name: str, holder: str) -> None:
        """Give a lease up, so that the next holder need not wait."""
        self._write(lambda connection: tables.drop_lease(connection, name, holder))

    def beat(self, name: str) -> None:
        """Note that a program ("monitor") is alive now."""
        now = self._clock.now()
        self._write(lambda connection: tables.write_beat(connection, name, now))

    def last_beat(self, name: str) -> int | None:
        """Return when a program was last noted alive (unix ns), or None."""
        return self._read(lambda connection: tables.read_beat(connection, name))

    # Inside -----------------------------------------------------------------------------------------------

    def _append(self, connection: sqlite3.Connection, entry: Entry, revision: int) -> Entry:
        return history.append(connection, replace(entry, revision=revision, at=self._clock.now()))

    def _put_pairs(self, connection: sqlite3.Connection, totals: Iterable[PairTotals]) -> None:
        for one in totals:
            tables.write_pairs(connection, one)
        tables.write_beat(connection, "monitor", self._clock.now())

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._lock:
            try:
                return work(self._connection)
            except (sqlite3.Error, msgspec.DecodeError) as error:
                raise self._said(error) from error

    def _write(self, work: Callable[[sqlite3.Connection], T], *, urgent: bool = False) -> T:
        with self._lock:
            try:
                done = self._transact(work)
            except NoRoomError:
                done = self._squeezed(work, urgent=urgent)
            self._ballast.ensure()
            return done

    def _squeezed(self, work: Callable[[sqlite3.Connection], T], *, urgent: bool) -> T:
        """The same on a full disk: in the room that the write-ahead log has, then in the ballast's."""
        with contextlib.suppress(sqlite3.Error):  # a checkpoint that finds no room leaves things as they are
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        while True:
            try:
                return self._transact(work)
            except NoRoomError:
                if not (urgent and self._ballast.give()):
                    raise

    def _check_way_back(self, model: str) -> None:
        """NoRoomError where an abort or undo might find no room: nothing goes forward then."""
        if not self._ballast.ensure() and self._ballast.held < self._ballast.size // 2:
            raise NoRoomError(
                f"route of {model!r}: the disk is full, and too little room is held for going back from this "
                f"({self._ballast.path.name}); free space and repeat it; abort and undo work meanwhile"
            )

    def _transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            with transaction(self._connection):
                return work(self._connection)
        except (sqlite3.Error, msgspec.DecodeError) as error:
            raise self._said(error) from error

    def _said(self, error: sqlite3.Error | msgspec.DecodeError) -> DriftgateError:
        if isinstance(error, msgspec.DecodeError):
            return unreadable(self._connection, self.path, tables.SCHEMA, error)
        code = getattr(error, "sqlite_errorcode", 0)
        if is_without_room(error):
            return NoRoomError(
                f"{self.path}: nothing could be written, the disk is full ({error}); free space"
            )
        if code & _PRIMARY in _BUSY:
            return LockedError(f"{self.path}: another process has been writing for 5 s ({error}); try again")
        return StoreError(f"{self.path}: {error}; restore a copy, or move the file away and start anew")


def _expect(model: str, expected: int, standing: Route | None) -> None:
    found = standing.revision if standing is not None else 0
    if found == expected:
        return
    raise ConflictError(
        f"route of {model!r}: revision {expected} was expected, revision {found} stands; "
        "read it again and repeat the edit if it is still wanted",
        standing,
    )
