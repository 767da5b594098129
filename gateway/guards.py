"""The fuses' wiring: who looks at which fact, and the edit that follows. The rules are `rollouts.guards`.

Two facts are watched here: a candidate that fails again and again in this worker (the worker's own watch),
and a worker that dies while it runs or loads a candidate (the supervisor's). Neither asks for a lease or
waits for anybody; each posts an abort by compare-and-swap, and one who comes second finds nothing left to
abort.

A plain kill from outside blames nobody; a kill by the kernel for want of memory does, and it is told apart by
the cgroup's own count.
"""

import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from gateway.causes import Cause
from gateway.metrics import EXECUTING, LOADING
from groundwork.clock import Clock
from groundwork.errors import DriftgateError
from groundwork.logs import Log
from groundwork.slot_readings import SlotReading
from rollouts import guards, verbs
from rollouts.errors import RouteError
from rollouts.history import Entry
from rollouts.pilot import Decision
from rollouts.rollout import Rollout
from rollouts.route import Route
from rollouts.store import SqliteStore

ACTOR: Final = "guard"
CRASH: Final = "crash"
BLAMED: Final = frozenset({"crashed", "hung"})
"""Causes of death for which what was executing, or being loaded, is held to account."""
_CGROUPS: Final = Path("/sys/fs/cgroup")


class ErrorWatch:
    """This worker's watch over candidates that fail in a row; owned by the loop, acts in a thread.

    `in_a_row` gives the failures since the last good run of a version in this worker.
    """

    def __init__(
        self,
        store: SqliteStore,
        clock: Clock,
        incarnation: int,
        in_a_row: Callable[[str, str], int],
        log: Log,
    ) -> None:
        self._store = store
        self._clock = clock
        self._incarnation = incarnation
        self._in_a_row = in_a_row
        self._log = log

    def suspects(self, routes: Mapping[str, Route]) -> list[tuple[Route, int]]:
        """The candidates that failed at least twice in a row here, with how often; a few reads of memory."""
        found = []
        for route in routes.values():
            if route.rollout is not None and route.candidate is not None:
                count = self._in_a_row(route.model, route.candidate)
                if count > 1:
                    found.append((route, count))
        return found

    def look(self, suspects: list[tuple[Route, int]]) -> None:
        """Abort the rollouts whose guard is blown; in a thread, for it reads and writes the store."""
        for route, count in suspects:
            rollout = self._store.active(route.model)
            if rollout is None or rollout.id != route.rollout:
                continue
            decision = guards.consecutive_errors(rollout, {self._incarnation: count})
            if decision is not None:
                post(self._store, rollout, decision, self._clock, self._log)


class CrashGuard:
    """The supervisor's judgement of a dead worker; each crash is a row of history, so none is forgotten."""

    def __init__(self, store: SqliteStore, clock: Clock, log: Log) -> None:
        self._store = store
        self._clock = clock
        self._log = log

    @classmethod
    def open(cls, data: Path, clock: Clock, log: Log) -> "CrashGuard":
        """A guard over the routes of a data folder."""
        return cls(SqliteStore(data / "rollouts.db", clock), clock, log)

    def judge(self, slot: SlotReading, code: int, cause: Cause) -> list[tuple[str, str]]:
        """Take notice of a worker's end with exit code `code` (minus the signal); never raises.

        Returns the (model, version) that are left to blame: the suspects, unless one of them is the candidate
        of a rollout, against which it is held here.
        """
        if cause not in BLAMED:
            return []
        found = suspects(slot)
        busy = "being loaded" if loading(slot) else "executing"
        end = f"worker {slot.place} {_end(code, cause)} while version"
        try:
            blamed = [self._blame(*key, reason=f"{end} {key[1]} was {busy}") for key in found]
        except DriftgateError as error:
            self._log.error("crash-not-judged", incarnation=slot.incarnation, fault=error)
            return []
        return [] if any(blamed) else found

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def _blame(self, model: str, version: str, reason: str) -> bool:
        """Hold a death against a candidate; False where the version is none."""
        rollout = self._store.active(model)
        if rollout is None or rollout.candidate != version:
            return False
        self._store.note(model, Entry(actor="supervisor", verb=CRASH, reason=reason, n=1, rollout=rollout.id))
        count = sum(
            entry.verb == CRASH and entry.rollout == rollout.id
            for entry in self._store.latest(model, count=1000)
        )
        decision = guards.crashes(rollout, count)
        if decision is not None:
            post(self._store, rollout, decision, self._clock, self._log)
        return True


def _end(code: int, cause: Cause) -> str:
    if cause == "hung":
        return "hung"
    name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return f"died of {name}"


def post(store: SqliteStore, judged: Rollout, decision: Decision, clock: Clock, log: Log) -> None:
    """Carry out a guard's decision; that somebody else has gone back already is no error.

    It holds for the rollout that was judged, on whichever step that is by now, and for no later one.
    """
    verb = verbs.of_decision(decision)
    if verb is None:
        return

    def only_it(route: Route, rollout: Rollout | None, now: int) -> verbs.Change:
        if rollout is None or rollout.id != judged.id:
            raise RouteError(f"rollout {judged.id}: it has ended already")
        return verb(route, rollout, now)

    try:
        verbs.apply(store, judged.model, only_it, verbs.entry_of(decision, ACTOR), clock.now())
    except RouteError as error:
        log.info("guard-overtaken", model=judged.model, fault=error)
        return
    log.warning("rollout-aborted", model=judged.model, reason=decision.reason)


def suspects(slot: SlotReading) -> list[tuple[str, str]]:
    """The (model, version) that a death is held against: what was being loaded, else what was executing.

    Runs go on all the time and loads are few: who dies during a load most likely dies of it, and if not, its
    next death comes without one.
    """
    return loading(slot) or executing(slot)


def loading(slot: SlotReading) -> list[tuple[str, str]]:
    """The (model, version) that a dead worker was loading when it died."""
    return _busy(slot, LOADING)


def executing(slot: SlotReading) -> list[tuple[str, str]]:
    """The (model, version) that a dead worker was running when it died."""
    return _busy(slot, EXECUTING)


def _busy(slot: SlotReading, name: str) -> list[tuple[str, str]]:
    found = []
    for key, value in slot.series.items():
        labels = dict(key.labels)
        if key.name == name and value > 0 and {"model", "version"} <= labels.keys():
            found.append((labels["model"], labels["version"]))
    return found


def oom_kills(cgroups: Path = _CGROUPS, own: Path = Path("/proc/self/cgroup")) -> int:
    """How many processes of our cgroup the kernel has killed for want of memory; 0 where nobody counts."""
    try:
        place = own.read_text().strip().rpartition("::")[2].lstrip("/")
        lines = (cgroups / place / "memory.events").read_text().splitlines()
    except OSError:
        return 0
    counts = dict(line.split(maxsplit=1) for line in lines)
    return int(counts.get("oom_kill", 0))
