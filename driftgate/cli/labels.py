"""`driftgate labels`: what really happened, for predictions that were made."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import click

from driftgate import show
from driftgate.cli.options import gateway_option, json_option
from driftgate.errors import CommandError, RemoteError
from driftgate.remote import Api, part
from driftgate.verbs import TaughtGroup
from driftgate.waiting import doing

BATCH: Final = 500
WORDS: Final = {"true": True, "false": False}
_ID: Final = re.compile(r"[0-9a-fA-F]{32}")
_MOST_ROW: Final = 2**32 - 1


@click.group(
    cls=TaughtGroup,
    examples=(
        "driftgate labels send --model fraud outcomes.csv",
        "driftgate labels send --model fraud --id 6f0c… --label 1",
    ),
)
def labels() -> None:
    """Send what really happened for past predictions."""


@labels.command(
    examples=(
        "driftgate labels send --model fraud outcomes.csv",
        "driftgate labels send --model fraud --id 6f0c1d9a52b74e0f8a3d1c5b7e9f2a64 --label 1",
        "driftgate labels send --model fraud --client-id order-7 --label paid",
    ),
)
@click.argument("file", required=False, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--model", required=True, metavar="M", help="The model that made the predictions.")
@click.option("--id", "prediction_id", metavar="ID", help="The prediction id of the answer.")
@click.option("--client-id", metavar="ID", help="The id that you gave the request, instead.")
@click.option("--row", type=int, default=0, metavar="N", help="Which row of that prediction.  [default: 0]")
@click.option("--label", metavar="VALUE", help="What really happened.")
@gateway_option
@json_option
def send(
    file: Path | None,
    *,
    model: str,
    prediction_id: str | None,
    client_id: str | None,
    row: int,
    label: str | None,
    gateway: str,
    as_json: bool,
) -> None:
    """Send labels: one by options, or many from FILE.

    FILE is a CSV with a column `label`, a column `id` (or `client_id`), and `row` where a prediction had
    several. A label that reads as a number is one, `true` and `false` are truth values, all else is text.
    Sending a label again is harmless: exports show the latest, the monitor counts the first.
    """
    one = prediction_id or client_id
    if (file is None) == (one is None) or (one is not None) != (label is not None):
        raise click.UsageError("give FILE, or --label with --id or --client-id")
    if label is not None and not label.strip():
        raise click.UsageError("--label is empty; give what really happened")
    if file is not None:
        found = _read(file)
    else:
        named = {"id": prediction_id} if prediction_id else {"client_id": client_id}
        found = [{**named, "row": row, "value": typed(label or "")}]
    accepted = _send(Api("gateway", gateway), model, found)
    if as_json:
        show.facts({"accepted": accepted})
    else:
        click.echo(said_of(accepted, model))


def said_of(accepted: int, model: str) -> str:
    """What came of it, for eyes; a file without any label is worth a second look."""
    if not accepted:
        return f"{click.style('!', fg='yellow')} there was no label to send"
    counted = f"1 label of {model} is" if accepted == 1 else f"{show.count(accepted)} labels of {model} are"
    return f"{click.style('✔', fg='green')} {counted} in the log"


def typed(text: str) -> int | float | bool | str:
    """The value that a text means; JSON has no word for numbers that are not finite, so they are texts.

    Texts are also digits that Python alone takes for a number: "1_2" is the name of a class, and not twelve.
    """
    if text.strip().lower() in WORDS:
        return WORDS[text.strip().lower()]
    for kind in (int, float) if text.isascii() and "_" not in text else ():
        try:
            value = kind(text)
        except ValueError:
            continue
        return value if kind is int or math.isfinite(value) else text
    return text


def _send(api: Api, model: str, found: Sequence[dict[str, Any]]) -> int:
    accepted = 0
    with doing(f"sending {show.count(len(found))} labels") as say:
        for batch in _batches(found):
            try:
                answer = api.post(f"/v2/models/{part(model)}/labels", {"labels": list(batch)})
            except RemoteError as error:
                raise _stopped(error, accepted) from error
            accepted += answer["accepted"]
            say(f"{show.count(accepted)} of {show.count(len(found))} labels are in the log")
    return accepted


def _stopped(error: RemoteError, accepted: int) -> RemoteError:
    """The refusal, with what stands before it: a label of the list is numbered from there."""
    if not accepted:
        return error
    said = f"of the labels after the first {accepted}, which are in the log: {error}"
    return RemoteError(said, status=error.status, remote_code=error.remote_code)


def _batches(found: Sequence[dict[str, Any]]) -> Iterator[Sequence[dict[str, Any]]]:
    for start in range(0, len(found), BATCH):
        yield found[start : start + BATCH]


def _read(file: Path) -> list[dict[str, Any]]:
    """What a file holds; CommandError where it is no text, or no table of labels."""
    try:
        return list(_rows(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise CommandError(f"{file}: wanted a CSV file in UTF-8: {error}") from error


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    with file.open(newline="", encoding="utf-8-sig") as stream:  # spreadsheets put a mark before it
        rows = csv.DictReader(stream)
        name = _name_column(file, rows.fieldnames or ())
        for line, row in enumerate(rows, start=2):
            if any(row.pop(None, ())):  # what stands behind the last column
                raise CommandError(
                    f"{file}, line {line}: wanted {len(row)} values, found more; put a text with a comma in "
                    "quotes"
                )
            place = (row.get("row") or "0").strip()
            if not (_is_place(place) and _is_name(name, row[name]) and (row["label"] or "").strip()):
                raise CommandError(
                    f"{file}, line {line}: wanted an id, a whole row number and a label, found {row}"
                )
            yield {name: row[name].strip(), "row": int(place), "value": typed(row["label"])}


def _name_column(file: Path, columns: Sequence[str]) -> str:
    """The column that names predictions; CommandError where that, or the labels, are not there once."""
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if twice:
        raise CommandError(f"{file}: the column {twice[0]} is there twice; leave one out")
    if "label" not in columns or not {"id", "client_id"} & set(columns):
        raise CommandError(
            f"{file}: wanted the columns label and id (or client_id), found {', '.join(sorted(columns))}"
        )
    return "id" if "id" in columns else "client_id"


def _is_place(text: str) -> bool:
    """Whether a text is the number of a row that a prediction can have."""
    return text.isdecimal() and len(text) <= len(str(_MOST_ROW)) and int(text) <= _MOST_ROW


def _is_name(column: str, text: str | None) -> bool:
    """Whether a text can name a prediction; one wrong id would refuse all labels that are sent with it."""
    named = (text or "").strip()
    return bool(named) if column == "client_id" else _ID.fullmatch(named) is not None
