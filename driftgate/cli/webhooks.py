"""`driftgate webhooks`: what was promised to receivers, and what became of it."""

from __future__ import annotations

from typing import Any

import click

from driftgate import show
from driftgate.cli.options import json_option, monitor_option
from driftgate.remote import Api, part
from driftgate.verbs import TaughtGroup

GOOD: range = range(200, 300)


@click.group(
    cls=TaughtGroup,
    default="list",
    examples=(
        "driftgate webhooks list --state dead",
        "driftgate webhooks replay evt_ab2c",
        "driftgate webhooks test training",
    ),
)
def webhooks() -> None:
    """List, show, replay and test webhook deliveries."""


@webhooks.command("list", examples=("driftgate webhooks list", "driftgate webhooks list --state dead"))
@click.option("--state", type=click.Choice(("pending", "delivered", "dead")), help="Only in this state.")
@click.option("--limit", type=int, metavar="N", help="At most so many, the newest first.")
@json_option
@monitor_option
def list_webhooks(*, state: str | None, limit: int | None, as_json: bool, monitor_url: str) -> None:
    """List endpoints and deliveries, the newest first. `--state dead` are the dead letters."""
    answer = Api("monitor's API", monitor_url).get("/v1/webhooks", state=state, limit=limit)
    if as_json:
        show.facts(answer)
        return
    rows = [
        (found["name"], found["url"], " ".join(found["events"]) or "all", found["disabled"] or None)
        for found in answer["endpoints"]
    ]
    show.table(
        ("ENDPOINT", "URL", "EVENTS", "SWITCHED OFF"),
        rows,
        none="no endpoint is configured: monitor.webhooks names them",
    )
    click.echo()
    show.table(
        ("EVENT", "TYPE", "MODEL", "TO", "STATE", "ATTEMPTS", "LAST"),
        [_delivery(found) for found in answer["deliveries"]],
        none="no delivery" if state is None else f"no delivery is {state}",
    )


@webhooks.command(
    "show", examples=("driftgate webhooks show evt_ab2c", "driftgate webhooks show evt_ab2c --json")
)
@click.argument("event")
@json_option
@monitor_option
def show_webhook(event: str, *, as_json: bool, monitor_url: str) -> None:
    """Show an event as receivers get it, and every attempt to deliver it."""
    answer = Api("monitor's API", monitor_url).get(f"/v1/webhooks/{part(event)}")
    if as_json:
        show.facts(answer)
        return
    show.facts(answer["event"])
    rows = [
        (
            found["endpoint"],
            place,
            show.moment(tried["at"]),
            tried["status"] or None,
            f"{tried['took_ms']} ms",
            tried["said"],
        )
        for found in answer["deliveries"]
        for place, tried in enumerate(found["history"], start=1)
    ]
    show.table(("TO", "ATTEMPT", "AT", "STATUS", "TOOK", "SAID"), rows)


@webhooks.command(
    examples=("driftgate webhooks replay evt_ab2c", "driftgate webhooks replay evt_ab2c --to training")
)
@click.argument("event")
@click.option("--to", "endpoint", metavar="ENDPOINT", help="Only to this endpoint.")
@json_option
@monitor_option
def replay(event: str, *, endpoint: str | None, as_json: bool, monitor_url: str) -> None:
    """Deliver an event again, with the same id."""
    path = f"/v1/webhooks/{part(event)}/replay"
    answer = Api("monitor's API", monitor_url).post(path, endpoint=endpoint)
    if as_json:
        show.facts(answer)
    else:
        count = answer["deliveries"]
        where = "1 endpoint" if count == 1 else f"{count} endpoints"
        click.echo(f"{click.style('✔', fg='green')} {event} will be delivered again, to {where}")


@webhooks.command(examples=("driftgate webhooks test training",))
@click.argument("endpoint")
@json_option
@monitor_option
def test(endpoint: str, *, as_json: bool, monitor_url: str) -> int:
    """Send ENDPOINT a real signed request of type webhook.test. Exit code 1 unless it answers 2xx."""
    answer = Api("monitor's API", monitor_url).post("/v1/webhooks/test", {"endpoint": endpoint})
    good = answer["status"] in GOOD
    if as_json:
        show.facts(answer)
    else:
        mark = click.style("✔", fg="green") if good else click.style("✖", fg="red")
        said = f"answered {answer['status']}" if answer["status"] else "did not answer"
        click.echo(f"{mark} {answer['endpoint']} {said} {answer['said']} (event {answer['event']})")
    return 0 if good else 1


def last_said(found: dict[str, Any]) -> str | None:
    """What became of the latest attempt, and when the next one is planned."""
    if not found["history"]:
        return None
    last = found["history"][-1]
    said = f"{last['status'] or 'no answer'} at {show.moment(last['at'])}"
    return f"{said}, again at {show.moment(found['next_at'])}" if found["next_at"] else said


def _delivery(found: dict[str, Any]) -> tuple[Any, ...]:
    return (
        found["event"],
        found["type"],
        found["model"] or None,
        found["endpoint"],
        show.word(found["state"]),
        found["attempts"],
        last_said(found),
    )
