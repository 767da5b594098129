"""`driftgate push`: publish a version."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from driftgate import show
from driftgate.cli.options import Finite, json_option, models_option
from driftgate.cli.profile import risk_text
from driftgate.errors import CommandError
from driftgate.extras import require
from driftgate.frames import read_frame
from driftgate.verbs import TaughtCommand
from driftgate.waiting import doing
from registry_client.backends import open_lasting
from registry_client.errors import BadNameError, RegistryError
from registry_client.manifest import check_name, check_version
from registry_client.onnx_file import what_it_is

if TYPE_CHECKING:
    from registry_client.manifest import Manifest
    from registry_client.registry import Registry
    from registry_client.verification import Tolerance

_PICKLED: Final = (b"\x80", b"ccopy", b"x", b"\x1f\x8b", b"BZh", b"]\0", b"\xfd7zXZ", b'\x04"M\x18')
"""How a file begins that joblib loads: a pickle, of the oldest form too, or one packed in any of its ways."""

_FP64: Final = "wanted FP32, found FP64"
"""How a reason ends where doubles are what keeps a version from standing in for another."""


@click.command(
    cls=TaughtCommand,
    examples=(
        "driftgate push pipeline.joblib --name fraud --reference heldout.csv --labels outcome --held-out",
        "driftgate push model.onnx --name fraud --version 7 --models models",
    ),
)
@click.argument("model", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--name", required=True, metavar="M", help="The model's name.")
@click.option("--version", metavar="N", help="A whole number; the highest plus one if left out.")
@click.option(
    "--reference",
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Rows such as the model will see (.csv or .parquet); required for an estimator.",
)
@click.option("--labels", metavar="COLUMN", help="The column of --reference that holds the true values.")
@click.option("--held-out", is_flag=True, help="The model was not trained on the rows of --reference.")
@click.option(
    "--tolerance",
    type=Finite(min=0),
    metavar="X",
    help="Greatest difference of a score between the ONNX graph and the original.  [default: 0.001]",
)
@click.option(
    "--tolerate-rows",
    type=click.IntRange(min=0),
    metavar="N",
    help="How many reference rows may differ by more than that.  [default: 0]",
)
@models_option
@json_option
def push(  # noqa: PLR0913  one parameter for each option
    model: Path,
    *,
    name: str,
    version: str | None,
    reference: Path | None,
    labels: str | None,
    held_out: bool,
    tolerance: float | None,
    tolerate_rows: int | None,
    models_place: str,
    as_json: bool,
) -> None:
    """Publish a scikit-learn pipeline or an ONNX file as a version.

    MODEL is a .joblib file that you trust (loading one runs code in it) or an .onnx file. An estimator is
    converted to ONNX and compared with the original on the reference rows; a difference beyond tolerance
    refuses it, and says where. The reference rows become a profile (counts, no rows) that the monitor
    compares live traffic with. A version appears whole or not at all, and never changes; publishing never
    changes what answers.
    """
    _check(name, version)
    require("publish")
    from registry_client import publish  # noqa: PLC0415  loads scikit-learn

    rows, truth = _reference(reference, labels)
    opened = open_lasting(models_place)
    before = opened.versions(name)
    given = _model(model)
    told: list[str] = []
    with doing(_work(rows, is_graph=given is model)):
        manifest = publish(
            given,
            name=name,
            version=version,
            reference=rows,
            labels=truth,
            held_out=held_out,
            tolerance=_tolerance(tolerance, tolerate_rows),
            registry=opened,
            tell=told.append,
        )
    clashes = {} if manifest.version in before else _clashes(manifest, opened, before)
    if as_json:
        show.facts(msgspec.to_builtins(manifest))
    elif manifest.version in before:
        click.echo(f"{_title(manifest)} is in {models_place} already, and is the same: nothing was published")
    else:
        _tell(manifest, opened, models_place, told)
        _tell_how_it_answers(manifest, before, is_welcome=len(clashes) < len(before))
    _warn_of(clashes, before, estimator=given is not model)


def _check(name: str, version: str | None) -> None:
    """UsageError for a name or a version that none can have."""
    try:
        check_name(name)
        if version is not None:
            check_version(version)
    except BadNameError as error:
        raise click.UsageError(str(error)) from None


def _work(rows: Any, *, is_graph: bool) -> str:
    """What takes its time: conversion of many trees, or a long reference."""
    done = "running the graph" if is_graph else "converting, and comparing with the original"
    return done if rows is None else f"{done} on {show.count(len(rows))} rows"


def _tolerance(score: float | None, rows: int | None) -> Tolerance:
    from registry_client.verification import Tolerance  # noqa: PLC0415  loads numpy

    stated = Tolerance()
    return msgspec.structs.replace(
        stated,
        score=stated.score if score is None else score,
        rows=stated.rows if rows is None else rows,
    )


def _model(file: Path) -> Any:
    """The path of a graph as it is, or the estimator in a joblib file."""
    if file.suffix.lower() == ".onnx":
        return file
    _refuse_other_files(file)
    import joblib  # noqa: PLC0415  part of scikit-learn

    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            estimator = joblib.load(file)
    except Exception as error:  # anything may come out of unpickling
        raise CommandError(_unreadable(file, error)) from error
    for said in dict.fromkeys(" ".join(str(one.message).split()) for one in warned):
        click.echo(f"{click.style('!', fg='yellow')} {file}: {said}", err=True)
    return estimator


def _refuse_other_files(file: Path) -> None:
    """CommandError for what is no pickle: read as one, a text would be taken for names of code to import."""
    with file.open("rb") as opened:
        start = opened.read(64)
    if start.startswith(_PICKLED):
        return
    if file.suffix == ".py":
        found = "a program: run it, let it write the fitted estimator with joblib.dump, and push that file"
    else:
        found = what_it_is(start) or "neither"
    raise CommandError(f"{file}: wanted an .onnx file or a joblib file of a fitted estimator, found {found}")


def _unreadable(file: Path, error: Exception) -> str:
    """Why a file gave no estimator: code that it names and is not here, or it is another file."""
    if isinstance(error, (ImportError, AttributeError)):
        return (
            f"{file}: it needs code that cannot be imported here ({error}); define that in a module that is "
            "installed beside driftgate, or found by PYTHONPATH, and fit and dump again"
        )
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return f"{file}: wanted an .onnx file or a joblib file of a fitted estimator, found neither ({said})"


def _reference(file: Path | None, labels: str | None) -> tuple[Any, Any]:
    """The reference rows and, apart, their labels."""
    if file is None:
        if labels is not None:
            raise click.UsageError("--labels names a column of --reference; give that too")
        return None, None
    frame = read_frame(file)
    if labels is None:
        return frame, None
    if labels not in frame.columns:
        columns = ", ".join(map(str, frame.columns))
        raise click.UsageError(f"{file} has no column {labels!r}; it has {columns}")
    return frame.drop(columns=[labels]), frame[labels]


def _clashes(manifest: Manifest, registry: Registry, before: Sequence[str]) -> dict[str, str]:
    """The older versions that this one cannot stand in for, ascending, each with the reason."""
    found: dict[str, str] = {}
    for version in before:
        with contextlib.suppress(RegistryError):  # what cannot be read does not answer either
            older = registry.manifest(manifest.name, version).signature
            if older is not None and manifest.signature is not None:
                found[version] = older.incompatibility(manifest.signature) or ""
    return {version: reason for version, reason in found.items() if reason}


def _warn_of(clashes: Mapping[str, str], before: Sequence[str], *, estimator: bool) -> None:
    """Say which rollouts will be refused, before somebody starts one."""
    if not clashes:
        return
    newest, reason = list(clashes.items())[-1]
    others = f" (nor for {len(clashes) - 1} older)" if len(clashes) > 1 else ""
    remedy = ": publish it under another name" if newest == before[-1] else ""
    if remedy and estimator and reason.startswith("input") and _FP64 in reason:
        remedy += ", or accept the rows that differ in FP32: --tolerate-rows N"
    click.echo(
        f"{click.style('!', fg='yellow')} it cannot stand in for version {newest}{others}: {reason}; "
        f"a rollout from there will be refused{remedy}",
        err=True,
    )


def _title(manifest: Manifest) -> str:
    digest = manifest.digest.removeprefix("sha256:")[:12]
    return f"{click.style('✔', fg='green')} {manifest.name} version {manifest.version} ({digest})"


def _tell(manifest: Manifest, registry: Registry, place: str, told: Iterable[str]) -> None:
    found = registry.profile(manifest)
    known = (
        "without a reference profile" if found is None else f"with a profile of {show.count(found.rows)} rows"
    )
    click.echo(f"{_title(manifest)}, {known}, is in {place}")
    if found is not None and found.risk is not None:
        click.echo(f"  {risk_text(found.risk, held_out=found.held_out)}")
    for line in told:
        click.echo(f"  {line}")


def _tell_how_it_answers(manifest: Manifest, before: Sequence[str], *, is_welcome: bool) -> None:
    """What answers: a gateway begins with the highest version, and leaves what it has only by a rollout."""
    if not before:
        click.echo("  the first version of a model answers as soon as a gateway sees it")
        return
    if int(manifest.version) > int(before[-1]):
        new = f"a gateway that has not seen {manifest.name} yet will answer by this one"
        click.echo(f"  {new}; one that has goes on as before")
    else:
        click.echo("  nothing answers differently yet")
    if is_welcome:
        click.echo(f"  bring it to traffic: driftgate rollout start {manifest.name} --to {manifest.version}")
