"""`driftgate drift`: what the monitor sees of live data against the reference."""

from __future__ import annotations

from typing import Any, Final

import click

from driftgate import show
from driftgate.cli.options import json_option, monitor_option
from driftgate.remote import Api
from driftgate.verbs import TaughtGroup

BAR: Final = 12
SIGNALS: Final = 3
LABELS: Final = (
    ("matched", "matched"),
    ("unscored", "matched but neither right nor wrong"),
    ("waiting", "waiting for their predictions"),
    ("not_drawn", "of predictions left out of the log"),
    ("unmatched", "given up without a prediction"),
    ("late", "late"),
    ("duplicate", "of rows that had one"),
    ("ambiguous", "by a client id used twice"),
)
"""What became of labels and how it is called; early ones wait, or have been matched or given up since."""
LATE_SECONDS: Final = 5.0
"""A lag below this is the way of things: rows wait for their flush and for the monitor's next look."""


@click.group(
    cls=TaughtGroup,
    default="status",
    examples=("driftgate drift status", "driftgate drift status fraud --signals 10"),
)
def drift() -> None:
    """Show what the monitor sees, version by version."""


@drift.command(examples=("driftgate drift status", "driftgate drift status fraud --version 3 --signals 10"))
@click.argument("model", required=False)
@click.option("--version", metavar="N", help="Only this version.")
@click.option(
    "--signals", type=int, default=SIGNALS, show_default=True, metavar="N", help="How many to show."
)
@json_option
@monitor_option
def status(
    model: str | None,
    *,
    version: str | None,
    signals: int,
    as_json: bool,
    monitor_url: str,
) -> None:
    """Show evidence of change against its threshold, the strongest signals, and accuracy where labels came.

    Evidence is one number for the whole version; an alarm is evidence that reaches the threshold, which a
    version that has not changed reaches once in the budget of rows. Below stands what became of each model's
    labels: matched with their predictions, waiting for them, or why not.
    """
    api = Api("monitor's API", monitor_url)
    answer = api.get("/v1/drift", model=model, version=version)
    if as_json:
        show.facts(answer)
        return
    versions = answer["versions"]
    if not versions:
        click.echo(nothing_seen(model, version))
    show.table(
        ("MODEL", "VERSION", "ROWS", "ACCURACY", "RECENT", "EVIDENCE", "INCIDENT"),
        [_row(found) for found in versions],
    )
    for found in versions:
        tell_signals(found, signals)
        if found["reference"]:
            click.echo(f"{found['model']} {found['version']}: not compared: {found['reference']}")
        tell_strange_labels(found)
        for column, why in found.get("unwatched", {}).items():
            click.echo(f"{found['model']} {found['version']}: {column} is not watched: {why}")
    for found in answer.get("labels", ()):
        tell_labels(found)
    lag = answer.get("lag")
    if lag is not None and lag["seconds"] > LATE_SECONDS:
        click.echo(f"the monitor is {show.count(lag['rows'])} rows ({lag['seconds']:.0f} s) behind the log")


def nothing_seen(model: str | None, version: str | None) -> str:
    """What is said where there is nothing to show of what was asked for."""
    asked = [name for name in (model, f"version {version}" if version else None) if name]
    return f"the monitor has seen no rows of {' '.join(asked) or 'any model'} yet"


def _row(found: dict[str, Any]) -> tuple[Any, ...]:
    accuracy = found["accuracy"]
    incident = click.style(found["incident"], fg="red") if found["incident"] else None
    return (
        found["model"],
        found["version"],
        show.count(found["rows"]),
        _share(accuracy["overall"]),
        _share(accuracy["recent"]),
        evidence_text(found["evidence"], found["threshold"]),
        incident,
    )


def evidence_text(evidence: float | None, threshold: float) -> str:
    """Evidence in nats against its threshold, with a bar; without any evidence, none."""
    reached = max(evidence or 0.0, 0.0)
    return f"{show.bar(reached, threshold, BAR)} {reached:.1f} of {threshold:.1f}"


def tell_strange_labels(found: dict[str, Any]) -> None:
    """A line about labels that are none of a version's classes, if there are any: a wrong spelling shows."""
    strange = found["accuracy"].get("unknown_class", 0)
    if strange:
        name = f"{found['model']} {found['version']}"
        click.echo(f"{name}: {show.count(strange)} labels are none of the classes in its manifest")


def tell_labels(found: dict[str, Any]) -> None:
    """A line about a model's labels: what became of them, and how many wait for their predictions."""
    said = ", ".join(f"{show.count(found.get(key, 0))} {word}" for key, word in LABELS if found.get(key))
    if said:
        click.echo(f"{found['model']} labels: {said}")


def tell_signals(found: dict[str, Any], most: int) -> None:
    """The strongest signals of a version, of those that changed at all."""
    ranked = sorted(found["signals"], key=lambda signal: signal["evidence"] or 0.0, reverse=True)
    telling = [signal for signal in ranked if signal["effect"] > 0][:most]
    for signal in telling:
        change = f"{signal['before']:.1%} → {signal['after']:.1%}" if signal["event"] else ""
        evidence = signal["evidence"]  # None of what only advises, such as ADWIN
        nats = "      -" if evidence is None else f"{evidence:7.1f}"
        click.echo(
            f"  {found['model']} {found['version']}  {signal['signal']:<14} {nats}"
            f"  {signal['event']} {change}".rstrip()
        )


def _share(value: float | None) -> str | None:
    return None if value is None else f"{value:.1%}"
