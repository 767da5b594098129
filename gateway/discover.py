"""Find models that have no route yet, and give each its first one.

Publishing never changes what answers; but a model that nobody has ever routed would answer nothing for ever.
So the first worker that sees it writes revision 1, with the highest version of that moment as stable. The
write is a compare-and-swap: of several workers that see the model at once, one writes and all agree.

Runs in a thread: listing a registry may take as long as its place does.
"""

from collections.abc import Collection
from typing import Protocol

from groundwork.errors import DriftgateError
from groundwork.logs import Log
from registry_client.registry import Registry

ACTOR = "gateway"


class Firsts(Protocol):
    """Where first routes are written; see `rollouts.store.SqliteStore.ensure_first`."""

    def ensure_first(self, model: str, stable: str, actor: str) -> object:
        """Write revision 1 unless there is a route."""
        ...


class Discovery:
    """Looks for new models; one look at a time."""

    def __init__(self, registry: Registry, store: Firsts, log: Log) -> None:
        self._registry = registry
        self._store = store
        self._log = log
        self.faults: dict[str, str] = {}

    def look(self, routed: Collection[str]) -> None:
        """Route every model that is not in `routed`; a fault is kept under its model's name and said once.

        A registry that cannot be read is a fault under the empty name: what is loaded answers on.
        """
        found: dict[str, str] = {}
        try:
            for model in self._registry.models():
                if model not in routed:
                    self._first(model, found)
        except (DriftgateError, OSError) as error:
            found[""] = str(error)
        for model, fault in found.items():
            if self.faults.get(model) != fault:
                if model:
                    self._log.error("model-not-routed", model=model, fault=fault)
                else:
                    self._log.error("registry-not-read", fault=fault)
        self.faults = found

    def _first(self, model: str, found: dict[str, str]) -> None:
        try:
            versions = self._registry.versions(model)
            if versions:
                self._store.ensure_first(model, versions[-1], ACTOR)
        except (DriftgateError, OSError) as error:
            found[model] = str(error)
