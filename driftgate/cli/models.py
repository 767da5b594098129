"""`driftgate models`: which models there are, which versions, and what answers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click
import msgspec

from driftgate import show
from driftgate.cli.options import json_option, operator_option
from driftgate.remote import Api, part
from driftgate.verbs import TaughtGroup
from gateway.views import Models, ModelView, RunView
from groundwork import decoders
from monitor.retries import printable
from rollouts.route import UNLOADED

if TYPE_CHECKING:
    from registry_client.manifest import Manifest
    from registry_client.signature import TensorSpec

_LONG_SECONDS = 0.25


@click.group(
    cls=TaughtGroup,
    default="list",
    examples=(
        "driftgate models list",
        "driftgate models list --models models",
        "driftgate models show fraud",
        "driftgate models show fraud --models models",
    ),
)
def models() -> None:
    """List models and versions, or show one."""


@models.command("list", examples=("driftgate models list", "driftgate models list --models models --json"))
@click.option("--models", "place", metavar="DIR", help="List what this registry holds instead.")
@json_option
@operator_option
def list_models(*, place: str | None, as_json: bool, operator: str) -> None:
    """List every model that the gateway knows: its versions and what answers.

    With --models: every model of a registry, whether a gateway runs or not.
    """
    if place is not None:
        _tell_registry(place, as_json=as_json)
        return
    answer = Api("operator API", operator).get("/v1/models")
    if as_json:
        show.facts(answer)
        return
    found = decoders.converted(answer, Models)
    show.table(
        ("MODEL", "VERSIONS", "STABLE", "CANDIDATE", "REVISION", "FAULTS"),
        map(listed, found.models),
        none="no model is there yet; `driftgate push` publishes one",
    )
    _tell_faults(found.faults)


@models.command(
    "show",
    examples=(
        "driftgate models show fraud",
        "driftgate models show fraud --models models --version 3",
    ),
)
@click.argument("model")
@click.option("--models", "place", metavar="DIR", help="Show what this registry holds of a version instead.")
@click.option("--version", metavar="N", help="With --models: which version; the highest if left out.")
@json_option
@operator_option
def show_model(model: str, *, place: str | None, version: str | None, as_json: bool, operator: str) -> None:
    """Show what answers for MODEL and in how many workers each version is loaded.

    With --models: the manifest of a version, straight from the registry.
    """
    if place is not None:
        _tell_manifest(_manifest(place, model, version), as_json=as_json)
        return
    if version is not None:
        raise click.UsageError("--version belongs to --models DIR")
    answer = Api("operator API", operator).get(f"/v1/models/{part(model)}")
    if as_json:
        show.facts(answer)
    else:
        _tell_view(decoders.converted(answer, ModelView))


def _tell_registry(place: str, *, as_json: bool) -> None:
    from registry_client.backends import open_registry  # noqa: PLC0415  the gateway's view needs no registry

    registry = open_registry(place)
    found = {name: registry.versions(name) for name in registry.models()}
    faults = [f"{place} is not served: {why}" for place, why in registry.strays().items()]
    if as_json:
        listing = [{"name": name, "versions": versions} for name, versions in found.items()]
        show.facts({"models": listing, "faults": faults})
        return
    rows = []
    for name, versions in found.items():
        newest = registry.manifest(name, versions[-1])
        profile = "yes" if newest.profile_digest else "none"
        rows.append((name, " ".join(versions), newest.task, profile, newest.created or None))
    titles = ("MODEL", "VERSIONS", "TASK", "PROFILE", "NEWEST PUBLISHED")
    show.table(titles, rows, none=f"no model is in {place}")
    _tell_faults(faults)


def _tell_faults(faults: Iterable[str]) -> None:
    """What is wrong with no single model; folders are named as anybody likes."""
    for fault in faults:
        click.echo(f"{click.style('!', fg='yellow')} {printable(fault)}")


def listed(view: ModelView) -> tuple[Any, ...]:
    """A model's line in the list."""
    candidate = f"{view.candidate} at {view.weight} %" if view.candidate else None
    faults = "; ".join(f"{version or 'model'}: {printable(why)}" for version, why in view.faults.items())
    stable = f"{view.stable}, {UNLOADED}" if view.unloaded else view.stable
    return view.name, " ".join(view.versions), stable, candidate, view.revision or None, faults or None


def _tell_view(view: ModelView) -> None:
    click.echo(f"{click.style(view.name, bold=True)}   route revision {view.revision}")
    rows = []
    for version in sorted({*view.versions, *view.loaded}, key=int):  # a registry that is gone lists none
        loaded = view.loaded.get(version, 0)
        fault = printable(view.faults.get(version, "")) or None  # graphs name their nodes as they like
        rows.append((version, standing(view, version), loaded or None, fault))
    show.table(("VERSION", "ANSWERS", "LOADED IN", "FAULT"), rows)
    if view.options:
        said = (f"{name} {_option(value)}" for name, value in view.options.items() if value not in ({}, []))
        first, *others = show.wrapped(f"onnxruntime: {', '.join(said)}", show.room(4))
        click.echo("\n".join([f"  {first}", *(f"    {other}" for other in others)]))
    for version, run in view.runs.items():
        most = f", up to {run.batch_rows} rows" if run.mode == "batched" else ""
        click.echo(f"  version {version} runs {run.mode}{most}: {run.reason}{_opening(run)}")
    if "" in view.faults:
        click.echo(f"{click.style('!', fg='yellow')} {view.faults['']}")


def _opening(run: RunView) -> str:
    """How long it took to open, where that took long or was made short."""
    if not run.copied and run.opening_seconds < _LONG_SECONDS:
        return ""
    return f"; opened in {run.opening_seconds:.2f} s{' from its optimised copy' * run.copied}"


def _option(value: Any) -> str:
    """An option of onnxruntime as a person writes it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def standing(view: ModelView, version: str) -> str | None:
    """What a version is to the route."""
    if version == view.stable:
        return UNLOADED if view.unloaded else show.word("stable")
    if version == view.candidate:
        return f"{show.word('candidate')} {view.weight} %"
    return "previous" if version == view.previous else None


def _manifest(place: str, model: str, version: str | None) -> Manifest:
    from registry_client.backends import open_registry  # noqa: PLC0415  the gateway's view needs no registry
    from registry_client.errors import UnknownModelError  # noqa: PLC0415  the same

    registry = open_registry(place)
    versions = registry.versions(model)
    if not versions:
        known = ", ".join(registry.models()) or "none"
        raise UnknownModelError(f"{place} has no version of {model!r}; its models: {known}")
    return registry.manifest(model, version or versions[-1])


def _tell_manifest(manifest: Manifest, *, as_json: bool) -> None:
    if as_json:
        show.facts(msgspec.to_builtins(manifest))
        return
    click.echo(f"{click.style(manifest.name, bold=True)} version {manifest.version}")
    facts = (
        ("digest", manifest.digest),
        ("size", f"{show.count(manifest.size)} bytes"),
        ("task", manifest.task),
        ("classes", ", ".join(manifest.classes) or None),
        ("profile", manifest.profile_digest or "none"),
        ("created", manifest.created or None),
        ("source", manifest.source or None),
    )
    for name, value in facts:
        if value is not None:
            click.echo(f"  {name:<8} {value}")
    signature = manifest.signature
    if signature is not None:
        rows = [("input", *_tensor(spec)) for spec in signature.inputs]
        rows += [("output", *_tensor(spec)) for spec in signature.outputs]
        show.table(("ROLE", "NAME", "DATATYPE", "SHAPE"), rows)


def _tensor(spec: TensorSpec) -> tuple[str, str, str]:
    return spec.name, str(spec.datatype), str(list(spec.shape))
