"""`driftgate monitor`: the monitor alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from driftgate import settings
from driftgate.cli.options import flag_names, monitor_port_option, program_options
from driftgate.extras import require
from driftgate.in_force import InForce, bound, in_force, of_monitor
from driftgate.ready import ready_file
from driftgate.telling import greet, told
from driftgate.verbs import TaughtCommand
from groundwork.logs import Log
from monitor.settings import MonitorSettings


@click.command(
    cls=TaughtCommand,
    examples=(
        "driftgate monitor --models models --data data",
        "driftgate monitor --config driftgate.yaml --monitor-port 0 --ready-file ready.json",
    ),
)
@click.option("--models", metavar="DIR", help="The model registry.  [default: models]")
@click.option("--data", metavar="DIR", help="The data folder of the gateway.  [default: driftgate-data]")
@monitor_port_option
@program_options
def monitor(config_file: Path | None, ready_path: Path | None, **flags: Any) -> int:
    """Start the monitor alone.

    It reads the prediction log of the same data folder from where it stopped, compares live rows with the
    reference profiles, joins labels, opens incidents and delivers every webhook. The settings are those of
    `driftgate up`. SIGHUP takes up keys and certificates, and says which other settings want a restart.
    """
    require("monitor")
    from monitor.app import run  # noqa: PLC0415  the monitor's libraries are an extra

    def read() -> MonitorSettings:
        return settings.monitor_settings(settings.load(config_file, flag_names(flags)).value)

    loaded = settings.load(config_file, flag_names(flags))
    own = settings.monitor_settings(loaded.value)

    found: dict[str, str] = {}  # where it listens, once it does

    def tell() -> InForce:
        return bound(in_force(loaded, of_monitor()), **found)

    def work(log: Log) -> int:
        with ready_file(ready_path) as write:

            def ready(url: str) -> None:
                found["monitor"] = url
                write({"monitor": url, "pid": os.getpid()})
                greet(own.messages, log, lambda: click.echo(f"monitor {url}"), monitor=url)

            return run(own, ready, read, tell)

    return told(own.messages, work)
