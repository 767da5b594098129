"""The registry: every version's manifest, bytes and profile, and that routes name versions it has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from driftgate.doctor.finding import Finding, Subject, fail, ok, one_line, warn
from driftgate.doctor.reading import read_rollouts
from groundwork.errors import DriftgateError
from registry_client.backends import open_registry
from registry_client.registry import Registry
from rollouts import tables

NAMED: Final = 5
"""How many versions one line names."""
PUBLISH: Final = "publish a new version (`driftgate push`); versions never change"
READ: Final = "let it be read where the programs run; the version itself may be whole"


def registry(subject: Subject) -> Iterator[Finding]:
    """A line for each stray and each damaged version, one for all without a profile, one for all whole."""
    place = subject.gateway.models
    try:
        opened = open_registry(place)
        models = opened.models()
        versions = {model: opened.versions(model) for model in models}
    except DriftgateError as error:
        yield fail("registry", one_line(error), "set `models` to a registry that can be reached")
        return
    yield from _strays(opened, place)
    if not models:
        yield warn("registry", f"{place} has no models", "driftgate push model.onnx --name NAME")
    good, bare = 0, []
    for model, found in versions.items():
        for version in found:
            faults, has_profile = _version(opened, model, version)
            good += not faults
            bare += [] if faults or has_profile else [f"{model} {version}"]
            yield from faults
    if bare:
        yield _without_profile(bare)
    if good:
        whole = f"{_counted(good, 'version')} of {_counted(len(models), 'model')}"
        yield ok("registry", f"{whole}: bytes and digests agree")
    for route in read_rollouts(subject, lambda connection: tables.read_routes(connection).values()):
        for version in filter(None, (route.stable, route.candidate, route.previous)):
            if version not in versions.get(route.model, ()):
                yield fail(
                    "registry",
                    f"the route of {route.model} names version {version}, which {place} does not have",
                    "put it back, or move the route (`driftgate rollout`); running workers keep it loaded",
                )


def _strays(opened: Registry, place: str) -> Iterator[Finding]:
    for stray, why in opened.strays().items():
        said, _, remedy = why.rpartition("; ")
        yield warn("registry", f"{stray} in {place} is not served: {said}", remedy)


def _version(opened: Registry, model: str, version: str) -> tuple[list[Finding], bool]:
    """What is wrong with a version, and whether it has a reference profile."""
    try:
        manifest = opened.manifest(model, version)
        opened.artifact(manifest)
    except (DriftgateError, OSError) as error:
        return [fail("registry", f"{model} {version}: {one_line(error)}", _remedy(error))], False
    try:
        profile = opened.profile(manifest)
    except (DriftgateError, OSError) as error:
        return [warn("registry", f"{model} {version}: {one_line(error)}", _remedy(error))], False
    return [], profile is not None


def _remedy(error: Exception) -> str:
    """What cannot be read may be whole; what was read and is wrong stays wrong."""
    return READ if isinstance(error, OSError) or isinstance(error.__cause__, OSError) else PUBLISH


def _without_profile(versions: list[str]) -> Finding:
    shown = ", ".join(versions[:NAMED])
    shown = shown if len(versions) <= NAMED else f"{shown} and {len(versions) - NAMED} more"
    word = "has" if len(versions) == 1 else "have"
    return warn(
        "registry",
        f"{shown} {word} no reference profile, so nothing is compared with it",
        "driftgate push … --reference rows.csv, as a new version",
    )


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
