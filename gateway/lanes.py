"""What a worker's requests see: the lane of every model that is answered, and why the others are not.

Rules: every change is one assignment of a new mapping, for a request keeps what it began with; that of the
table is the one that changes what answers. It decides nothing: whoever follows the routes does
(`gateway.reconcile`).
"""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Protocol

import msgspec

from gateway.errors import NotReadyError, UnknownModelError
from gateway.meters import Evidence
from gateway.model import LoadedModel
from gateway.routing import Lane, Table, lane_of
from gateway.ways import Way
from groundwork.counters import Counters
from groundwork.errors import DriftgateError
from prediction_log.record import Arm
from rollouts.route import Route

Versions = Mapping[tuple[str, str], LoadedModel]
"""(model, version) to what is in memory."""


class Follower(Protocol):
    """What makes shadow runs from the log; see `gateway.frame_shadow.FrameShadow`."""

    def follow(self, lane: Lane, evidence: Evidence | None) -> tuple[Way, ...]:
        """The ways by which it makes all shadow runs of a lane, held for it; () where it does not."""
        ...


class Bound(msgspec.Struct, frozen=True):
    """A lane with the places where its evidence is counted."""

    lane: Lane
    evidence: dict[Arm, Evidence]
    plain: bool
    """Whether the stable version answers everything, alone: there is nothing to draw."""
    ways: tuple[Way, ...] = ()
    """How its requests are run again from the log; `lane` has no shadow then: nothing is to be offered."""


def bind(lane: Lane, counters: Counters, follower: Follower | None = None) -> Bound:
    """A lane, with places for what its arms do under its route's revision."""
    name, revision = lane.route.model, lane.route.revision
    arms = {Arm.STABLE: lane.stable, Arm.CANDIDATE: lane.candidate, Arm.SHADOW: lane.shadow}
    evidence = {
        arm: Evidence(counters, name, model.version, arm, revision)
        for arm, model in arms.items()
        if model is not None
    }
    ways = () if follower is None else follower.follow(lane, evidence.get(Arm.SHADOW))
    if ways:
        lane = msgspec.structs.replace(lane, shadow=None, shadow_share=0)
    return Bound(lane, evidence, plain=lane.weight == 0 and lane.shadow_share == 0, ways=ways)


class Lanes:
    """The lanes of one worker; owned by its loop.

    `bound` is the table as requests read it. `routed` are all models with a route. `unserved` says of those
    that have a route, but no version in memory to answer by it, why that is so. `dormant` are the models that
    are loaded when a request asks for them, with the version to load; `stranded` those whose stable version
    cannot be served, which answer only for versions that are named: they are in `dormant` too, which is where
    a model without a lane is looked for.
    """

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self.follower: Follower | None = None
        """What makes shadow runs from the log, where there is one; set before there are lanes."""
        self._table: Table = MappingProxyType({})
        self.bound: Mapping[str, Bound] = {}
        self.routed: Collection[str] = frozenset()
        self.unserved: Mapping[str, str] = MappingProxyType({})
        self.dormant: Mapping[str, str] = MappingProxyType({})
        self.stranded: Mapping[str, Route] = MappingProxyType({})
        self._asleep: Mapping[str, str] = {}

    @property
    def table(self) -> Table:
        """What answers now."""
        return self._table

    @table.setter
    def table(self, table: Table) -> None:
        old, bound = self.bound, {}
        for name, lane in table.items():
            same = self._table.get(name) is lane
            bound[name] = old[name] if same else self._bind(lane, old.get(name))
        self._table = table
        self.bound = bound  # the one assignment that changes what answers
        for name, was in old.items():
            if bound.get(name) is not was:
                for way in was.ways:
                    way.let_go()

    def _bind(self, lane: Lane, was: Bound | None) -> Bound:
        """A revision whose requests were offered one by one stays so: a follower would find them again."""
        same = was is not None and was.lane.route.revision == lane.route.revision
        offered = same and was is not None and was.lane.shadow is not None
        return bind(lane, self._counters, None if offered else self.follower)

    @property
    def served(self) -> Collection[str]:
        """The models that are answered, by what is in memory or by what is loaded for a request."""
        return (self._table.keys() | self.dormant.keys()) - self.stranded.keys()

    def absent(self, model: str) -> DriftgateError:
        """Why a model without a lane cannot answer: nobody knows it, or its version cannot be served."""
        fault = self.unserved.get(model)
        if fault is not None:
            return NotReadyError(f"model {model!r} is not served now: {fault}")
        return UnknownModelError(f"there is no model {model[:100]!r} here")

    def name(self, models: Collection[str]) -> None:
        """These models have a route."""
        self.routed = models

    def serve(self, route: Route, versions: Versions) -> None:
        """Put the lane of this route into the table."""
        lane = lane_of(route, versions)
        self.table = MappingProxyType({**self._table, route.model: lane})
        if route.model in self.unserved:
            self.excuse(route.model, None)

    def take_out(self, model: str) -> None:
        """It has no lane any more."""
        self.table = MappingProxyType({name: lane for name, lane in self._table.items() if name != model})

    def excuse(self, model: str, message: str | None) -> None:
        """Let requests for a model that nothing answers say why; None: it is answered."""
        excuses = {name: said for name, said in self.unserved.items() if name != model}
        if message is not None and model not in self._table:
            excuses[model] = message
        self.unserved = MappingProxyType(excuses)

    def sleep(self, asleep: Mapping[str, str]) -> None:
        """These models are loaded when a request asks for them, each with this version."""
        self._asleep = asleep
        stranded = {model: route.stable for model, route in self.stranded.items()}
        self.dormant = MappingProxyType({**stranded, **asleep})

    def strand(self, model: str, route: Route | None, *, broken: bool) -> None:
        """Let versions that requests name answer for a model whose stable version is `broken`.

        It stays so while that is tried again, until there is a lane, or another version is stable. No route:
        the model is not to be answered for, or sleeps.
        """
        was = self.stranded.get(model)
        stays = was is not None and route is not None and was.stable == route.stable
        now = None if model in self._table or not (broken or stays) else route
        if now is was:
            return
        others = {name: one for name, one in self.stranded.items() if name != model}
        self.stranded = MappingProxyType(others if now is None else {**others, model: now})
        self.sleep(self._asleep)
