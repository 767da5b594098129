"""`python -m monitor SETTINGS.json READY.json`: the monitor alone, settings and readiness by file.

Exit status 0 when it was stopped, 1 when it refused or failed, 2 when it was called wrongly.
"""

import os
import sys
from pathlib import Path

import msgspec

from groundwork.clock import SystemClock
from groundwork.errors import DriftgateError
from groundwork.files import said_of, write_atomic
from groundwork.logs import program_log
from monitor.app import run
from monitor.settings import MonitorSettings

_ARGUMENTS = 3
# On a machine that it shares with a gateway the monitor gives way, its pipeline more (`monitor.priority`).
_NICENESS = 5


def main(arguments: list[str]) -> int:
    """Read the settings, run, and say in READY.json where the API is: {"monitor": URL, "pid": N}."""
    if len(arguments) != _ARGUMENTS:
        sys.stderr.write("usage: python -m monitor SETTINGS.json READY.json\n")
        return 2
    file, ready = Path(arguments[1]), Path(arguments[2])
    try:
        settings = _read(file)
    except (OSError, msgspec.DecodeError) as error:
        sys.stderr.write(f"monitor: {error}\n")
        return 1
    try:
        return run(settings, lambda url: _tell(ready, url), lambda: _read(file))
    except (DriftgateError, OSError) as error:
        fault = said_of(error) if isinstance(error, OSError) else error
        program_log(settings.messages, SystemClock()).error("monitor-failed", fault=fault)
        return 1


def _read(file: Path) -> MonitorSettings:
    return msgspec.json.decode(file.read_bytes(), type=MonitorSettings)


def _tell(ready: Path, url: str) -> None:
    write_atomic(ready, msgspec.json.encode({"monitor": url, "pid": os.getpid()}))


if __name__ == "__main__":
    os.nice(_NICENESS)
    sys.exit(main(sys.argv))
