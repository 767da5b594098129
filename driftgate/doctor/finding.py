"""One line of a doctor's report: what was looked at, how it is, and what to do when it is not well."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from gateway.settings import GatewaySettings
from monitor.settings import MonitorSettings

Level = Literal["ok", "warn", "fail"]


class Finding(msgspec.Struct, frozen=True):
    """`do` is empty where nothing is to be done."""

    area: str
    level: Level
    what: str
    do: str = ""


class Subject(msgspec.Struct, frozen=True):
    """What is looked at: the settings in force, where they lead, and the time (unix ns)."""

    gateway: GatewaySettings
    monitor: MonitorSettings
    data: Path
    now: int
    running: bool
    """Whether a gateway holds the data folder."""


def ok(area: str, what: str) -> Finding:
    """All is well."""
    return Finding(area, "ok", what)


def warn(area: str, what: str, do: str) -> Finding:
    """It works, and will not for ever."""
    return Finding(area, "warn", what, do)


def fail(area: str, what: str, do: str) -> Finding:
    """It does not work."""
    return Finding(area, "fail", what, do)


def one_line(error: Exception) -> str:
    """What an error says, on one line."""
    return " ".join(str(error).split()) or type(error).__name__
