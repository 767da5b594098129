"""Find models that have no route yet, and give each its first one.

Publishing never changes what answers; but a model that nobody has ever routed would answer nothing for ever.
So the first worker that sees it writes revision 1, with the highest version of that moment as stable. The
write is a compare-and-swap: of several workers that see the model at once, one writes and all agree.

Runs in a thread: listing a registry may take as long as its place does.
"""

import threading
from collections.abc import Collection, Mapping
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
    """Looks for new models, from any thread; one look at a time, others wait for it."""

    def __init__(self, registry: Registry, store: Firsts, log: Log) -> None:
        self._registry = registry
        self._store = store
        self._log = log
        self.faults: Mapping[str, str] = {}
        self._looking = threading.Lock()

    def look(self, routed: Collection[str]) -> None:
        """Route every model that is not in `routed`; a fault is kept under its model's name and said once.

        A registry that cannot be read is a fault under the empty name: what is loaded answers on.
        """
        with self._looking:
            found = self._found(routed)
            for model, fault in found.items():
                if self.faults.get(model) != fault:
                    if model:
                        self._log.error("model-not-routed", model=model, fault=fault)
                    else:
                        self._log.error("registry-not-read", fault=fault)
            self.faults = found

    def _found(self, routed: Collection[str]) -> dict[str, str]:
        """Route what has no route; the faults by model."""
        found: dict[str, str] = {}
        try:
            for model in self._registry.models():
                if model not in routed:
                    self._first(model, found)
        except (DriftgateError, OSError) as error:
            found[""] = str(error)
        return found

    def _first(self, model: str, found: dict[str, str]) -> None:
        try:
            versions = self._registry.versions(model)
            if versions:
                self._store.ensure_first(model, versions[-1], ACTOR)
        except (DriftgateError, OSError) as error:
            found[model] = str(error)
