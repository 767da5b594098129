"""`driftgate rollout`: everything one does to a rollout, through the operator API."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

import click
import msgspec

from driftgate import show, tree
from driftgate.cli.options import actor_option, json_option, operator_option, reason_option
from driftgate.remote import Api, default_actor, part
from driftgate.verbs import TaughtGroup
from driftgate.waiting import redraw
from gateway.views import Done
from groundwork import decoders
from monitor.retries import printable
from rollouts import spec_file
from rollouts.errors import RouteError
from rollouts.route import UNLOADED, load_first, weight_from_percent
from rollouts.status import Status
from rollouts.timeline import Moment

BELOW: Final = "      "
"""What stands before a reason, below the number of its row."""

P = ParamSpec("P")
R = TypeVar("R")


@click.group(
    cls=TaughtGroup,
    examples=(
        "driftgate rollout start fraud --to 2",
        "driftgate rollout status fraud -w",
        'driftgate rollout abort fraud --reason "support tickets"',
    ),
)
def rollout() -> None:
    """Bring a version to traffic on evidence, and back."""


def acting(verb: Callable[P, R]) -> Callable[P, R]:
    """The options of every verb that changes what answers."""
    for option in (json_option, operator_option, reason_option, actor_option):
        verb = option(verb)
    return verb


@rollout.command(
    examples=(
        "driftgate rollout start fraud --to 2",
        'driftgate rollout start fraud --to 2 --file careful.yaml --reason "retrained on September"',
    ),
)
@click.argument("model")
@click.option(
    "--to", "candidate", metavar="N", help="The version to bring to traffic; else the file names it."
)
@click.option(
    "--file",
    "spec",
    metavar="SPEC.yaml",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Steps, metrics and margins; careful defaults if left out.",
)
@acting
def start(model: str, *, candidate: str | None, spec: Path | None, **common: Any) -> None:
    """Start a rollout: shadow first, then steps by weight, each left only on evidence.

    A proven regression goes back to the stable version by itself at any time.
    """
    if candidate is None and spec is None:
        raise click.UsageError("--to names the version to bring to traffic")
    document = {} if spec is None else msgspec.to_builtins(spec_file.read(spec))
    _act(model, "start", common, candidate=candidate, spec=document)


@rollout.command(examples=("driftgate rollout status fraud", "driftgate rollout status fraud -w"))
@click.argument("model")
@click.option("-w", "--watch", is_flag=True, help="Redraw until the rollout ends.")
@json_option
@operator_option
def status(model: str, *, watch: bool, as_json: bool, operator: str) -> int:
    """Show where a rollout stands and what it waits for. Exit code 1 when the last one was rolled back."""
    if watch and as_json:  # printed once it would look like the end of what is waited for
        raise click.UsageError("--watch redraws for eyes, --json is told once; give one of them")
    api = Api("operator API", operator)
    look = functools.partial(_status, api, model)
    if as_json:
        answer = api.get(f"/v1/rollouts/{part(model)}")
        show.facts(answer)
        return _code(decoders.converted(answer, Status))
    if watch:
        return _code(
            redraw(look, tree.lines, lambda found: found.state in ("progressing", "paused", "baking"))
        )
    found = look()
    click.echo("\n".join(tree.lines(found)))
    return _code(found)


@rollout.command("set-weight", examples=("driftgate rollout set-weight fraud 7.5 --hold",))
@click.argument("model")
@click.argument("percent", metavar="PERCENT")
@click.option("--hold", is_flag=True, help="Pause there, until somebody resumes.")
@acting
def set_weight(model: str, percent: str, *, hold: bool, **common: Any) -> None:
    """Give the candidate PERCENT of the requests within its step."""
    try:
        weight_from_percent(percent)
    except RouteError as error:
        raise click.UsageError(str(error)) from None
    _act(model, "set-weight", common, weight=percent, hold=hold)


@rollout.command(examples=('driftgate rollout promote fraud --to 2 --reason "checked by hand"',))
@click.argument("model")
@click.option(
    "--to", "version", metavar="N", help="The version that you mean; refused where another one is on trial."
)
@acting
def promote(model: str, *, version: str | None, **common: Any) -> None:
    """Make the candidate stable now, without waiting for more evidence.

    Without --to that is whatever is on trial when the command arrives.
    """
    _act(model, "promote", common, to=version)


@rollout.command(examples=('driftgate rollout pause fraud --reason "release freeze"',))
@click.argument("model")
@acting
def pause(model: str, **common: Any) -> None:
    """Stay on the step; a proven regression still goes back."""
    _act(model, "pause", common)


@rollout.command(examples=("driftgate rollout resume fraud",))
@click.argument("model")
@acting
def resume(model: str, **common: Any) -> None:
    """Go on with the step where it was paused."""
    _act(model, "resume", common)


@rollout.command(examples=('driftgate rollout abort fraud --reason "support tickets"',))
@click.argument("model")
@acting
def abort(model: str, **common: Any) -> None:
    """Send everybody back to the stable version; always works, and returns when every worker has done it."""
    _act(model, "abort", common)


@rollout.command(
    examples=(
        'driftgate rollout undo fraud --reason "last release was wrong"',
        'driftgate rollout undo fraud --to 2 --reason "it was not the release"',
    )
)
@click.argument("model")
@click.option(
    "--to", "version", metavar="N", help="The version that is to answer everything: stable or previous."
)
@acting
def undo(model: str, *, version: str | None, **common: Any) -> None:
    """Go back by one change, with or without a rollout.

    A candidate, where there is one, is dropped, as by abort. Else the previous version is brought back: the
    one that was stable before the present one. After an undo or an abort, whosever, with nothing started
    since it is refused, for somebody has gone back already: --to goes further back then, or forward again.
    """
    _act(model, "undo", common, to=version)


@rollout.command(examples=("driftgate rollout history fraud", "driftgate rollout history fraud --json"))
@click.argument("model")
@click.option("--after", type=int, default=0, metavar="N", help="Only rows after this sequence number.")
@json_option
@operator_option
def history(model: str, *, after: int, as_json: bool, operator: str) -> None:
    """Show who changed what answers, when and why, with the evidence that decided."""
    answer = whole_history(Api("operator API", operator), model, after)
    if as_json:
        show.facts(answer)
        return
    for moment in decoders.converted(answer["history"], list[Moment]):
        tell(moment)


def whole_history(api: Api, model: str, after: int = 0) -> dict[str, Any]:
    """All rows after a sequence number, as one answer of the API, which has a thousand at most, would be."""
    rows: list[dict[str, Any]] = []
    while True:
        page = api.get(f"/v1/rollouts/{part(model)}/history", after=after or None)
        if not page["history"]:
            return {"history": rows, "after": after}
        rows += page["history"]
        after = page["after"]


def tell(moment: Moment) -> None:
    """One row: who did what and what answers since then; below it why, and on what evidence.

    What operators wrote is shown without control characters: it can draw no row of its own.
    """
    answers = UNLOADED if moment.unloaded else moment.stable
    if moment.candidate is not None:
        answers = f"{moment.stable}, and {moment.candidate} to {moment.weight} %"
    head = click.style(f"#{moment.sequence:<4}", bold=True)
    click.echo(f"{head} {moment.at[:19]}Z  {printable(moment.actor):<20} {moment.verb:<11} → {answers}")
    decided = f"{moment.verdict} on {show.count(moment.n)}" if moment.verdict else ""
    said = ": ".join(word for word in (decided, printable(moment.reason)) if word)
    for place, line in enumerate(show.wrapped(said, show.room(len(BELOW))) if said else ()):
        coloured = place == 0 and moment.verdict
        click.echo(
            f"{BELOW}{line.replace(moment.verdict, show.word(moment.verdict), 1) if coloured else line}"
        )


def _act(model: str, verb: str, common: dict[str, Any], **body: Any) -> None:
    """Do a verb and tell what came of it."""
    actor = common["actor"] or default_actor()
    api = Api("operator API", common["operator"])
    given = {name: value for name, value in body.items() if value is not None}
    answer = api.post(f"/v1/rollouts/{part(model)}/{verb}", {"who": actor, "why": common["reason"], **given})
    if common["as_json"]:
        show.facts(answer)
        return
    tell_done(decoders.converted(answer, Done))


def tell_done(done: Done) -> None:
    """What came of a verb; advice about it goes to stderr."""
    mark = click.style("✔", fg="green") if done.applied else click.style("!", fg="yellow")
    told = f"{answers(done.status)}, revision {done.revision}, in {done.seconds:.2f} s"
    click.echo(f"{mark} {done.verb} {done.model}: {told}")
    if done.verb == "undo" and (said := undone(done)):
        click.echo(f"  {said}")
    for line in done.advice:
        click.echo(f"{click.style('!', fg='yellow')} {line}", err=True)
    if done.lagging:
        click.echo(f"  not yet applied by {', '.join(done.lagging)}")


def answers(found: Status) -> str:
    """What answers now, in half a sentence."""
    if found.unloaded:
        return f"version {found.stable} is stable and answers nobody, {load_first(found.model)}"
    if found.candidate is None:
        return f"version {found.stable} answers everything"
    if float(found.weight) == 0 and found.shadow != "0":
        shadowed = f"version {found.candidate} runs in shadow of {found.shadow} %"
        return f"{shadowed}, version {found.stable} answers everything"
    return f"version {found.candidate} answers {found.weight} %, version {found.stable} the rest"


def undone(done: Done) -> str:
    """What an undo has taken away and how it comes back; empty where history does not say it."""
    earlier = [row for row in done.status.history if row.stable and row.revision < done.revision]
    if not earlier:
        return ""
    stable, candidate = earlier[-1].stable, earlier[-1].candidate
    if stable == done.status.stable:
        return f"candidate {candidate} is dropped"
    return f"undo --to {stable} brings version {stable} back"


def _status(api: Api, model: str) -> Status:
    return decoders.converted(api.get(f"/v1/rollouts/{part(model)}"), Status)


def _code(found: Status) -> int:
    return 1 if found.state == "rolled-back" else 0
