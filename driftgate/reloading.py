"""How `driftgate up` and its gateway agree on changed settings, over the gateway's standard input.

    gateway → us    ready           every worker answers; signals are heeded
    gateway → us    read            somebody wants a reload; what do the settings say now?
    us → gateway    Settings        them, and those given before; or why not
    gateway → us    taken           workers answer by them; or `kept`: nothing was changed

The gateway alone decides, and says so where it was asked (a signal, the operator API). The monitor forgets
nothing at a restart; so what changed for it is taken up by starting it again, once the gateway has agreed.
The other end is in `gateway.__main__`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from gateway.reload import RestartError, restart_needed
from gateway.settings import GatewaySettings
from groundwork.errors import DriftgateError, SettingsError
from groundwork.settings import value_of
from monitor.settings import MonitorSettings


class Given(msgspec.Struct, frozen=True):
    """The settings of both programs, and what is told of them (`driftgate.in_force`)."""

    gateway: GatewaySettings
    monitor: MonitorSettings
    in_force: Mapping[str, Any]


Read = Callable[[], Given]
"""The settings as files, variables and flags say now; SettingsError."""
MONITOR_HELD: Final = ("host", "port", "data", "models")


class Reloading:
    """Our end; `given` are the settings in force, `taken` is told those that come into force.

    `ready` is called whenever a gateway is.
    """

    def __init__(
        self,
        given: Given,
        read: Read,
        taken: Callable[[Given], object],
        ready: Callable[[], object] = lambda: None,
    ) -> None:
        self._given = given
        self._read = read
        self._taken = taken
        self._ready = ready
        self._offered: Given | None = None

    async def serve(self, ours: socket.socket) -> None:
        """Answer one gateway until it closes the line."""
        reader, writer = await asyncio.open_connection(sock=ours)
        with contextlib.suppress(OSError):
            while line := await reader.readline():
                word = line.strip()
                if word == b"read":
                    writer.write(await self._offer() + b"\n")
                elif word == b"taken" and self._offered is not None:
                    self._given = self._offered
                    self._taken(self._given)
                elif word == b"ready":
                    self._ready()
        writer.close()

    async def _offer(self) -> bytes:
        try:
            new = await asyncio.to_thread(self._read)
            check_monitor(self._given.monitor, new.monitor)
        except (DriftgateError, OSError) as error:
            code = error.code if isinstance(error, DriftgateError) else SettingsError.code
            return msgspec.json.encode({"error": str(error), "code": code})
        except Exception as error:  # noqa: BLE001  whatever a file holds, the line is there for the next reload
            said = f"the settings cannot be read ({type(error).__name__}: {error}); correct them"
            return msgspec.json.encode({"error": said, "code": SettingsError.code})
        self._offered = new
        return msgspec.json.encode({"settings": new.gateway, "given": self._given.gateway})


def check_monitor(old: MonitorSettings, new: MonitorSettings) -> None:
    """RestartError for what is known of a monitor outside: its address, folders, whether it speaks TLS."""
    held = [f"monitor.{name}" for name in MONITOR_HELD if value_of(old, name) != value_of(new, name)]
    if bool(old.tls.cert) != bool(new.tls.cert):
        held.append("monitor.tls.cert")
    if held:
        raise RestartError(restart_needed(held))
