"""A data folder and a registry for a doctor, and ways to hurt them."""

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

from driftgate.doctor.examination import examine
from driftgate.doctor.finding import Finding, Subject
from gateway.settings import GatewaySettings, PortSettings
from monitor.settings import MonitorSettings
from registry_client.directory import DirectoryRegistry
from tests.driftgate.doctor import folders
from tests.monitor import worlds

DAY = 86_400 * 10**9


class Patient:
    """A data folder and a registry, and what a doctor says of them."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.models = folder / "models"
        self.now = folders.NOW + DAY
        folders.build(self.data)
        worlds.fill(DirectoryRegistry(str(self.models), None), "1", "2")

    def examine(self, **changes: Any) -> list[Finding]:
        """Every finding; ports 0, so that nothing else on this machine matters."""
        ports = {"http": PortSettings(0), "operator": PortSettings(0), **changes}
        gateway = GatewaySettings(data=str(self.data), models=str(self.models), **ports)
        monitor = MonitorSettings(data=str(self.data), models=str(self.models), port=0)
        return examine(Subject(gateway, monitor, self.data, self.now, running=False))

    def faults(self, area: str, **changes: Any) -> list[Finding]:
        """What is not well in an area."""
        return [found for found in self.examine(**changes) if found.area == area and found.level != "ok"]


def flip(path: Path) -> None:
    """Damage the middle of a database, where its rows are."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    body = bytearray(path.read_bytes())
    for at in range(4096, len(body), 512):
        body[at : at + 64] = b"\xff" * 64
    path.write_bytes(body)


def make_newer(path: Path) -> None:
    """Let a later program have written this database."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 9")
