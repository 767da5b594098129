"""`driftgate config`: every setting, its value and where that came from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from driftgate import settings, show
from driftgate.cli.keys import keys
from driftgate.cli.options import config_option, json_option
from driftgate.verbs import TaughtGroup
from groundwork.settings import REQUIRED, Setting

SECRET_KEYS: Final = frozenset({"secret", "previous_secret"})
UNITS: Final[Mapping[str, Mapping[str, float]]] = {
    "duration": {"d": 86_400, "h": 3600, "m": 60, "s": 1, "ms": 0.001, "µs": 1e-6},
    "bytes": {"GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10},
}
"""The units of each quantity, largest first."""


@click.group(
    cls=TaughtGroup,
    examples=("driftgate config show --config driftgate.yaml", "driftgate config check driftgate.yaml"),
)
def config() -> None:
    """Show every setting with its source, check a file, or keep keys."""


config.add_command(keys)


@config.command(
    "show",
    examples=(
        "driftgate config show",
        "DRIFTGATE_WORKERS=8 driftgate config show --changed",
        "driftgate config show --markdown > docs/configuration.md",
    ),
)
@config_option
@click.option("--changed", is_flag=True, help="Only what is not at its default.")
@click.option("--markdown", is_flag=True, help="The reference page: every setting, type, default, meaning.")
@json_option
def show_settings(config_file: Path | None, *, changed: bool, markdown: bool, as_json: bool) -> None:
    """Show the settings in force and where each came from.

    Settings come from defaults, one YAML file, DRIFTGATE_ variables and flags, in rising order. The setting
    `log.segment_bytes` is `log: {segment_bytes: …}` in the file and DRIFTGATE_LOG_SEGMENT_BYTES among the
    variables. Secrets are not shown.
    """
    if markdown:
        click.echo(reference_page(), nl=False)
        return
    loaded = settings.load(config_file, {})
    rows = [
        (setting, _shown(_value(loaded.value, setting.name)), loaded.sources[setting.name])
        for setting in settings.all_settings()
        if not changed or loaded.sources[setting.name] != "default"
    ]
    if as_json:
        show.facts({setting.name: {"value": value, "source": source} for setting, value, source in rows})
    else:
        cells = [(setting.name, _written(setting, value), source) for setting, value, source in rows]
        show.table(("SETTING", "VALUE", "FROM"), cells)


@config.command(examples=("driftgate config check driftgate.yaml && driftgate up --config driftgate.yaml",))
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@json_option
def check(file: Path, *, as_json: bool) -> None:
    """Check that every setting in FILE can be honoured; exit code 1 names the first that cannot."""
    loaded = settings.load(file, {})
    given = [name for name, source in loaded.sources.items() if source.startswith("file ")]
    if as_json:
        show.facts({"file": str(file), "ok": True, "settings": given})
    else:
        click.echo(f"{click.style('✔', fg='green')} {file}: {len(given)} settings, all can be honoured")


def reference_page() -> str:
    """docs/configuration.md: every setting in a table a section."""
    lines = [
        "# Settings",
        "",
        "Written by `driftgate config show --markdown`; a test holds this page against the program. Settings",
        "come from these defaults, one YAML file (`--config`), `DRIFTGATE_…` variables and flags, in rising",
        "order; an unknown name is an error. Durations read `30s`, `2m`, `1h`; sizes read `64MiB`.",
    ]
    for title, group in _groups(settings.all_settings()).items():
        lines += ["", f"## {title}", "", "| setting | type | default | meaning |", "|---|---|---|---|"]
        lines += [_reference_row(setting) for setting in group]
    return "\n".join([*lines, ""])


def _groups(found: list[Setting]) -> Mapping[str, list[Setting]]:
    """Settings by section; those without one stand first, under "the top level"."""
    groups: dict[str, list[Setting]] = {}
    for setting in found:
        section = setting.name.rpartition(".")[0]
        groups.setdefault(f"`{section}`" if section else "The top level", []).append(setting)
    return groups


def _reference_row(setting: Setting) -> str:
    default = "required" if setting.default is REQUIRED else f"`{_written(setting, _shown(setting.default))}`"
    kind, doc = (part.replace("|", "\\|") for part in (setting.type, setting.doc))
    return f"| `{setting.name}` | {kind} | {default} | {doc} |"


def _value(value: Any, name: str) -> Any:
    for part in name.split("."):
        value = getattr(value, part)
    return value


def _shown(value: Any) -> Any:
    """The value as plain data, secrets covered."""
    return _covered(msgspec.to_builtins(value, enc_hook=str))


def _covered(value: Any) -> Any:
    if isinstance(value, dict):
        return dict(_pairs(value))
    if isinstance(value, list | tuple):
        return [_covered(part) for part in value]
    return value


def _pairs(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in document.items():
        literal = key in SECRET_KEYS and isinstance(value, str) and value.startswith("whsec_")
        yield key, "(not shown)" if literal else _covered(value)


def _written(setting: Setting, value: Any) -> str:
    """A value as one would write it in the file."""
    units = UNITS.get(setting.extra.get("quantity", ""))
    if units is not None and isinstance(value, int | float):
        return _quantity(value, units)
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, str):
        return value or '""'
    return msgspec.json.encode(value).decode()


def _quantity(value: float, units: Mapping[str, float]) -> str:
    """The value in the largest unit that it is a whole number of."""
    for unit, size in units.items():
        if value >= size and math.isclose(value / size, round(value / size)):
            return f"{value / size:.0f}{unit}"
    return f"{value:g}"
