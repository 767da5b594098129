"""`python -m monitor SETTINGS.json READY.json [IN_FORCE.json]`: the monitor alone, all by files.

IN_FORCE.json is what its API tells of the settings in force; whoever started it keeps that file.

Exit status 0 when it was stopped, 1 when it refused or failed, 2 when it was called wrongly.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from groundwork import decoders
from groundwork.clock import SystemClock
from groundwork.errors import DriftgateError
from groundwork.files import said_of, write_atomic
from groundwork.logs import program_log
from monitor.api import untold
from monitor.app import run
from monitor.settings import MonitorSettings

_ARGUMENTS = (3, 4)
# On a machine that it shares with a gateway the monitor gives way, its pipeline more (`monitor.priority`).
_NICENESS = 5


def main(arguments: list[str]) -> int:
    """Read the settings, run, and say in READY.json where the API is: {"monitor": URL, "pid": N}."""
    if len(arguments) not in _ARGUMENTS:
        sys.stderr.write("usage: python -m monitor SETTINGS.json READY.json [IN_FORCE.json]\n")
        return 2
    file, ready = Path(arguments[1]), Path(arguments[2])
    try:
        settings = _read(file)
    except (OSError, msgspec.DecodeError) as error:
        sys.stderr.write(f"monitor: {error}\n")
        return 1
    try:
        return run(settings, lambda url: _tell(ready, url), lambda: _read(file), _in_force(arguments[3:]))
    except (DriftgateError, OSError) as error:
        fault = said_of(error) if isinstance(error, OSError) else error
        program_log(settings.messages, SystemClock()).error("monitor-failed", fault=fault)
        return 1


def _read(file: Path) -> MonitorSettings:
    return decoders.json_of(MonitorSettings).decode(file.read_bytes())


def _in_force(named: list[str]) -> Callable[[], Any]:
    """What is told of the settings: what the file says that is named, if one is."""
    return (lambda: msgspec.json.decode(Path(named[0]).read_bytes())) if named else untold


def _tell(ready: Path, url: str) -> None:
    write_atomic(ready, msgspec.json.encode({"monitor": url, "pid": os.getpid()}))


if __name__ == "__main__":
    os.nice(_NICENESS)
    sys.exit(main(sys.argv))
