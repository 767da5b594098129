"""Who and what gets into the monitor's API: keys, TLS, limits, and the counts of what was refused.

    /healthz open; GET and HEAD `read`; everything else `operate`

Rules: a rate or a concurrency of a key is counted here apart from the gateway's. What was refused is counted
since the program started; unlike the monitor's other counts it is no part of its state.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import uvicorn

from groundwork.allowance import Allowance
from groundwork.clock import Clock
from groundwork.connection import BoundedConnection
from groundwork.denials import DENIED, Audit
from groundwork.gate import Gate, Guarded, Keys, api_scope
from groundwork.http_config import config_of
from groundwork.key_file import KeyFile
from groundwork.logs import Log
from groundwork.ports import REFUSED, Tls
from groundwork.series import SeriesKey
from monitor.metrics import key
from monitor.settings import MonitorSettings

LOOK_SECONDS: Final = 1.0
INSTRUMENTS: Final = (DENIED, REFUSED)
_PORT: Final = "monitor"
_PARTING_SECONDS: Final = 3


class AccessControl:
    """The door of the monitor; owned by its loop."""

    def __init__(self, settings: MonitorSettings, clock: Clock, log: Log) -> None:
        """SettingsError when the keys file or a certificate cannot be used."""
        log = log.bind(port=_PORT)
        file = settings.keys.file
        self._settings = settings
        self._counts: dict[SeriesKey, int] = {}
        self._keys = Keys(Allowance.private(), clock)
        self._file = KeyFile(Path(file), self._keys.use, log) if file else None
        self._tls = Tls("monitor.tls", settings.tls, log)
        self._gate = Gate(self._keys, Audit(log, self._denied, clock))

    @property
    def scheme(self) -> str:
        """How the API's URL begins."""
        return "http" if self._tls.context is None else "https"

    def server_config(self, app: Callable[..., Any]) -> uvicorn.Config:
        """How uvicorn serves `app`: behind the gate, with bounded connections, over TLS where it is set."""
        connection = functools.partial(BoundedConnection, limits=self._settings.limits, count=self._refused)
        guarded = Guarded(app, self._gate, api_scope)
        config = config_of(guarded, connection, timeout_graceful_shutdown=_PARTING_SECONDS)
        config.ssl = self._tls.context
        return config

    def look(self) -> None:
        """Take up changed keys and a renewed certificate; a stat each where nothing has changed."""
        if self._file is not None:
            self._file.look()
        self._tls.look()

    def series(self) -> dict[SeriesKey, int]:
        """What was refused so far."""
        return dict(self._counts)

    def _denied(self, reason: str, scope: str) -> None:
        self._add(key(DENIED.name, port=_PORT, reason=reason, scope=scope))

    def _refused(self, reason: str) -> None:
        self._add(key(REFUSED.name, port=_PORT, reason=reason))

    def _add(self, series: SeriesKey) -> None:
        self._counts[series] = self._counts.get(series, 0) + 1
