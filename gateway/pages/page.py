"""What a page is to the data port, and the table of the paths they answer on.

Adding one is a function and a `Page` in a file beside this, a line in PAGES, and its words in
`gateway.about`.
"""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import msgspec

from gateway.core import Core
from gateway.errors import (
    ForbiddenError,
    NoDefaultModelError,
    NotOfferedError,
    NotReadyError,
    UnknownModelError,
    UnknownVersionError,
)
from gateway.model import LoadedModel
from gateway.protocols.codec import Headers
from gateway.repository import Repository
from gateway.responses import ErrorBody, Response, plain_fault

PAGES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "/v2": "gateway.pages.open_inference:SERVER",
        "/v2/health/live": "gateway.pages.open_inference:LIVE",
        "/v2/health/ready": "gateway.pages.open_inference:READY",
        "/v2/models/stats": "gateway.pages.open_inference:STATISTICS",
        "/v2/models/{model}": "gateway.pages.open_inference:MODEL",
        "/v2/models/{model}/versions/{version}": "gateway.pages.open_inference:MODEL",
        "/v2/models/{model}/ready": "gateway.pages.open_inference:MODEL_READY",
        "/v2/models/{model}/versions/{version}/ready": "gateway.pages.open_inference:MODEL_READY",
        "/v2/models/{model}/config": "gateway.pages.open_inference:CONFIG",
        "/v2/models/{model}/versions/{version}/config": "gateway.pages.open_inference:CONFIG",
        "/v2/models/{model}/stats": "gateway.pages.open_inference:MODEL_STATISTICS",
        "/v2/models/{model}/versions/{version}/stats": "gateway.pages.open_inference:MODEL_STATISTICS",
        "/v2/repository/index": "gateway.pages.repository:INDEX",
        "/v2/repository/models/{model}/load": "gateway.pages.repository:LOAD",
        "/v2/repository/models/{model}/unload": "gateway.pages.repository:UNLOAD",
        "/v2/models/{model}/labels": "gateway.pages.own:LABELS",
        "/v2/models/{model}/generate": "gateway.pages.absent:ABSENT",
        "/v2/models/{model}/generate_stream": "gateway.pages.absent:ABSENT",
        "/v2/models/{model}/trace/setting": "gateway.pages.absent:ABSENT",
        "/v2/trace/setting": "gateway.pages.absent:ABSENT",
        "/v2/logging": "gateway.pages.absent:ABSENT",
        "/v1/models/{model}:explain": "gateway.pages.absent:ABSENT",
        "/v1/models/{model}:classify": "gateway.pages.absent:ABSENT",
        "/v1/models/{model}:regress": "gateway.pages.absent:ABSENT",
        "/": "gateway.pages.kserve_v1:ALIVE",
        "/v1/models": "gateway.pages.kserve_v1:MODELS",
        "/v1/models/{model}": "gateway.pages.kserve_v1:MODEL",
        "/v1/models/{model}/versions/{version}": "gateway.pages.kserve_v1:MODEL",
        "/v1/models/{model}/labels/{label}": "gateway.pages.kserve_v1:MODEL",
        "/v1/models/{model}/metadata": "gateway.pages.kserve_v1:METADATA",
        "/v1/models/{model}/versions/{version}/metadata": "gateway.pages.kserve_v1:METADATA",
        "/v1/models/{model}/labels/{label}/metadata": "gateway.pages.kserve_v1:METADATA",
        "/ping": "gateway.pages.mlflow:PING",
        "/health": "gateway.pages.mlflow:PING",
        "/version": "gateway.pages.mlflow:VERSION",
        "/metrics": "gateway.pages.own:METRICS",
        "/openapi.json": "gateway.pages.own:OPENAPI",
        "/docs": "gateway.pages.own:DOCS",
    }
)
"""Path to the page that answers it; `{model}` and the like are one segment each."""

PLATFORM_PAGES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "vertex_health": "gateway.pages.mlflow:PING",
        "azure_liveness": "gateway.pages.kserve_v1:ALIVE",
        "azure_readiness": "gateway.pages.mlflow:PING",
    }
)
"""Setting of `platform` to the page on the path it holds; empty: no such path."""


class Premises(msgspec.Struct, frozen=True):
    """What pages stand on; `exposition` renders /metrics and is called in a thread.

    `targets` are all paths of this port with what they lead to, as the tables name it. `commands` says
    whether this port takes commands now; without a `repository` it takes none.
    """

    core: Core
    exposition: Callable[[], bytes]
    version: str
    slots_folder: Path
    repository: Repository | None
    commands: Callable[[], bool]
    keyed: Callable[[], bool]
    targets: Mapping[str, str]


class Exchange(msgspec.Struct, frozen=True, gc=False):
    """One request as a page sees it; `body` reads it whole, `caller` is its key's name ("": without keys)."""

    premises: Premises
    model: str
    version: str | None
    label: str | None
    headers: Headers
    query: bytes
    body: Callable[[], Awaitable[bytes]]
    caller: str = ""


Endpoint = Callable[[Exchange], Awaitable[Response]]


class Page(msgspec.Struct, frozen=True):
    """Endpoints by method, and how errors are written."""

    methods: Mapping[str, Endpoint]
    fault: ErrorBody = plain_fault


def get(endpoint: Endpoint, fault: ErrorBody = plain_fault) -> Page:
    """A page that is read."""
    return Page(MappingProxyType({"GET": endpoint, "HEAD": endpoint}), fault)


def post(endpoint: Endpoint) -> Page:
    """A page that something is sent to."""
    return Page(MappingProxyType({"POST": endpoint}))


def repository_of(premises: Premises) -> Repository:
    """The repository behind this port; NotOfferedError where there is none."""
    if premises.repository is None:
        raise NotOfferedError("this port has no registry behind it")
    return premises.repository


def commanded(premises: Premises) -> Repository:
    """The repository, to be changed; ForbiddenError where whoever gets here without keys may be anybody."""
    if not premises.commands():
        raise ForbiddenError(
            "this port takes no commands from whoever reaches it: set keys.file, or listen on loopback"
        )
    return repository_of(premises)


async def answering(core: Core, model: str, version: str | None) -> LoadedModel:
    """The version that a page about readiness tells of, found as for a request.

    NotReadyError where the model is known and answers nobody: it is unloaded, or not loaded yet.
    """
    try:
        return await core.find(model, version)
    except UnknownModelError:
        if model not in core.lanes.routed:
            raise
    raise NotReadyError(f"model {model!r} answers nobody now: it is unloaded, or still being loaded")


def default_model(core: Core) -> str:
    """The model that a path without a model's name asks.

    Raises:
        UnknownModelError: no model is served.
        NoDefaultModelError: several are, and no setting says which.
    """
    named = core.settings.platform.default_model
    if named:
        return named
    served = core.lanes.served
    if len(served) > 1:
        raise NoDefaultModelError(
            f"this path names no model and {len(served)} are served; set platform.default_model to one"
        )
    for name in served:
        return name
    raise UnknownModelError("this path asks the default model, but no model is served; publish one")


def labelled_version(core: Core, model: str, label: str) -> str | None:
    """The version that a label names: "stable" or "candidate"; None where there is no such model.

    Raises:
        UnknownVersionError: it is another label, or nothing is being rolled out.
    """
    lane = core.lanes.table.get(model)
    if lane is None and model not in core.lanes.dormant:
        return None
    stable, candidate = core.lanes.dormant.get(model), None  # what is dormant has no candidate
    if lane is not None:
        stable, candidate = lane.route.stable, lane.route.candidate
    found = {"stable": stable, "candidate": candidate}.get(label)
    if found is None:
        raise UnknownVersionError(
            f"model {model} has no version labelled {label[:40]!r}; "
            "labels are stable, and candidate in a rollout"
        )
    return found
