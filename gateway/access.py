"""Who and what gets into this worker: its keys, the gate, the TLS and the limits of each of its ports.

Rules: one set of keys and one table of allowances for both ports; gates, certificates and counts are each
port's own. What is checked here may be replaced while the worker runs: `look` takes it up, once a second.

    data port       health and readiness open; metrics, statistics, index `read`; load, unload `operate`;
                    labels `labels:write`; everything else `infer`
    gRPC port       as the data port
    operator port   health open; GET and HEAD `read`; everything else `operate`
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

from gateway.settings import GatewaySettings
from groundwork.allowance import Allowance
from groundwork.clock import Clock
from groundwork.connection import Count
from groundwork.counters import Counters
from groundwork.denials import DENIED, Audit
from groundwork.gate import Gate, Keys
from groundwork.key_file import KeyFile
from groundwork.keys import INFER, LABELS_WRITE, OPERATE, READ
from groundwork.logs import Log
from groundwork.ports import HTTP_2, REFUSED, LimitSettings, Tls

LOOK_SECONDS: Final = 1.0
ALLOWANCE: Final = "allowance"
Name = Literal["http", "operator", "grpc"]

DATA_SCOPES: Final[Mapping[str, str | None]] = MappingProxyType(
    {
        "/v2/health/live": None,
        "/v2/health/ready": None,
        "/": None,
        "/ping": None,
        "/health": None,
        "/docs": None,
        "/v2/models/stats": READ,
        "/v2/models/{model}/stats": READ,
        "/v2/models/{model}/versions/{version}/stats": READ,
        "/v2/repository/index": READ,
        "/v2/repository/models/{model}/load": OPERATE,
        "/v2/repository/models/{model}/unload": OPERATE,
        "/v2/models/{model}/labels": LABELS_WRITE,
        "/metrics": READ,
    }
)
"""The scope of a template of the data port, where it is not INFER; None where no key is wanted."""


def data_scope(template: str) -> str | None:
    """The scope that a template of the data port wants; a new one wants INFER until it is named above."""
    return DATA_SCOPES.get(template, INFER)


class AccessControl:
    """The doors of one worker; owned by its loop."""

    def __init__(
        self, settings: GatewaySettings, place: int, workers: int, counters: Counters, clock: Clock, log: Log
    ) -> None:
        """SettingsError when keys or a certificate cannot be used, NoRoomError as `Allowance.shared`."""
        self.limits: LimitSettings = settings.limits
        self._counters = counters
        self._clock = clock
        self._log = log
        file = settings.keys.file
        table = Path(settings.data) / ALLOWANCE
        self.keys = Keys(Allowance.shared(table, place, workers) if file else Allowance.private(), clock)
        self._file = KeyFile(Path(file), self.keys.use, log) if file else None
        self.tls: Mapping[Name, Tls] = {
            "http": Tls("http.tls", settings.http.tls, log),
            "operator": Tls("operator.tls", settings.operator.tls, log),
            "grpc": Tls("grpc.tls", settings.grpc.tls, log, HTTP_2),
        }

    def gate(self, port: Name) -> Gate:
        """The gate of a port."""
        return Gate(self.keys, Audit(self._log.bind(port=port), self._denied(port), self._clock))

    def refused(self, port: Name) -> Count:
        """Where a port counts the connections it refuses."""

        def count(reason: str) -> None:
            self._add(REFUSED.name, {"port": port, "reason": reason})

        return count

    async def look(self) -> None:
        """Take up a changed keys file and renewed certificates; three stats where nothing has changed."""
        if self._file is not None:
            self._file.look()
        for tls in self.tls.values():
            tls.look()

    def _denied(self, port: Name) -> Callable[[str, str], None]:
        def count(reason: str, scope: str) -> None:
            self._add(DENIED.name, {"port": port, "reason": reason, "scope": scope})

        return count

    def _add(self, name: str, labels: Mapping[str, str]) -> None:
        self._counters.values[self._counters.series(name, labels)] += 1
