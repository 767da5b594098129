"""`driftgate incidents`: changes that the monitor is sure of."""

from __future__ import annotations

from typing import Any

import click

from driftgate import show
from driftgate.cli.options import json_option, monitor_option
from driftgate.remote import Api, part
from driftgate.verbs import TaughtGroup
from groundwork import decoders
from monitor.views import FindingView, IncidentView


@click.group(
    cls=TaughtGroup,
    default="list",
    examples=("driftgate incidents list --state open", "driftgate incidents show inc_5h2k9x0d"),
)
def incidents() -> None:
    """List incidents, or show one."""


@incidents.command(
    "list", examples=("driftgate incidents list", "driftgate incidents list --model fraud --json")
)
@click.option("--model", metavar="M", help="Only of this model.")
@click.option("--state", type=click.Choice(("open", "resolved")), help="Only in this state.")
@click.option("--limit", type=int, metavar="N", help="At most so many, the newest first.")
@json_option
@monitor_option
def list_incidents(
    *,
    model: str | None,
    state: str | None,
    limit: int | None,
    as_json: bool,
    monitor_url: str,
) -> None:
    """List incidents, the newest first."""
    answer = Api("monitor's API", monitor_url).get("/v1/incidents", model=model, state=state, limit=limit)
    if as_json:
        show.facts(answer)
        return
    show.table(
        ("INCIDENT", "MODEL", "STATE", "OPENED", "ONSET", "GROUPS", "STRONGEST SIGNALS"),
        [_row(found) for found in decoders.converted(answer["incidents"], list[IncidentView])],
        none="no incident: nothing has changed that the monitor is sure of"
        if model is state is None
        else "no such incident",
    )


@incidents.command("show", examples=("driftgate incidents show inc_5h2k9x0d",))
@click.argument("incident")
@json_option
@monitor_option
def show_incident(incident: str, *, as_json: bool, monitor_url: str) -> None:
    """Show one incident: since when, how sure, and which signals changed how."""
    answer = Api("monitor's API", monitor_url).get(f"/v1/incidents/{part(incident)}")
    if as_json:
        show.facts(answer)
        return
    found = decoders.converted(answer, IncidentView)
    click.echo(f"{click.style(found.id, bold=True)}   {show.word(found.state)}")
    alarms = f"{found.alarms} alarm{'' if found.alarms == 1 else 's'}"
    facts = (
        ("of", f"{found.model} version {found.version}"),
        ("onset", f"{show.moment(found.onset.time)}, row {show.count(found.onset.rows)}"),
        ("opened", f"{show.moment(found.opened.time)}, row {show.count(found.opened.rows)}"),
        ("evidence", f"{found.evidence:.1f} of {found.threshold:.1f} nats, {alarms}"),
        ("retrain", found.trigger or "not asked for"),
        ("why", found.reason),
    )
    for name, value in facts:
        if value:
            click.echo(f"  {name:<9} {value}")
    show.table(
        ("SIGNAL", "GROUP", "EVIDENCE", "WHAT", "BEFORE", "AFTER"),
        [_finding(finding) for finding in found.findings],
    )


def _row(found: IncidentView) -> tuple[Any, ...]:
    strongest = ", ".join(finding.signal for finding in found.findings[:3])
    return (
        found.id,
        f"{found.model} {found.version}",
        show.word(found.state),
        show.moment(found.opened.time),
        show.moment(found.onset.time),
        " ".join(found.groups),
        strongest,
    )


def _finding(finding: FindingView) -> tuple[Any, ...]:
    effect = finding.effect
    return (
        finding.signal,
        finding.group,
        f"{finding.evidence:.1f}",
        effect.event,
        f"{effect.before:.1%}",
        f"{effect.after:.1%}",
    )
