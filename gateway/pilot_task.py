"""Move rollouts forward, and back, on evidence: one look at everything, by whichever worker holds the lease.

Every worker runs this; the lease says whose looks count, and passes to another within seconds of its holder's
death. A look sums up what the slots and the monitor counted, asks the judge, keeps the judge's state together
with the totals it has seen, asks `decide`, and makes the edit that was decided. An edit is a compare-and-swap
on the revision that was judged, so a decision that has been overtaken by an operator falls to the ground.

On a full disk neither lease nor judge's state may find room. Then every worker looks, from what was kept
last, and only goes back: who comes second finds nothing left to abort.

Runs in a thread; a look with nothing to do reads the routes and writes nothing.
"""

from pathlib import Path
from typing import Final

from gateway.judgement import conclude
from groundwork.clock import Clock
from groundwork.errors import DriftgateError, NoRoomError
from groundwork.logs import Log
from groundwork.series import SeriesKey
from groundwork.slot_readings import SlotsReader
from groundwork.steady import steady
from rollouts import guards, judge, verbs
from rollouts.errors import ConflictError, EvidenceError, RouteError
from rollouts.evidence import Seen, gather
from rollouts.pilot import Decision
from rollouts.rollout import Rollout
from rollouts.route import Route
from rollouts.store import SqliteStore
from rollouts.verdict import Verdict

LEASE: Final = "pilot"
ACTOR: Final = "pilot"
GUARD: Final = "guard"

Series = dict[int, dict[SeriesKey, int]]


class Pilot:
    """One worker's pilot; one look at a time."""

    def __init__(
        self, store: SqliteStore, slots_folder: Path, clock: Clock, holder: str, ttl: float, log: Log
    ) -> None:
        """`holder` names this worker in the lease, which outlives it by at most `ttl` seconds."""
        self._store = store
        self._slots = SlotsReader(slots_folder)
        self._clock = clock
        self._holder = holder
        self._ttl = ttl
        self._log = log
        self._kept: dict[str, tuple[bytes, bytes]] = {}
        self._full = False
        self._told = False

    def look(self) -> None:
        """Judge and move every live rollout, if this worker is the pilot; never raises for one rollout."""
        live = [
            rollout
            for route in self._store.routes().values()
            if route.rollout is not None and (rollout := self._store.active(route.model)) is not None
        ]
        self._told, self._full = self._full, False
        if not live or not self._leads():
            self._kept.clear()
            self._slots.close()
            return
        series = {slot.incarnation: slot.series for slot in self._slots.read()}
        for rollout in live:
            try:
                self._drive(rollout, series)
            except (ConflictError, RouteError) as error:
                self._log.info("decision-overtaken", rollout=rollout.id, fault=error)
            except DriftgateError as error:
                self._log.error("rollout-not-judged", rollout=rollout.id, fault=error)

    def close(self) -> None:
        """Give the lease up, so that another worker need not wait for its end."""
        self._slots.close()
        self._store.release(LEASE, self._holder)

    def _leads(self) -> bool:
        """Whether this worker's looks count: it holds the lease, or nobody finds room to take it."""
        try:
            leads = self._store.lease(LEASE, self._holder, self._ttl) is not None
        except NoRoomError as error:
            self._only_back(error)
            return True
        return leads

    def _only_back(self, fault: NoRoomError) -> None:
        """For want of room nothing but going back is decided in this look; told when it begins."""
        if not self._told:
            self._log.error("pilot-only-goes-back", fault=fault)
        self._told = self._full = True

    def _drive(self, rollout: Rollout, series: Series) -> None:
        route = self._store.route(rollout.model)
        if route is None or route.rollout != rollout.id:
            return
        seen, verdicts = self._judge(rollout, series)
        blown = guards.exposed_errors(rollout, seen)
        if blown is not None:
            self._act(route, blown, GUARD)
            return
        judged = conclude(
            self._store, rollout, route, seen, verdicts, self._clock.now(), steady=steady(self._clock)
        )
        self._act(route, judged.decision, ACTOR)

    def _judge(self, rollout: Rollout, series: Series) -> tuple[Seen, tuple[Verdict, ...]]:
        """Take in what is new; the state and what it has seen are kept before anything is decided on them."""
        before = self._kept.get(rollout.id) or self._store.load_checkpoint(rollout.id)
        state, seen = self._resumed(rollout, before)
        observation = gather(series, rollout, self._store.pairs(rollout.model))
        state, seen, verdicts = judge.judge(rollout, state, seen, observation)
        after = judge.encode(state, seen)
        try:
            if after != before:
                self._store.checkpoint(rollout.id, *after)
        except NoRoomError as error:
            self._only_back(error)
            return seen, verdicts
        self._kept[rollout.id] = after
        return seen, verdicts

    def _resumed(self, rollout: Rollout, kept: tuple[bytes, bytes] | None) -> tuple[judge.State, Seen]:
        """The state as it was kept; one that cannot be read starts the evidence anew, and that is told."""
        if kept is None:
            return judge.begin(rollout.spec)
        try:
            return judge.decode(rollout.spec, *kept)
        except EvidenceError as error:
            self._log.error("evidence-lost", rollout=rollout.id, fault=error)
            return judge.begin(rollout.spec)

    def _act(self, route: Route, decision: Decision, actor: str) -> None:
        verb = verbs.of_decision(decision)
        if verb is None or (self._full and decision.kind != "abort"):
            return
        entry = verbs.entry_of(decision, actor)
        verbs.apply(
            self._store,
            route.model,
            verb,
            entry,
            self._clock.now(),
            expected=route,
            steady=steady(self._clock),
        )
        self._log.info("rollout-moved", model=route.model, verb=decision.kind, reason=decision.reason)
