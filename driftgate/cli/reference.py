"""`driftgate config reference`: the pages of docs/ that are written by the program and never by hand."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import click

from driftgate import settings
from driftgate.verbs import VERBS, Taught, TaughtCommand, TaughtGroup
from driftgate.written import shown, written
from gateway import metrics as gateway_metrics
from groundwork.metrics import Instrument
from groundwork.settings import REQUIRED, Setting
from monitor import metrics as monitor_metrics

HEAD: Final = "Written by `driftgate config reference {page}`; a test holds this page against the program."

GATEWAY_METRICS: Final = (
    "of all workers together, on any of them; what a version counted that a worker has no longer in memory "
    'stands under `version="unloaded"`'
)


@click.command(
    cls=TaughtCommand,
    examples=(
        "driftgate config reference settings > docs/configuration.md",
        "driftgate config reference metrics > docs/metrics.md",
        "driftgate config reference verbs > docs/command.md",
    ),
)
@click.argument("page", type=click.Choice(("settings", "metrics", "verbs")))
def reference(page: str) -> None:
    """Write a reference page in Markdown: every setting, every metric, or every verb."""
    click.echo(PAGES[page](), nl=False)


def settings_page() -> str:
    """docs/configuration.md: a table for each section."""
    lines = [
        "# Settings",
        "",
        HEAD.format(page="settings"),
        "Settings come from these defaults, one YAML file (`--config`), `DRIFTGATE_…` variables and flags,",
        "in rising order; an unknown name is an error. Durations read `30s`, `2m`, `1h`; sizes read `64MiB`.",
        "The setting `log.segment_bytes` is `log: {segment_bytes: …}` in the file and the variable",
        "`DRIFTGATE_LOG_SEGMENT_BYTES`.",
    ]
    for title, group in _groups(settings.all_settings()).items():
        lines += ["", f"## {title}", "", "| setting | type | default | meaning |", "|---|---|---|---|"]
        lines += [_setting(setting) for setting in group]
    return "\n".join([*lines, ""])


def metrics_page() -> str:
    """docs/metrics.md: a table for each program."""
    lines = ["# Metrics", "", HEAD.format(page="metrics")]
    programs = (
        ("The gateway", GATEWAY_METRICS, gateway_metrics.INSTRUMENTS),
        ("The monitor", "on its port; its counts survive a restart", monitor_metrics.INSTRUMENTS),
    )
    for title, where, instruments in programs:
        lines += ["", f"## {title}", "", f"`/metrics`: {where}.", ""]
        lines += ["| metric | kind | labels | meaning |", "|---|---|---|---|"]
        lines += [_metric(instrument) for instrument in instruments]
    return "\n".join([*lines, ""])


def verbs_page() -> str:
    """docs/command.md: the help of every verb."""
    lines = [
        "# The command",
        "",
        HEAD.format(page="verbs"),
        "Exit codes: 0 done, 1 refused or failed, 2 misused. Errors are one line on stderr.",
        'The Tab key completes verbs and options after `eval "$(_DRIFTGATE_COMPLETE=bash_source driftgate)"`',
        "in bash; `zsh_source` and `fish_source` are for those.",
    ]
    for name, command in _commands():
        lines += ["", f"## driftgate {name}", "", *_described(name, command)]
    return "\n".join([*lines, ""])


PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "settings": settings_page,
    "metrics": metrics_page,
    "verbs": verbs_page,
}


def _groups(found: list[Setting]) -> Mapping[str, list[Setting]]:
    """Settings by section; those without one stand first, under "The top level"."""
    groups: dict[str, list[Setting]] = {}
    for setting in found:
        section = setting.name.rpartition(".")[0]
        groups.setdefault(f"`{section}`" if section else "The top level", []).append(setting)
    return groups


def _setting(setting: Setting) -> str:
    default = "required" if setting.default is REQUIRED else f"`{written(setting, shown(setting.default))}`"
    return f"| `{setting.name}` | {_cell(setting.type)} | {default} | {_cell(setting.doc)} |"


def _metric(instrument: Instrument) -> str:
    labels = ", ".join(f"`{label}`" for label in instrument.labels)
    return f"| `{instrument.name}` | {instrument.kind} | {labels} | {_cell(instrument.help)} |"


def _commands() -> Iterator[tuple[str, click.Command]]:
    for name, verb in VERBS.items():
        command: click.Command = pkgutil.resolve_name(verb.place)
        yield from _below(name, command)


def _below(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        for below, found in command.commands.items():
            yield from _below(f"{name} {below}", found)


def _described(name: str, command: click.Command) -> Iterator[str]:
    yield from (line.strip() for line in (command.help or "").splitlines())
    if any(isinstance(parameter, click.Argument) for parameter in command.params):
        yield from ("", f"`driftgate {name} {_pieces(command)}`")
    if isinstance(command, TaughtGroup) and command.default is not None:
        yield from ("", f"Alone it is `{command.default}`.")
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    if options:
        yield from ("", "| option | meaning |", "|---|---|")
        yield from (_option(option) for option in options)
    if isinstance(command, Taught):
        yield from ("", "```sh", *command.examples, "```")


def _option(option: click.Option) -> str:
    value = "" if option.is_flag else f" {_metavar(option)}"
    meaning = f"{option.help or ''}{_otherwise(option)}"
    return f"| `{', '.join(option.opts)}{value}` | {_cell(meaning)} |"


def _otherwise(option: click.Option) -> str:
    """What holds where the option is not given, as the verb's own help has it."""
    said = ["required"] if option.required else []
    if isinstance(option.envvar, str) and option.show_envvar:
        said.append(f"env: {option.envvar}")
    if option.show_default:
        said.append(f"default: {option.default}")
    return f" [{'; '.join(said)}]" if said else ""


def _pieces(command: click.Command) -> str:
    """Options and arguments as they stand in the line that the verb's help begins with."""
    return " ".join(command.collect_usage_pieces(click.Context(command)))


def _metavar(option: click.Option) -> str:
    if isinstance(option.type, click.Choice):
        return "\\|".join(map(str, option.type.choices))
    return option.metavar or str(option.type.name).upper()


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
