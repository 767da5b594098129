"""What models there are, as an operator sees them: registry, routes, workers and faults side by side.

Everything is read when it is asked for, in the caller's thread; nothing is kept.
"""

from collections.abc import Callable, Mapping
from typing import Final, Protocol, TypeVar

import msgspec

from gateway.errors import UnknownModelError
from gateway.metrics import LOADED
from gateway.options import options_of
from gateway.run_settings import RunSettings
from gateway.schedule import Schedule, seconds_for
from gateway.views import Models, ModelView, RunView
from groundwork.errors import DriftgateError
from groundwork.slot_readings import SlotsReader
from registry_client.registry import Registry
from rollouts.route import Route, percent

Faults = Mapping[tuple[str, str], str]
"""(model, version) to why it is not served in this worker; an empty version means the model itself."""

Schedules = Mapping[tuple[str, str], Schedule]
"""(model, version) to how this worker runs it."""

RUNS: Final = RunSettings()

T = TypeVar("T")


class _Known(msgspec.Struct, frozen=True):
    """What one look has found, by model and version: how many workers hold it, its fault, how it is run."""

    copies: Mapping[str, Mapping[str, int]]
    faults: Mapping[str, Mapping[str, str]]
    schedules: Mapping[str, Mapping[str, Schedule]]


class Routes(Protocol):
    """Where routes are read; see `rollouts.store.SqliteStore`."""

    def routes(self) -> Mapping[str, Route]:
        """Every route by model name."""
        ...

    def route(self, model: str) -> Route | None:
        """The route that stands, None where there is none."""
        ...


class Catalogue:
    """Views of models; used in threads."""

    def __init__(
        self,
        registry: Registry,
        store: Routes,
        slots: SlotsReader,
        faults: Callable[[], Faults],
        schedules: Callable[[], Schedules] = dict,
        runs: RunSettings = RUNS,
    ) -> None:
        self._registry = registry
        self._store = store
        self._slots = slots
        self._faults = faults
        self._schedules = schedules
        self._runs = runs

    def models(self) -> Models:
        """Every model of the registry and of the routes.

        Faults are a registry that cannot be read, and what lies in it like a model and is none.
        """
        routes, known, faults = self._store.routes(), self._known(), []
        names: list[str] = []
        try:
            names = self._registry.models()
            faults += [f"{place} is not served: {why}" for place, why in self._registry.strays().items()]
        except (DriftgateError, OSError) as error:
            faults.append(str(error))
        everything = sorted({*names, *routes})
        return Models([self._view(name, routes.get(name), known) for name in everything], faults)

    def model(self, name: str) -> ModelView:
        """One model; UnknownModelError when neither the registry nor a route knows it."""
        view = self._view(name, self._store.routes().get(name), self._known())
        if not view.versions and view.stable is None:
            raise UnknownModelError(f"there is no model {name[:100]!r} here; publish a version of it first")
        return view

    def versions(self, name: str) -> list[str]:
        """The versions of a model that the registry holds, in order; none where it cannot be read."""
        try:
            return self._registry.versions(name)
        except (DriftgateError, OSError):
            return []

    def _known(self) -> _Known:
        return _Known(_by_model(self._copies()), _by_model(self._faults()), _by_model(self._schedules()))

    def _view(self, name: str, route: Route | None, known: _Known) -> ModelView:
        faults = dict(known.faults.get(name, {}))
        versions: list[str] = []
        try:
            versions = self._registry.versions(name)
        except (DriftgateError, OSError) as error:
            faults[""] = str(error)
        loaded = {version: count for version, count in known.copies.get(name, {}).items() if count}
        runs = {version: _run(one) for version, one in known.schedules.get(name, {}).items()}
        options = msgspec.to_builtins(options_of(self._runs, name))
        view = ModelView(
            name=name, versions=versions, loaded=loaded, faults=faults, runs=runs, options=options
        )
        if route is None:
            return view
        return msgspec.structs.replace(
            view,
            revision=route.revision,
            stable=route.stable,
            candidate=route.candidate,
            weight=percent(route.weight),
            shadow=route.shadow,
            previous=route.previous,
            rollout=route.rollout,
            unloaded=route.unloaded,
        )

    def _copies(self) -> dict[tuple[str, str], int]:
        """In how many live workers each (model, version) is in memory."""
        copies: dict[tuple[str, str], int] = {}
        for slot in self._slots.read():
            for key, value in slot.series.items():
                if slot.alive and key.name == LOADED:
                    labels = dict(key.labels)
                    place = (labels["model"], labels["version"])
                    copies[place] = copies.get(place, 0) + value
        return copies


def _by_model(found: Mapping[tuple[str, str], T]) -> dict[str, dict[str, T]]:
    """(model, version) to a value, as model to version to it."""
    models: dict[str, dict[str, T]] = {}
    for (model, version), value in found.items():
        models.setdefault(model, {})[version] = value
    return models


def _run(schedule: Schedule) -> RunView:
    measured, rows = schedule.measured, schedule.batch_rows
    return RunView(
        schedule.mode,
        rows,
        seconds_for(measured.times, 1),
        seconds_for(measured.times, rows) / rows,
        measured.handoff,
        measured.agreement,
        measured.deviation,
        schedule.reason,
        measured.opening,
        measured.copied,
    )
