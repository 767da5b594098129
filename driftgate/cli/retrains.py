"""`driftgate retrains`: requests to retrain, and what training jobs say of them."""

from __future__ import annotations

from typing import Any

import click

from driftgate import show
from driftgate.cli.options import json_option, monitor_option
from driftgate.remote import Api, part
from driftgate.verbs import TaughtGroup
from monitor.retries import printable


@click.group(
    cls=TaughtGroup,
    default="list",
    examples=("driftgate retrains list", "driftgate retrains report evt_ab2c succeeded --version 7"),
)
def retrains() -> None:
    """List requests to retrain, and report how one goes."""


@retrains.command("list", examples=("driftgate retrains list", "driftgate retrains list --json"))
@click.option("--limit", type=int, metavar="N", help="At most so many, the newest first.")
@json_option
@monitor_option
def list_retrains(*, limit: int | None, as_json: bool, monitor_url: str) -> None:
    """List requests to retrain, the newest first, with their deliveries and the latest report."""
    answer = Api("monitor's API", monitor_url).get("/v1/retrains", limit=limit)
    if as_json:
        show.facts(answer)
        return
    show.table(
        ("EVENT", "AT", "MODEL", "REASON", "DELIVERED TO", "REPORT"),
        [_row(found) for found in answer["retrains"]],
        none="no retraining was asked for",
    )


@retrains.command(
    examples=(
        "driftgate retrains report evt_ab2c running",
        "driftgate retrains report evt_ab2c succeeded --version 7",
        'driftgate retrains report evt_ab2c failed --message "no better than version 6"',
    ),
)
@click.argument("event")
@click.argument("state", type=click.Choice(("running", "succeeded", "failed")))
@click.option("--version", default="", metavar="N", help="The version that was published.")
@click.option("--message", default="", metavar="TEXT", help="Anything worth keeping.")
@json_option
@monitor_option
def report(event: str, state: str, *, version: str, message: str, as_json: bool, monitor_url: str) -> None:
    """Say how a retraining goes. Until it has failed or succeeded no other is asked for."""
    body = {"state": state, "version": version, "message": message}
    answer = Api("monitor's API", monitor_url).post(f"/v1/retrains/{part(event)}", body)
    if as_json:
        show.facts(answer)
    else:
        click.echo(f"{click.style('✔', fg='green')} {event} is {state}")


def _row(found: dict[str, Any]) -> tuple[Any, ...]:
    data = found["event"]["data"]
    told = found["report"]
    report = printable(f"{told['state']} {told['version']} {told['message']}") if told else None
    model = f"{data['model']} {data['version']}"
    sent = ", ".join(f"{one['endpoint']}: {one['state']}" for one in found["deliveries"]) or None
    return found["id"], show.moment(found["time"]), model, data["reason"], sent, report
