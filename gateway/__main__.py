"""The gateway as a program: `python -m gateway SETTINGS.json [--ready-file FILE] [--in-force FILE] [--ask]`.

The settings are `GatewaySettings` as JSON, whole: whoever starts us has merged files, variables and flags.
The ready file appears when every worker answers: {"http": URL, "operator": URL, "pid": N, "grpc":
"HOST:PORT"}, the last one null where gRPC is not offered. SIGHUP reads SETTINGS.json again; with `--ask`,
whoever started us is asked, over standard input. What is told of the settings in force is the JSON in the
file `--in-force`, which whoever started us keeps.
"""

import argparse
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from gateway import supervisor
from gateway.listeners import Addresses
from gateway.reload import RestartError, with_ports_of
from gateway.renewal import Reload
from gateway.settings import GatewaySettings
from groundwork import decoders
from groundwork.clock import SystemClock
from groundwork.errors import DriftgateError, SettingsError
from groundwork.files import said_of, write_atomic
from groundwork.logs import program_log


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the gateway until it is told to stop; 0 done, 1 failed, 2 misused."""
    parser = argparse.ArgumentParser(prog="python -m gateway", description="Run Driftgate's gateway.")
    parser.add_argument("settings", type=Path, help="GatewaySettings as JSON")
    parser.add_argument("--ready-file", type=Path, help="written when every worker answers")
    parser.add_argument("--in-force", type=Path, help="what is told of the settings in force, as JSON")
    parser.add_argument("--ask", action="store_true", help="ask for changed settings on standard input")
    given = parser.parse_args(arguments)
    ready_file: Path | None = given.ready_file

    try:
        settings = decoders.json_of(GatewaySettings).decode(given.settings.read_bytes())
    except (OSError, msgspec.DecodeError) as error:
        print(f"gateway: {error}", file=sys.stderr)  # noqa: T201  the one line of a program that cannot run
        return 1
    try:
        line = socket.socket(fileno=os.dup(0)) if given.ask else None
        source = _reading(given.settings) if line is None else _asking(line)
        file: Path | None = given.in_force
        if file is not None:
            source = msgspec.structs.replace(source, in_force=lambda: msgspec.json.decode(file.read_bytes()))
        return supervisor.run(settings, lambda addresses: _tell(addresses, ready_file, line), source)
    except (DriftgateError, OSError) as error:
        fault = said_of(error) if isinstance(error, OSError) else error
        program_log(settings.messages, SystemClock()).error("gateway-failed", fault=fault)
        return 1


def _tell(addresses: Addresses, ready_file: Path | None, line: socket.socket | None) -> None:
    """Every worker answers: say so in the file, and to whoever started us."""
    if ready_file is not None:
        write_atomic(ready_file, msgspec.json.encode(addresses))
    if line is not None:
        line.sendall(b"ready\n")


_GONE: Final = b'{"error": "whoever started the gateway is gone; start it again with the new settings"}'


class _Offer(msgspec.Struct, frozen=True):
    """What whoever started us says of the settings now, and what they said before; or why it cannot."""

    settings: GatewaySettings = GatewaySettings()
    given: GatewaySettings = GatewaySettings()
    error: str = ""
    code: str = ""


def _asking(line: socket.socket) -> Reload:
    """Settings from whoever started us (see `driftgate.reloading`), to whom standard input is a socket."""
    answers = line.makefile("rb")

    def read(current: GatewaySettings) -> GatewaySettings:
        line.sendall(b"read\n")
        offer = decoders.json_of(_Offer).decode(answers.readline() or _GONE)
        if offer.error:
            raise (RestartError if offer.code == RestartError.code else SettingsError)(offer.error)
        return with_ports_of(offer.settings, offer.given, current)

    return Reload(read, lambda taken: line.sendall(b"taken\n" if taken else b"kept\n"))


def _reading(file: Path) -> Reload:
    """Settings from the same file again."""

    def read(_current: GatewaySettings) -> GatewaySettings:
        try:
            return decoders.json_of(GatewaySettings).decode(file.read_bytes())
        except msgspec.DecodeError as error:
            raise SettingsError(f"{file}: {error}") from error

    return Reload(read)


if __name__ == "__main__":
    sys.exit(main())
