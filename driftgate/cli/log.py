"""`driftgate log`: the prediction log as a table, and the deletion of single predictions from it."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click
import msgspec

from driftgate import deletion, show
from driftgate.cli.options import actor_option, data_option, json_option
from driftgate.errors import CommandError
from driftgate.extras import require
from driftgate.remote import default_actor
from driftgate.verbs import TaughtGroup
from driftgate.waiting import doing
from groundwork.clock import SystemClock
from groundwork.errors import SettingsError
from groundwork.quantities import parse_duration
from prediction_log.deletion import Request
from prediction_log.ids import parse

NS: Final = 10**9
OTHER_TABLES: Final = frozenset({".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson", ".xlsx", ".feather"})
"""Names under which nobody looks for Parquet."""
SHOWN: Final = 5
"""Ids that name nothing which a message tells."""


@click.group(
    cls=TaughtGroup,
    examples=(
        "driftgate log export --model fraud --since 24h fraud.parquet",
        "driftgate log delete --model fraud --id 9f86d081884c7d659a2feaa0c55ad015 --reason 'request 4711'",
    ),
)
def log() -> None:
    """Export the prediction log with its labels, or delete from it."""


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
    if out.suffix.lower() in OTHER_TABLES:
        raise click.UsageError(f"{out}: Parquet is what is written; name it {out.with_suffix('.parquet')}")
    require("export")
    from prediction_log.export import export as export_rows  # noqa: PLC0415  loads pyarrow

    now = time.time_ns()
    since_ns, until_ns = instant(since, now, "--since"), instant(until, now, "--until")
    if since_ns is not None and until_ns is not None and since_ns >= until_ns:
        raise click.UsageError(f"--since {since} is not before --until {until}: nothing lies between them")
    with doing(f"reading the log for rows of {model}"):
        summary = export_rows(data / "log", model, since_ns=since_ns, until_ns=until_ns, out=out)
    if as_json:
        show.facts(msgspec.to_builtins(summary, enc_hook=str))
    else:
        counted = f"{show.count(summary.rows)} rows, {show.count(summary.labelled)} with a label"
        click.echo(f"{click.style('✔', fg='green')} {out}: {counted}")


@log.command(
    examples=(
        "driftgate log delete --model fraud --id 9f86d081884c7d659a2feaa0c55ad015 --reason 'request 4711'",
        "driftgate log delete --model fraud --file ids.txt --reason 'contract ended'",
    ),
)
@click.option("--model", required=True, metavar="M", help="The model that predicted.")
@click.option("--id", "texts", multiple=True, metavar="ID", help="A prediction id; may be repeated.")
@click.option(
    "--file",
    "id_file",
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A file with one prediction id on each line.",
)
@click.option("--reason", required=True, metavar="TEXT", help="Why; stays in the log.")
@actor_option
@data_option
@json_option
def delete(
    *,
    model: str,
    texts: tuple[str, ...],
    id_file: Path | None,
    reason: str,
    actor: str | None,
    data: Path,
    as_json: bool,
) -> None:
    """Overwrite the values of predictions, their shadow pairs and their labels in the log, for ever.

    Rows keep their count, their time and their outcome. The monitor forgets them, exports leave them out, and
    the log keeps who asked for it, when and why. It works on the data folder of a running or a stopped
    gateway. Copies made before (backups, exports) are not reached.
    """
    lines = () if id_file is None else id_file.read_text("utf-8", "replace").split()
    identifiers = tuple(dict.fromkeys(parse(text) for text in (*texts, *lines)))
    if not identifiers:
        raise click.UsageError("give at least one --id, or a --file with one on each line")
    done = deletion.delete(data, Request(model, identifiers, actor or default_actor(), reason), SystemClock())
    unknown = [identifier.hex() for identifier in done.unknown]
    if as_json:
        show.facts({**msgspec.structs.asdict(done), "unknown": unknown})
    elif done.ids:
        rows = f"{show.count(done.predictions)} rows, {show.count(done.pairs)} pairs"
        told = f"{show.count(done.ids)} predictions deleted: {rows}, {show.count(done.labels)} labels"
        click.echo(f"{click.style('✔', fg='green')} {told}")
    if unknown:
        raise CommandError(_missing(unknown, len(identifiers), model))


def _missing(unknown: Sequence[str], asked: int, model: str) -> str:
    """The sentence about ids that name nothing, and what became of the rest."""
    named = f"{', '.join(unknown[:SHOWN])}{', …' if len(unknown) > SHOWN else ''}"
    rest = "the others are deleted" if len(unknown) < asked else "nothing was deleted"
    return f"{len(unknown)} of {asked} ids name no prediction of {model} in the log: {named}; {rest}"


def instant(text: str | None, now_ns: int, option: str) -> int | None:
    """Unix nanoseconds of a time, or of a duration before `now_ns`; nothing was logged before 1970."""
    if text is None:
        return None
    try:
        return max(0, now_ns - round(parse_duration(text) * NS))
    except SettingsError:
        pass
    try:
        then = dt.datetime.fromisoformat(text)
    except ValueError:
        wanted = "a duration such as 1h or a time such as 2026-05-01T00:00:00Z"
        raise click.UsageError(f"{option}: wanted {wanted}, found {text!r}") from None
    if then.tzinfo is None:
        raise click.UsageError(f"{option}: {text!r} has no time zone; add Z for UTC")
    return max(0, round(then.timestamp() * NS))
