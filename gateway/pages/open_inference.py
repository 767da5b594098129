"""Pages of the Open Inference Protocol: health, metadata, configuration, statistics.

Health bodies name both facts, because released clients read either from either; the status is what counts.
"""

import asyncio
from typing import Any, Final

from gateway.bulk import MOST_BINARY_ROWS
from gateway.core import Core
from gateway.model import LoadedModel
from gateway.pages.page import Exchange, Premises, answering, get
from gateway.responses import OK, UNAVAILABLE, Response, document
from gateway.statistics import Version, model_stats
from gateway.tensors import Tensor
from registry_client.signature import Datatype

PLATFORM: Final = "onnx_onnxv1"
BACKEND: Final = "onnxruntime"
EXTENSIONS: Final = (
    "binary_tensor_data",
    "classification",
    "model_configuration",
    "parameters",
    "schedule_policy",
    "statistics",
)
COMMANDS: Final = "model_repository"


def extensions(premises: Premises) -> list[str]:
    """The extensions that work on this port as it is set up."""
    commands = premises.repository is not None and premises.commands()
    return sorted((*EXTENSIONS, COMMANDS) if commands else EXTENSIONS)


async def _server(asked: Exchange) -> Response:
    here = asked.premises
    return document({"name": "driftgate", "version": here.version, "extensions": extensions(here)})


async def _live(asked: Exchange) -> Response:
    return document({"live": True, "ready": asked.premises.core.ready})


async def _ready(asked: Exchange) -> Response:
    ready = asked.premises.core.ready
    return document({"live": True, "ready": ready}, OK if ready else UNAVAILABLE)


async def _model(asked: Exchange) -> Response:
    model = await asked.premises.core.find(asked.model, asked.version)
    return document(describe(model, await askable(asked.premises, model)))


async def _model_ready(asked: Exchange) -> Response:
    model = await answering(asked.premises.core, asked.model, asked.version)
    return document({"name": model.name, "ready": True})


async def _config(asked: Exchange) -> Response:
    core = asked.premises.core
    model = await core.find(asked.model, asked.version)
    told = configuration(model, core.settings.requests.max_body_bytes)
    for tensor in told["input"]:
        tensor["optional"] = False  # as Triton says in JSON, where what is false is told too; clients read it
    return document(told)


async def _statistics(asked: Exchange) -> Response:
    return document(await statistics(asked.premises, asked.model, asked.version))


async def statistics(here: Premises, name: str, version: str | None) -> dict[str, Any]:
    """The statistics document of a version, of all of a model's in memory, or, without a name, of all."""
    if name:
        model = await here.core.find(name, version)
        held = [model.version] if version else versions_beside(here.core, model)
        versions: list[Version] = [(name, one) for one in held]
    else:
        table = here.core.lanes.table
        versions = [
            (one, version) for one in sorted(table) for version in sorted(table[one].versions, key=int)
        ]
    return await asyncio.to_thread(model_stats, here.slots_folder, versions)


async def askable(here: Premises, model: LoadedModel) -> list[str]:
    """The versions of a model that a request may name: all of the registry's, and what is in memory."""
    held = [] if here.repository is None else await here.repository.versions(model.name)
    return sorted({*held, *versions_beside(here.core, model)}, key=int)


def versions_beside(core: Core, model: LoadedModel) -> list[str]:
    """The versions of a model that are in memory, in order, the one given among them."""
    lane = core.lanes.table.get(model.name)  # a stranded model has none
    return sorted({*(lane.versions if lane else ()), model.version}, key=int)


def describe(model: LoadedModel, versions: list[str]) -> dict[str, Any]:
    """The metadata document of a version; `versions` are those that can be asked for."""
    return {
        "name": model.name,
        "versions": versions,
        "platform": PLATFORM,
        "inputs": [_tensor(tensor) for tensor in model.inputs.values()],
        "outputs": [_tensor(tensor) for tensor in model.outputs],
    }


def configuration(model: LoadedModel, max_body_bytes: int) -> dict[str, Any]:
    """The configuration document of a version.

    A request may have as many rows as its body may have bytes for; where there is no batch axis
    `max_batch_size` is 0 and `dims` are whole shapes, as in Triton. `dims` are never empty, for Triton's are
    not and its clients refuse that: what has one value a row has [1], and requests may send it as a column.
    """
    most = 0
    if model.batched:
        row = sum(_row_bytes(tensor) for tensor in model.inputs.values())
        most = max(1, min(max_body_bytes // max(1, row), MOST_BINARY_ROWS))
    batched = model.batched and all(tensor.batched for tensor in model.outputs)
    return {
        "name": model.name,
        "platform": PLATFORM,
        "backend": BACKEND,
        "version_policy": {"specific": {"versions": [int(model.version)]}},
        "max_batch_size": most if batched else 0,
        "input": [_configured(tensor, batched=batched) for tensor in model.inputs.values()],
        "output": [_configured(tensor, batched=batched) for tensor in model.outputs],
    }


def _row_bytes(tensor: Tensor) -> int:
    size = 4 if tensor.datatype is Datatype.BYTES else tensor.dtype.itemsize
    for extent in tensor.row_shape or ():
        size *= extent
    return size


def _tensor(tensor: Tensor) -> dict[str, Any]:
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}


def _configured(tensor: Tensor, *, batched: bool) -> dict[str, Any]:
    name = "STRING" if tensor.datatype is Datatype.BYTES else tensor.datatype.value
    dims = list(tensor.shape[1:] if batched else tensor.shape) or [1]
    return {"name": tensor.name, "data_type": f"TYPE_{name}", "dims": dims}


SERVER: Final = get(_server)
LIVE: Final = get(_live)
READY: Final = get(_ready)
MODEL: Final = get(_model)
MODEL_READY: Final = get(_model_ready)
CONFIG: Final = get(_config)
STATISTICS: Final = get(_statistics)
MODEL_STATISTICS: Final = STATISTICS
