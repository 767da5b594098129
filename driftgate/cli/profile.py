"""`driftgate profile`: what the monitor compares live traffic with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from driftgate import show
from driftgate.cli.options import json_option, models_option
from driftgate.errors import CommandError
from driftgate.extras import require
from driftgate.frames import read_frame
from driftgate.verbs import TaughtGroup
from groundwork.files import write_atomic
from registry_client.backends import open_registry
from registry_client.profile import CategoricalColumn, NumericColumn, Profile, Risk, encode

if TYPE_CHECKING:
    import pandas as pd

MOST_NAMED: Final = 3
NAME_ROOM: Final = 24
"""Characters of a category's name that stand in the table; `--json` has all of it."""


@click.group(
    cls=TaughtGroup,
    examples=("driftgate profile show fraud", "driftgate profile build rows.csv --out profile.json"),
)
def profile() -> None:
    """Build or show a reference profile."""


@profile.command(
    "show",
    examples=("driftgate profile show fraud", "driftgate profile show fraud --version 3 --json"),
)
@click.argument("model")
@click.option("--version", metavar="N", help="The highest version if left out.")
@models_option
@json_option
def show_profile(model: str, *, version: str | None, models_place: str, as_json: bool) -> None:
    """Show the reference profile of a version: counts and shares of each column, no rows."""
    registry = open_registry(models_place)
    versions = registry.versions(model)
    if not versions:
        known = ", ".join(registry.models()) or "none"
        raise CommandError(f"{models_place} has no version of {model!r}; its models: {known}")
    manifest = registry.manifest(model, version or versions[-1])
    found = registry.profile(manifest)
    if found is None:
        raise CommandError(
            f"{model} version {manifest.version} was published without a reference profile; "
            "publish it again with --reference under a new version"
        )
    _tell(found, as_json=as_json)


@profile.command(
    "build",
    examples=("driftgate profile build rows.csv --out profile.json", "driftgate profile build rows.parquet"),
)
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--out", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False), help="Write it here.")
@json_option
def build(file: Path, *, out: Path | None, as_json: bool) -> None:
    """Build a profile of the rows in FILE (.csv or .parquet), to look at or to keep.

    `driftgate push --reference` builds one by itself, with the model's outputs and its risk beside them.
    """
    require("publish")
    from registry_client.profiling import build_profile  # noqa: PLC0415  only this verb needs it

    found = build_profile(_columns(read_frame(file)), {})
    if out is not None:
        write_atomic(out, encode(found), mode=0o644)
    _tell(found, as_json=as_json)


def _columns(frame: pd.DataFrame) -> dict[str, Any]:
    return {str(name): frame[name].to_numpy() for name in frame.columns}


def _tell(found: Profile, *, as_json: bool) -> None:
    if as_json:
        show.facts(msgspec.to_builtins(found))
        return
    whose = f"{found.model} {found.version}" if found.model else "profile"
    click.echo(f"{whose}: {show.count(found.rows)} rows")
    roles = (("input", found.columns), ("output", found.outputs))
    rows = [(role, *_cells(column)) for role, columns in roles for column in columns]
    show.table(("ROLE", "COLUMN", "KIND", "MISSING", "SUMMARY"), rows)
    if found.risk is not None:
        click.echo(risk_text(found.risk, held_out=found.held_out))


def risk_text(risk: Risk, *, held_out: bool) -> str:
    """How wrong the model was on the reference rows whose label is known, in half a sentence."""
    mean = risk.errors / risk.n if risk.n else 0.0
    rows = f"{show.count(risk.n)} {'held-out' if held_out else 'labelled'} rows"
    return (
        f"wrong on {mean:.2%} of {rows}"
        if risk.loss == "zero-one"
        else f"off by {show.number(mean, 4)} on average of {rows}"
    )


def _cells(column: NumericColumn | CategoricalColumn) -> tuple[str, str, str, str]:
    rows = column.n + column.missing
    missing = f"{column.missing / rows:.1%}" if rows else "-"
    if isinstance(column, NumericColumn):
        deviation = (column.m2 / max(column.n - 1, 1)) ** 0.5
        edges = f"{show.number(column.minimum, 6)} to {show.number(column.maximum, 6)}"
        summary = f"{edges}, mean {show.number(column.mean, 4)} ± {show.number(deviation, 3)}"
        return column.name, "numeric", missing, summary
    most = list(zip(column.categories, column.counts, strict=True))[:MOST_NAMED]
    shares = [f"{show.short(name, NAME_ROOM)} {count / column.n:.0%}" for name, count in most]
    shares += [f"others {column.other / column.n:.0%}"] if column.other else []
    named = f"{len(column.categories)} categories{': ' if shares else ''}{', '.join(shares)}"
    return column.name, "categorical", missing, named
