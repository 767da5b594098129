"""`driftgate serve`: the gateway alone."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import click
import msgspec

from driftgate import settings, show
from driftgate.cli.options import flag_names, gateway_options, program_options, typed
from driftgate.in_force import InForce, bound, in_force, of_gateway
from driftgate.ready import ready_file
from driftgate.telling import gateway_places, greet, told
from driftgate.verbs import TaughtCommand
from gateway import supervisor
from gateway.listeners import Addresses
from gateway.renewal import Reload
from gateway.settings import GatewaySettings
from gateway.sizing import sized
from groundwork.logs import Log
from groundwork.processors import processors
from groundwork.settings import Loaded


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
    source = Source(config_file, flag_names(flags))
    gateway = source.gateway

    def work(log: Log) -> int:
        with ready_file(ready_path) as write:

            def ready(addresses: Addresses) -> None:
                source.addresses = addresses
                write(addresses)
                show_it = functools.partial(_greet, addresses, sized(gateway, processors()))
                greet(gateway.messages, log, show_it, **msgspec.structs.asdict(addresses))

            return supervisor.run(gateway, ready, Reload(source.read, source.done, source.in_force))

    return told(gateway.messages, work)


def _greet(addresses: Addresses, gateway: GatewaySettings) -> None:
    places = gateway_places(
        http=addresses.http,
        grpc=addresses.grpc,
        operator=addresses.operator,
        status=typed("driftgate rollout status MODEL", "--operator", addresses.operator),
        models=gateway.models,
        workers=gateway.workers,
    )
    metrics = ("metrics", f"{addresses.operator}/metrics", "of all workers")
    state = ("state", gateway.data, f"Ctrl-C or kill {addresses.pid} stops in order")
    show.table(("WHAT", "WHERE", ""), (*places, metrics, state))


class Source:
    """Where the settings of one gateway come from: those in force, and those that may come to be.

    `addresses` are where it listens, once it does. SettingsError when settings cannot be honoured.
    """

    def __init__(self, config_file: Path | None, flags: dict[str, Any]) -> None:
        self._file = config_file
        self._flags = flags
        self.addresses: Addresses | None = None
        self._given = self._offered = self._load()

    @property
    def gateway(self) -> GatewaySettings:
        """Those in force."""
        return settings.gateway_settings(self._given.value)

    def read(self, _current: GatewaySettings) -> GatewaySettings:
        """What file, variables and flags say now."""
        self._offered = self._load()
        return settings.gateway_settings(self._offered.value)

    def done(self, taken: bool) -> None:  # noqa: FBT001  as `Reload.done` is called
        """What was read last is in force, or is not."""
        if taken:
            self._given = self._offered

    def in_force(self) -> InForce:
        """What is told of those in force, with the ports that it has."""
        told = in_force(self._given, of_gateway(), sized(self.gateway, processors()))
        at = self.addresses
        return told if at is None else bound(told, http=at.http, operator=at.operator, grpc=at.grpc)

    def _load(self) -> Loaded[msgspec.Struct]:
        return settings.load(self._file, self._flags)
