"""`driftgate up`: gateway and monitor together."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import click
import msgspec

from driftgate import ring, settings, show
from driftgate.cli.options import flag_names, gateway_options, monitor_port_option, program_options, typed
from driftgate.extras import require
from driftgate.in_force import in_force
from driftgate.ready import ready_file
from driftgate.reloading import Given
from driftgate.telling import gateway_places, greet, told
from driftgate.verbs import TaughtCommand
from gateway.sizing import sized
from groundwork.logs import Log
from groundwork.processors import processors


@click.command(
    cls=TaughtCommand,
    examples=(
        "driftgate up --models models --data data",
        "driftgate up --models models --data data --workers 4 --config driftgate.yaml",
        "driftgate up --http-port 0 --operator-port 0 --monitor-port 0 --ready-file ready.json",
    ),
)
@gateway_options
@monitor_port_option
@program_options
def up(config_file: Path | None, ready_path: Path | None, **flags: Any) -> int:
    """Start gateway and monitor together, and stop them in order.

    Every version found under --models is loaded when it is asked for; a model seen for the first time is
    answered by its highest version. SIGTERM or Ctrl-C stops: requests in flight finish, the log is written
    out, the monitor reads to its end; a second one ends everything at once. SIGHUP takes up changed settings
    (`driftgate config reload`), SIGUSR1 replaces the workers one by one. Settings come from defaults,
    --config, DRIFTGATE_ variables and the flags here, in rising order; `driftgate config show` lists them
    all, with `--running` those that are in force.
    """
    require("monitor")
    read = functools.partial(_read, config_file, flag_names(flags))
    given = read()
    gateway = given.gateway

    def work(log: Log) -> int:
        with ready_file(ready_path) as write:

            def ready(addresses: ring.Addresses) -> None:
                write(addresses)
                show_it = functools.partial(_greet, addresses, gateway.models, gateway.data, gateway.workers)
                greet(gateway.messages, log, show_it, **msgspec.structs.asdict(addresses))

            return ring.run(
                given, ready=ready, tell=lambda line: log.warning("program-ended", says=line), reread=read
            )

    return told(gateway.messages, work)


def _read(config_file: Path | None, flags: dict[str, Any]) -> Given:
    loaded = settings.load(config_file, flags)
    gateway = sized(settings.gateway_settings(loaded.value), processors())
    return Given(gateway, settings.monitor_settings(loaded.value), in_force(loaded, sized=gateway))


def _greet(addresses: ring.Addresses, models: str, data: str, workers: int) -> None:
    show.table(
        ("WHAT", "WHERE", ""),
        (
            *gateway_places(
                http=addresses.http,
                grpc=addresses.grpc,
                operator=addresses.operator,
                status=typed("driftgate rollout status MODEL", "--operator", addresses.operator),
                models=models,
                workers=workers,
            ),
            ("monitor", addresses.monitor, typed("driftgate drift status", "--monitor", addresses.monitor)),
            ("metrics", f"{addresses.operator}/metrics", f"and {addresses.monitor}/metrics"),
            ("state", data, f"Ctrl-C or kill {addresses.pid} stops in order"),
        ),
    )
