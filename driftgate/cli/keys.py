"""`driftgate config keys`: make, list and revoke the keys of a keys file. It is local: nothing is called."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any, Final

import click

from driftgate import settings, show
from driftgate.cli.options import Finite, config_option, json_option
from driftgate.errors import CommandError
from driftgate.verbs import TaughtGroup
from groundwork import key_file
from groundwork.keys import SCOPES, Key, create
from groundwork.quantities import parse_duration

DEFAULT_FILE: Final = Path("keys.yaml")

file_option = click.option(
    "--file",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The keys file.  [default: the setting keys.file, else keys.yaml]",
)


@click.group(
    "keys",
    cls=TaughtGroup,
    examples=(
        "driftgate config keys create --name checkout --scope infer --scope labels:write",
        "driftgate config keys list",
        "driftgate config keys revoke 1f0c93ab",
    ),
)
def keys() -> None:
    """Make, list and revoke the keys of a keys file."""


@keys.command(
    "create",
    examples=(
        "driftgate config keys create --name checkout --scope infer --scope labels:write",
        "driftgate config keys create --name ci --scope operate --scope read --expires 90d",
        "driftgate config keys create --name batch --scope infer --rate 200 --concurrency 8",
    ),
)
@click.option("--name", required=True, metavar="WHO", help="Whose key it is; several may share a name.")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(SCOPES),
    multiple=True,
    required=True,
    help="What it is for; repeat for more.",
)
@click.option("--expires", metavar="TIME", help='When it ends, from now, such as "90d".  [default: never]')
@click.option("--rate", type=Finite(), metavar="N", help="Requests a second.  [default: no limit]")
@click.option("--concurrency", type=int, metavar="N", help="Requests at once.  [default: no limit]")
@file_option
@config_option
@json_option
def create_key(
    name: str, file: Path | None, config_file: Path | None, *, as_json: bool, **parts: Any
) -> None:
    """Make a key, add it to the keys file, and show its text, once.

    Only a hash of it is kept. Programs that use the file take the key up within a second. To rotate: make a
    second key, move the callers to it, revoke the first.
    """
    path = _path(file, config_file)
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    ends = None if parts["expires"] is None else _after(now, parts["expires"])
    key, text = create(
        name, parts["scopes"], now, expires=ends, rate=parts["rate"], concurrency=parts["concurrency"]
    )
    with key_file.changing(path):
        key_file.save(path, (*_held(path), key))
    if as_json:
        show.facts({"id": key.id, "name": key.name, "key": text, "file": str(path)})
        return
    click.echo(text)
    click.echo(
        f"{click.style('✔', fg='green')} key {key.id} for {', '.join(key.scopes)} is in {path}; its text "
        "is not kept and will not be shown again",
        err=True,
    )


@keys.command("list", examples=("driftgate config keys list", "driftgate config keys list --json"))
@file_option
@config_option
@json_option
def list_keys(file: Path | None, config_file: Path | None, *, as_json: bool) -> None:
    """List the keys of the file: who, for what, until when. No text of a key is there to be shown.

    Keys that cannot stand together are listed too, and then why no program takes the file.
    """
    path = _path(file, config_file)
    found = key_file.read(path)
    if as_json:
        show.facts({"keys": [_facts(key) for key in found]})
    else:
        rows = [
            (
                key.id,
                key.name,
                ",".join(key.scopes),
                f"{key.created:%Y-%m-%d}",
                "never" if key.expires is None else f"{key.expires:%Y-%m-%d %H:%M}",
                "–" if key.rate is None else f"{key.rate:g}/s",
                "–" if key.concurrency is None else str(key.concurrency),
            )
            for key in found
        ]
        show.table(("ID", "NAME", "SCOPES", "CREATED", "EXPIRES", "RATE", "AT ONCE"), rows)
    key_file.load(path)


@keys.command("revoke", examples=("driftgate config keys revoke 1f0c93ab",))
@click.argument("key")
@file_option
@config_option
@json_option
def revoke_key(key: str, file: Path | None, config_file: Path | None, *, as_json: bool) -> None:
    """Take KEY, an id or a name that one key has, out of the file; it is refused within a second.

    That mends a file too in which keys stand that cannot stand together: all that have the id are taken out.
    """
    path = _path(file, config_file)
    with key_file.changing(path):
        revoked, left = _revoke(path, key)
    if as_json:
        show.facts({"id": revoked.id, "name": revoked.name, "file": str(path)})
    else:
        click.echo(f"{click.style('✔', fg='green')} key {revoked.id} ({revoked.name}) is revoked")
    for one in left:
        if one.hash == revoked.hash:
            click.echo(
                f"{click.style('!', fg='yellow')} key {one.id} ({one.name}) has the same secret: who has the "
                f"one can write the other; revoke {one.id} as well, and create a key anew",
                err=True,
            )
    key_file.load(path)


def _revoke(path: Path, key: str) -> tuple[Key, list[Key]]:
    """The key that is taken out, and those that are left."""
    held = key_file.read(path)
    named = [one for one in held if one.id == key] or [one for one in held if one.name == key]
    if len({one.id for one in named}) != 1:
        raise CommandError(
            f"{path}: wanted one key that is called {key!r}, found {len(named)}; "
            "name its id, as `driftgate config keys list` shows it"
        )
    left = [one for one in held if one.id != named[0].id]
    key_file.save(path, left)
    return named[0], left


def _after(now: dt.datetime, written: str) -> dt.datetime:
    """When a duration from now is over; UsageError where no calendar has that day, or it is over at once."""
    try:
        ends = now + dt.timedelta(seconds=parse_duration(written))
    except OverflowError:
        raise click.UsageError(f"--expires: {written!r} ends after the year 9999; leave it out") from None
    if ends <= now:
        raise click.UsageError(f"--expires: {written!r} ends at once; leave it out for a key without an end")
    return ends


def _path(file: Path | None, config_file: Path | None) -> Path:
    """Where the keys are: as said here, as the settings say, or beside us."""
    if file is not None:
        return file
    return settings.keys_file(config_file) or DEFAULT_FILE


def _held(path: Path) -> tuple[Key, ...]:
    return key_file.load(path).keys if path.exists() else ()


def _facts(key: Key) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "scopes": key.scopes,
        "created": key.created,
        "expires": key.expires,
        "rate": key.rate,
        "concurrency": key.concurrency,
    }
