"""Says what lies in the registry like a model and is not served, once for all workers, by the supervisor.

It looks at the start and then by the minute; what was said is said again when it changes or comes back. A
registry that cannot be opened is told of by the workers.
"""

from collections.abc import Callable, Mapping
from typing import Final

from groundwork.clock import Clock
from groundwork.errors import DriftgateError
from groundwork.logs import Log
from registry_client.registry import Registry

LOOK_SECONDS: Final = 60.0


class StrayWatch:
    """The watch over one registry; used by one thread at a time."""

    def __init__(self, registry: Callable[[], Registry], clock: Clock, log: Log) -> None:
        """`registry` is opened at each look."""
        self._registry = registry
        self._clock = clock
        self._log = log
        self._next = clock.monotonic()
        self._said: Mapping[str, str] = {}

    def look(self) -> None:
        """Say what is new, where it is time to look; never raises."""
        now = self._clock.monotonic()
        if now < self._next:
            return
        self._next = now + LOOK_SECONDS
        try:
            found = self._registry().strays()
        except DriftgateError:
            return
        for place, why in found.items():
            if self._said.get(place) != why:
                self._log.warning("not-a-model", place=place, why=why)
        self._said = found
