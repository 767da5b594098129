"""Why versions are not in memory: what was said of each when it failed, when, and what the log was told.

Rules: what is known now is one mapping, replaced and never changed, for threads read it. It tries nothing
again: whoever loads does (`gateway.reconcile`).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

import msgspec

from gateway.errors import OverBudgetError
from groundwork.clock import Clock
from groundwork.errors import DriftgateError
from groundwork.logs import Log

Key = tuple[str, str]
"""A model and one of its versions."""


class Display(Protocol):
    """Where a worker shows what it cannot load; see `gateway.presence.Presence`."""

    def failed(self, model: str, version: str, *, now: bool) -> None:
        """A version can, or cannot, be loaded."""
        ...


class Fault(msgspec.Struct, frozen=True):
    """Why a version is not in memory, and when (monotonic seconds) it was last tried."""

    message: str
    at: float


class Faults:
    """Those of one worker; owned by its loop. `now` are the versions that failed when last tried."""

    def __init__(self, shown: Display, clock: Clock, log: Log) -> None:
        self.now: Mapping[Key, Fault] = MappingProxyType({})
        self._shown = shown
        self._clock = clock
        self._log = log
        # What the log was last told of each version that failed: a retry that fails alike is not told again.
        self._told: dict[Key, str] = {}

    def note(self, key: Key, error: BaseException) -> str:
        """It failed; returns what is said of it. One for which there is no room is not shown as broken."""
        message = str(error) if isinstance(error, DriftgateError) else f"{type(error).__name__}: {error}"
        self.now = MappingProxyType({**self.now, key: Fault(message, self._clock.monotonic())})
        self._shown.failed(*key, now=not isinstance(error, OverBudgetError))
        if self._told.get(key) != message:
            self._told[key] = message
            self._log.error("version-not-loaded", model=key[0], version=key[1], fault=message)
        return message

    def forget(self, key: Key) -> None:
        """It is loaded: the next failure is told, whatever it is."""
        self._told.pop(key, None)
        self.forgive(key)

    def forgive(self, key: Key) -> None:
        """It may be tried again."""
        if key in self.now:
            self.now = MappingProxyType({other: fault for other, fault in self.now.items() if other != key})
            self._shown.failed(*key, now=False)

    def tried_before(self, seconds: float) -> list[Key]:
        """Those that were last tried so long ago, or longer."""
        now = self._clock.monotonic()
        return [key for key, fault in self.now.items() if now - fault.at >= seconds]
