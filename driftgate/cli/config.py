"""`driftgate config`: every setting, its value and where that came from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from driftgate import settings, show
from driftgate.cli.keys import keys
from driftgate.cli.options import actor_option, config_option, json_option, monitor_option, operator_option
from driftgate.cli.reference import reference
from driftgate.errors import UnreachableError
from driftgate.in_force import InForce, in_force
from driftgate.remote import Api, default_actor
from driftgate.verbs import TaughtGroup
from driftgate.written import written
from groundwork.settings import Setting


@click.group(
    cls=TaughtGroup,
    default="show",
    examples=("driftgate config show --config driftgate.yaml", "driftgate config check driftgate.yaml"),
)
def config() -> None:
    """Show settings and their sources, check or reload them, or keep keys."""


@config.command(
    "show",
    examples=(
        "driftgate config show",
        "DRIFTGATE_WORKERS=8 driftgate config show --changed",
        "driftgate config show --running --changed",
    ),
)
@config_option
@click.option(
    "--running", is_flag=True, help="What the programs that run now go by, flags and reloads included."
)
@operator_option
@monitor_option
@click.option("--changed", is_flag=True, help="Only what is not at its default.")
@json_option
def show_settings(
    config_file: Path | None,
    operator: str,
    monitor_url: str,
    *,
    running: bool,
    changed: bool,
    as_json: bool,
) -> None:
    """Show settings and where each came from: those a start from here would have, or those that run.

    Settings come from defaults, one YAML file, DRIFTGATE_ variables and flags, in rising order. The setting
    `log.segment_bytes` is `log: {segment_bytes: …}` in the file and DRIFTGATE_LOG_SEGMENT_BYTES among the
    variables. Secrets are not shown.

    With --running the gateway is asked, and a monitor that was started apart from it; a port is the one that
    is listened on, also where any free one (0) was asked for. Without, file and variables are read here, and
    nothing that runs is asked: another file, other variables and the flags of `driftgate up` are not known.
    """
    if running and config_file is not None:
        raise click.UsageError("--running asks the programs, --config reads a file: give one")
    found = _told(operator, monitor_url) if running else in_force(settings.load(config_file, {}))
    rows = {name: one for name, one in found.items() if not changed or one["source"] != "default"}
    if as_json:
        show.facts(rows)
    else:
        known = {setting.name: setting for setting in settings.all_settings()}
        cells = [(name, one["source"], _cell(known.get(name), one["value"])) for name, one in rows.items()]
        show.table(("SETTING", "FROM", "VALUE"), cells, none="every setting is at its default")


@config.command(examples=("driftgate config check driftgate.yaml && driftgate up --config driftgate.yaml",))
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=False)
@config_option
@json_option
def check(file: Path | None, config_file: Path | None, *, as_json: bool) -> None:
    """Check that every setting in FILE can be honoured; exit code 1 names the first that cannot.

    FILE may be given as --config too. Secrets of webhooks are looked up as the monitor will do it. A model
    that a setting names and the registry lacks is a warning, for it may be published later.
    """
    if (file is None) == (config_file is None):
        raise click.UsageError("wanted one FILE")
    file = file or config_file
    loaded = settings.load(file, {})
    settings.check_together(loaded.value)
    sources = {name: source for name, source in loaded.sources.items() if source != "default"}
    given = [name for name, source in sources.items() if source.startswith("file ")]
    warnings = settings.doubts(loaded.value)
    if as_json:
        show.facts(
            {"file": str(file), "ok": True, "settings": given, "sources": sources, "warnings": warnings}
        )
        return
    click.echo(f"{click.style('✔', fg='green')} {file}: {len(given)} settings, all can be honoured")
    for name in sorted(sources.keys() - {*given}):
        click.echo(f"  {name} is set by {sources[name]}")
    for warning in warnings:
        click.echo(f"{click.style('!', fg='yellow')} {warning}")


@config.command(
    "reload",
    examples=("driftgate config reload", "driftgate config reload --operator https://serving:8081 --json"),
)
@operator_option
@actor_option
@json_option
def reload_settings(operator: str, actor: str | None, *, as_json: bool) -> None:
    """Let a running gateway take up changed settings; SIGHUP to `up` or `serve` is the same.

    It reads its file, variables and flags again and replaces its workers one by one, so that no request is
    lost. A change that wants a restart (data, models, workers, ports, hosts, TLS on or off,
    log.segment_bytes) is refused by name, and then nothing is changed. While workers are being replaced it
    waits for its turn.
    """
    answer = Api("operator API", operator).post("/v1/config/reload", {"who": actor or default_actor()})
    if as_json:
        show.facts(answer)
    else:
        click.echo(said_of_reload(answer["changed"], waits=answer.get("waits", False)))


config.add_command(keys)
config.add_command(reference)


def said_of_reload(changed: Sequence[str], *, waits: bool) -> str:
    """What came of a reload, for eyes."""
    if waits:
        return "not done yet; it will be tried in its turn, and the gateway's log says what comes of it"
    if changed:
        return f"taken up: {', '.join(changed)}; workers are replaced one by one"
    return "nothing has changed for the gateway; the monitor of an `up` is started again if its settings did"


def of_running(gateway: Api, monitor: Api) -> tuple[InForce, str]:
    """What the programs go by, and why the monitor's part is missing if it is.

    The gateway of an `up` tells of both; one that was started alone tells of itself, and so does the monitor.
    Of the settings that both have the gateway's are taken.
    """
    found: InForce = gateway.get("/v1/config")
    if any(name.startswith(f"{settings.MONITOR}.") for name in found):
        return found, ""
    try:
        return {**monitor.get("/v1/config"), **found}, ""
    except UnreachableError as error:
        return found, str(error)


def _told(operator: str, monitor_url: str) -> InForce:
    found, missing = of_running(Api("operator API", operator), Api("monitor", monitor_url))
    if missing:
        click.echo(f"the monitor's settings are not shown: {missing}", err=True)
    return found


def _cell(setting: Setting | None, value: Any) -> str:
    """A value as one would write it; one of a newer driftgate's settings as JSON."""
    return msgspec.json.encode(value).decode() if setting is None else written(setting, value)
