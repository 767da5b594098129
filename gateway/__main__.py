"""The gateway as a program: `python -m gateway SETTINGS.json [--ready-file FILE]`.

The settings are `GatewaySettings` as JSON, whole: whoever starts us has merged files, variables and flags.
The ready file appears when every worker answers: {"http": URL, "operator": URL, "grpc": "HOST:PORT",
"pid": N}, `grpc` null where it is not offered.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from gateway import supervisor
from gateway.listeners import Addresses
from gateway.settings import GatewaySettings
from groundwork.clock import SystemClock
from groundwork.errors import DriftgateError
from groundwork.files import write_atomic
from groundwork.logs import program_log


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the gateway until it is told to stop; 0 done, 1 failed, 2 misused."""
    parser = argparse.ArgumentParser(prog="python -m gateway", description="Run Driftgate's gateway.")
    parser.add_argument("settings", type=Path, help="GatewaySettings as JSON")
    parser.add_argument("--ready-file", type=Path, help="written when every worker answers")
    given = parser.parse_args(arguments)
    ready_file: Path | None = given.ready_file

    def ready(addresses: Addresses) -> None:
        if ready_file is not None:
            write_atomic(ready_file, msgspec.json.encode(addresses))

    try:
        settings = msgspec.json.decode(given.settings.read_bytes(), type=GatewaySettings)
    except (OSError, msgspec.DecodeError) as error:
        print(f"gateway: {error}", file=sys.stderr)  # noqa: T201  the one line of a program that cannot run
        return 1
    try:
        return supervisor.run(settings, ready)
    except (DriftgateError, OSError) as error:
        program_log(settings.messages, SystemClock()).error("gateway-failed", fault=error)
        return 1


if __name__ == "__main__":
    sys.exit(main())
