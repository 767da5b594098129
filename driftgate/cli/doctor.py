"""`driftgate doctor`: what is wrong here, what to do about it, and copies for when it is too late."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click
import msgspec

from driftgate import credentials, ring_folder, settings, show
from driftgate.cli.options import config_option, data_option, flag_names, json_option, port_options
from driftgate.doctor.backup import backup as write_backup
from driftgate.doctor.examination import examine, is_well
from driftgate.doctor.finding import Finding, Level, Subject
from driftgate.doctor.probe import PATHS, Door, Program, probe
from driftgate.doctor.repair import repair as put_right
from driftgate.doctor.restore import restore as bring_back
from driftgate.verbs import TaughtGroup
from driftgate.waiting import doing
from gateway.settings import GatewaySettings
from groundwork.clock import SystemClock
from groundwork.dates import rfc3339
from groundwork.files import lock_is_held
from monitor.settings import MonitorSettings

MARKS: Final[dict[Level, tuple[str, str]]] = {
    "ok": ("✔", "green"),
    "warn": ("⚠", "yellow"),
    "fail": ("✖", "red"),
}


@click.group(
    cls=TaughtGroup,
    invoke_without_command=True,
    examples=(
        "driftgate doctor --data data --models models",
        "driftgate doctor --config driftgate.yaml --json",
        "driftgate doctor --data data --repair",
        "driftgate doctor --probe gateway --http-port 9000",
        "driftgate doctor backup monday.tar.gz --data data",
        "driftgate doctor restore monday.tar.gz --data data-again",
    ),
)
@click.option("--data", metavar="DIR", help="The data folder.  [default: driftgate-data]")
@click.option("--models", metavar="DIR", help="The model registry.  [default: models]")
@port_options
@config_option
@click.option(
    "--probe",
    "probed",
    type=click.Choice(tuple(PATHS)),
    help="Only ask this program whether it answers; exit code 1 if not: for a container's health check.",
)
@click.option("--repair", is_flag=True, help="Put right what can be, first; refused while a program runs.")
@json_option
@click.pass_context
def doctor(
    context: click.Context,
    /,
    data: str | None,
    models: str | None,
    config_file: Path | None,
    *,
    probed: Program | None,
    repair: bool,
    as_json: bool,
    **ports: int | None,
) -> int:
    """Look for what is wrong, repair it, back up and restore.

    Looks at the installation, settings, ports, stores, registry, log, slots, clock, limits and keys; changes
    nothing without --repair. Exit code 1 when something fails; a warning is no failure.
    """
    if context.invoked_subcommand is not None:
        return 0
    # Read and not loaded: that a file they name cannot be used is a finding among others.
    value = settings.read(config_file, {"data": data, "models": models, **flag_names(ports)}).value
    gateway, monitor = settings.parts_of(value)
    folder = Path(gateway.data)
    if probed is not None:
        url = probe(probed, _door(probed, gateway, monitor), credentials.current())
        show.facts({"answers": url}) if as_json else click.echo(f"{_mark('ok')} {url} answers")
        return 0
    clock = SystemClock()
    done = put_right(folder, clock) if repair else []
    found = examine(
        Subject(
            gateway=gateway,
            monitor=monitor,
            data=folder,
            now=clock.now(),
            running=folder.is_dir() and lock_is_held(folder),
        )
    )
    well = is_well(found)
    if as_json:
        show.facts({"well": well, "repaired": done, "findings": msgspec.to_builtins(found)})
    else:
        _tell(done, found)
    return 0 if well else 1


@doctor.command(
    examples=(
        "driftgate doctor backup monday.tar.gz --data data",
        "driftgate doctor backup /backups/$(date +%F).tar --data data",
    ),
)
@click.argument("out", type=click.Path(path_type=Path, dir_okay=False))
@data_option
@json_option
def backup(out: Path, data: Path, *, as_json: bool) -> None:
    """Write the whole state of a data folder to the new file OUT, while programs run or not.

    Everything answered before the call is in it. A name that ends in .gz is compressed. The model registry is
    not part of it.
    """
    with doing(f"copying {data}"):
        held = write_backup(data, out, SystemClock())
    if as_json:
        show.facts({**msgspec.to_builtins(held), "begun": rfc3339(held.begun)})
        return
    size = sum(part.bytes for part in held.parts)
    click.echo(f"{_mark('ok')} {out}: {len(held.parts)} files, {show.count(size)} bytes of state")


@doctor.command(
    examples=("driftgate doctor restore monday.tar.gz --data data && driftgate up --data data",),
)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@data_option
@json_option
def restore(file: Path, data: Path, *, as_json: bool) -> None:
    """Bring the backup FILE back as a new data folder; one that holds files is never written over."""
    with doing(f"bringing back {file}"):
        held = bring_back(file, data)
    if as_json:
        show.facts({**msgspec.to_builtins(held), "begun": rfc3339(held.begun)})
        return
    told = f"{len(held.parts)} files as of {show.moment(held.begun)}"
    click.echo(f"{_mark('ok')} {data}: {told}; next: driftgate doctor --data {data}")


def _door(program: Program, gateway: GatewaySettings, monitor: MonitorSettings) -> Door:
    """Where a program is to be asked: what a running `up` has found goes before the settings."""
    asked = gateway.http if program == "gateway" else monitor
    setting = "http.port" if program == "gateway" else "monitor.port"
    host, port = ring_folder.addresses(Path(gateway.data)).get(setting, (asked.host, asked.port))
    return Door(host, port, asked.tls)


def _tell_one(head: str, text: str, wide: int) -> None:
    """A text behind its head, which is so wide; below itself where the terminal ends."""
    for line in show.wrapped(text, show.room(wide)):
        click.echo(f"{head}{line}")
        head = " " * wide


def _tell(done: list[str], found: list[Finding]) -> None:
    for line in done:
        click.echo(f"{click.style('repaired', fg='cyan')}  {line}")
    for finding in found:
        _tell_one(f"{_mark(finding.level)} {finding.area:<12} ", finding.what, 15)
        if finding.do:
            _tell_one(f"{'':<15}→ ", finding.do, 17)
    counted = [sum(finding.level == level for finding in found) for level in ("warn", "fail")]
    click.echo(f"{counted[1]} failed, {counted[0]} to look at")


def _mark(level: Level) -> str:
    sign, colour = MARKS[level]
    return click.style(sign, fg=colour)
