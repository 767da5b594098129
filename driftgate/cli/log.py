"""`driftgate log`: the prediction log as a table."""

from __future__ import annotations

import datetime as dt
import time
from pathlib import Path
from typing import Final

import click
import msgspec

from driftgate import show
from driftgate.cli.options import data_option, json_option
from driftgate.extras import require
from driftgate.verbs import TaughtGroup
from groundwork.errors import SettingsError
from groundwork.quantities import parse_duration

NS: Final = 10**9


@click.group(
    cls=TaughtGroup,
    examples=("driftgate log export --model fraud --since 24h fraud.parquet",),
)
def log() -> None:
    """Export the prediction log with its labels."""


@log.command(
    examples=(
        "driftgate log export --model fraud --since 1h fraud.parquet",
        "driftgate log export --model fraud --since 2026-05-01T00:00:00Z --until 24h early.parquet",
    ),
)
@click.argument("out", metavar="OUT.parquet", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--model", required=True, metavar="M", help="The model whose predictions are wanted.")
@click.option("--since", metavar="WHEN", help="A duration back from now (1h) or an RFC 3339 time.")
@click.option("--until", metavar="WHEN", help="The same, for the end.")
@data_option
@json_option
def export(out: Path, *, model: str, since: str | None, until: str | None, data: Path, as_json: bool) -> None:
    """Write one row per prediction row to OUT.parquet, with its label where one came.

    Columns are the row's id, time, version and arm, then inputs, then outputs, then `label`. It works on the
    data folder of a running or a stopped gateway, whether or not the monitor has read the rows.
    """
    require("export")
    from prediction_log.export import export as export_rows  # noqa: PLC0415  loads pyarrow

    now = time.time_ns()
    summary = export_rows(
        data / "log",
        model,
        since_ns=instant(since, now, "--since"),
        until_ns=instant(until, now, "--until"),
        out=out,
    )
    if as_json:
        show.facts(msgspec.to_builtins(summary, enc_hook=str))
    else:
        counted = f"{show.count(summary.rows)} rows, {show.count(summary.labelled)} with a label"
        click.echo(f"{click.style('✔', fg='green')} {out}: {counted}")


def instant(text: str | None, now_ns: int, option: str) -> int | None:
    """Unix nanoseconds of a time, or of a duration before `now_ns`."""
    if text is None:
        return None
    try:
        return now_ns - round(parse_duration(text) * NS)
    except SettingsError:
        pass
    try:
        then = dt.datetime.fromisoformat(text)
    except ValueError:
        wanted = "a duration such as 1h or a time such as 2026-05-01T00:00:00Z"
        raise click.UsageError(f"{option}: wanted {wanted}, found {text!r}") from None
    if then.tzinfo is None:
        raise click.UsageError(f"{option}: {text!r} has no time zone; add Z for UTC")
    return round(then.timestamp() * NS)
