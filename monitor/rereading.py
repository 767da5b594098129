"""SIGHUP, for a monitor that somebody started by itself: what can be read again is, and the rest is named.

Keys and certificates are taken up at once, as they are anyway within a second. Any other setting that was
changed wants a restart, which forgets nothing; one line of the log says which, and the monitor goes on by
those that it has. `driftgate up` restarts its monitor for it.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec

from groundwork.errors import DriftgateError
from groundwork.logs import Log
from groundwork.settings import differences
from monitor.settings import MonitorSettings

Reread = Callable[[], MonitorSettings]
"""The settings as files, variables and flags say now; blocking, SettingsError or OSError."""
SHARED: Final = frozenset({"data", "models", "keys", "limits", "messages", "traces"})
"""Settings that stand outside the section `monitor`, for gateway and monitor together."""


class Rereading:
    """Looks again whenever it is asked; used on the program's loop."""

    def __init__(self, given: MonitorSettings, read: Reread, look: Callable[[], object], log: Log) -> None:
        """`look` takes up keys and certificates."""
        self._given = given
        self._read = read
        self._look = look
        self._log = log
        self._looking: set[asyncio.Task[None]] = set()

    def begin(self) -> None:
        """Look again, in the background; what comes of it is a line of the log."""
        task = asyncio.create_task(self.again())
        self._looking.add(task)
        task.add_done_callback(self._looking.discard)

    async def again(self) -> None:
        """Take up keys and certificates, and say which settings want a restart; never raises for settings."""
        self._look()
        try:
            new = await asyncio.to_thread(self._read)
        except (DriftgateError, msgspec.DecodeError, OSError) as error:
            self._log.error("settings-not-reread", fault=error)
            return
        changed = ", ".join(changes(self._given, new))
        if not changed:
            self._log.info("settings-reread", changed="nothing")
            return
        self._log.warning("settings-need-restart", changed=changed, remedy="restart; it forgets nothing")


def changes(old: MonitorSettings, new: MonitorSettings) -> list[str]:
    """The names of all settings that differ, as people write them, in the order of declaration."""
    return [_full(name) for name in differences(old, new)]


def _full(name: str) -> str:
    return name if name.split(".", maxsplit=1)[0] in SHARED else f"monitor.{name}"
