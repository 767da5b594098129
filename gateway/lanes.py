"""What a worker's requests see: the lane of every model that is answered, and why the others are not.

Rules: every change is one assignment of a new mapping, for a request keeps what it began with. It decides
nothing: whoever follows the routes does (`gateway.reconcile`).
"""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Protocol

from gateway.model import LoadedModel
from gateway.routing import Table, lane_of
from rollouts.route import Route

Versions = Mapping[tuple[str, str], LoadedModel]
"""(model, version) to what is in memory."""


class Holder(Protocol):
    """What holds the table that requests are answered by, and why a model is not in it.

    `dormant` are the models that are loaded when a request asks for them, with the version to load;
    `stranded` those whose stable version cannot be served, which answer only for versions that are named;
    `routed` all that have a route.
    """

    table: Table
    routed: Collection[str]
    unserved: Mapping[str, str]
    dormant: Mapping[str, str]
    stranded: Mapping[str, Route]


class Lanes:
    """The lanes of one worker; owned by its loop."""

    def __init__(self, core: Holder) -> None:
        self._core = core
        self._asleep: Mapping[str, str] = {}

    @property
    def table(self) -> Table:
        """What answers now."""
        return self._core.table

    @property
    def stranded(self) -> Mapping[str, Route]:
        """Models that answer only for versions that requests name."""
        return self._core.stranded

    def name(self, models: Collection[str]) -> None:
        """These models have a route."""
        self._core.routed = models

    def serve(self, route: Route, versions: Versions) -> None:
        """Put the lane of this route into the table: the one assignment that changes what answers."""
        lane = lane_of(route, versions)
        self._core.table = MappingProxyType({**self._core.table, route.model: lane})
        if route.model in self._core.unserved:
            self.excuse(route.model, None)

    def take_out(self, model: str) -> None:
        """It has no lane any more."""
        self._core.table = MappingProxyType(
            {name: lane for name, lane in self._core.table.items() if name != model}
        )

    def excuse(self, model: str, message: str | None) -> None:
        """Let requests for a model that nothing answers say why; None: it is answered."""
        excuses = {name: said for name, said in self._core.unserved.items() if name != model}
        if message is not None and model not in self._core.table:
            excuses[model] = message
        self._core.unserved = MappingProxyType(excuses)

    def sleep(self, asleep: Mapping[str, str]) -> None:
        """These models are loaded when a request asks for them, each with this version."""
        self._asleep = asleep
        stranded = {model: route.stable for model, route in self._core.stranded.items()}
        self._core.dormant = MappingProxyType({**stranded, **asleep})

    def strand(self, model: str, route: Route | None, *, broken: bool) -> None:
        """Let versions that requests name answer for a model whose stable version is `broken`.

        It stays so while that is tried again, until there is a lane, or another version is stable. No route:
        the model is not to be answered for, or sleeps.
        """
        was = self._core.stranded.get(model)
        stays = was is not None and route is not None and was.stable == route.stable
        now = None if model in self._core.table or not (broken or stays) else route
        if now is was:
            return
        others = {name: one for name, one in self._core.stranded.items() if name != model}
        self._core.stranded = MappingProxyType(others if now is None else {**others, model: now})
        self.sleep(self._asleep)
