"""`driftgate serve`: the gateway alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from driftgate import settings
from driftgate.cli.options import flag_names, gateway_options, program_options
from driftgate.ready import ready_file
from driftgate.telling import greet, told
from driftgate.verbs import TaughtCommand
from gateway import supervisor
from gateway.listeners import Addresses
from gateway.renewal import Reload
from gateway.settings import GatewaySettings
from groundwork.logs import Log


@click.command(
    cls=TaughtCommand,
    examples=(
        "driftgate serve --models models --data data",
        "driftgate serve --config driftgate.yaml --workers 8 --http-port 80",
    ),
)
@gateway_options
@program_options
def serve(config_file: Path | None, ready_path: Path | None, **flags: Any) -> int:
    """Start the gateway alone.

    Predictions, rollouts and the prediction log work without the monitor; what needs labels or drift waits
    for it, and a step that asks for proof of accuracy is not left before. The settings are those of
    `driftgate up`, and so is what signals do.
    """
    value = settings.load(config_file, flag_names(flags)).value

    gateway = settings.gateway_settings(value)

    def read(_current: GatewaySettings) -> GatewaySettings:
        return settings.gateway_settings(settings.load(config_file, flag_names(flags)).value)

    def work(log: Log) -> int:
        with ready_file(ready_path) as write:

            def ready(addresses: Addresses) -> None:
                write(addresses)
                line = f"predictions {addresses.http}/v2   rollouts {addresses.operator}"
                greet(gateway.messages, log, lambda: click.echo(line), **msgspec.structs.asdict(addresses))

            return supervisor.run(gateway, ready, Reload(read))

    return told(gateway.messages, work)
