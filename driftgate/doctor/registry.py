"""The registry: every version's manifest, bytes and profile, and that routes name versions it has."""

from __future__ import annotations

from collections.abc import Iterator

from driftgate.doctor.finding import Finding, Subject, fail, ok, one_line, warn
from driftgate.doctor.reading import read_rollouts
from groundwork.errors import DriftgateError
from registry_client.backends import open_registry
from registry_client.registry import Registry
from rollouts import tables

PUBLISH = "publish a new version (`driftgate push`); versions never change"


def registry(subject: Subject) -> Iterator[Finding]:
    """One line for each version that is not as it should be, and one for all the others."""
    place = subject.gateway.models
    try:
        opened = open_registry(place)
        models = opened.models()
        versions = {model: opened.versions(model) for model in models}
    except DriftgateError as error:
        yield fail("registry", one_line(error), "set `models` to a registry that can be reached")
        return
    if not models:
        yield warn("registry", f"{place} has no models", "driftgate push model.onnx --name NAME")
    good = 0
    for model, found in versions.items():
        for version in found:
            faults = list(_version(opened, model, version))
            good += not faults
            yield from faults
    if good:
        yield ok("registry", f"{good} versions of {len(models)} models have the bytes of their digests")
    for route in read_rollouts(subject, lambda connection: tables.read_routes(connection).values()):
        for version in filter(None, (route.stable, route.candidate, route.previous)):
            if version not in versions.get(route.model, ()):
                yield fail(
                    "registry",
                    f"the route of {route.model} names version {version}, which {place} does not have",
                    "put it back, or move the route (`driftgate rollout`); running workers keep it loaded",
                )


def _version(opened: Registry, model: str, version: str) -> Iterator[Finding]:
    try:
        manifest = opened.manifest(model, version)
        opened.artifact(manifest)
    except (DriftgateError, OSError) as error:
        yield fail("registry", f"{model} {version}: {one_line(error)}", PUBLISH)
        return
    try:
        profile = opened.profile(manifest)
    except (DriftgateError, OSError) as error:
        yield warn("registry", f"{model} {version}: {one_line(error)}", PUBLISH)
        return
    if profile is None:
        yield warn(
            "registry",
            f"{model} {version} has no reference profile, so nothing is compared with it",
            f"driftgate push … --name {model} --reference rows.csv, as a new version",
        )
