"""The versions this worker has in memory: loaded off the event loop, verified, warmed up, let go when idle."""

from collections.abc import Mapping
from typing import Protocol

from gateway.journal import Journal
from gateway.model import LoadedModel
from gateway.settings import GatewaySettings
from groundwork.clock import Clock
from groundwork.counters import Counters
from registry_client.registry import Registry


class Fleet:
    """Loads and releases versions; used on one event loop."""

    def __init__(
        self, registry: Registry, journal: Journal, counters: Counters, settings: GatewaySettings, clock: Clock
    ) -> None: ...

    @property
    def loaded(self) -> Mapping[tuple[str, str], LoadedModel]:
        """(model, version) to what is in memory now; a live view."""
        ...

    async def load(self, model: str, version: str, *, joins: LoadedModel | None = None) -> LoadedModel:
        """The version, loaded at most once at a time; what is loaded already is returned as it is.

        `joins` is the version it is to stand beside or after: its requests must fit (IncompatibleSignatureError).
        UnknownModelError or UnknownVersionError when the registry has none; LoadError for everything else, in
        one line; nothing that was loaded before is touched.
        """
        ...

    async def release(self, loaded: LoadedModel) -> None:
        """Forget a version that no table names any more, once its last request has been answered."""
        ...
