"""The methods beside inference: health, metadata, configuration, statistics, repository.

Each is a function from a parsed message to the fields of its answer, in the terms of the pages that say the
same over HTTP. A new one is a line in METHODS and its messages in inference.proto.
"""

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from gateway.errors import NotFoundError, UnsupportedError
from gateway.pages.open_inference import askable, configuration, describe, extensions, statistics
from gateway.pages.page import Premises, commanded, repository_of
from groundwork.errors import DriftgateError
from groundwork.keys import INFER, OPERATE, READ

_INSTEAD: Final = "publish a version instead"
_DEPENDENTS: Final = "unload_dependents"
_STATISTICS: Final = (
    "name",
    "version",
    "last_inference",
    "inference_count",
    "execution_count",
    "inference_stats",
    "batch_stats",
)

Fields = dict[str, Any]


class Asked(msgspec.Struct, frozen=True):
    """One call: what it may use, its parsed message, and who asks (a key's name, empty without keys)."""

    here: Premises
    message: Any
    who: str


Answers = Callable[[Asked], Awaitable[Fields]]


class Rpc(msgspec.Struct, frozen=True):
    """One method: the scope that a key needs for it (None: no key is asked for), and what answers it.

    `longer` is what a message says of itself by its length, where none of the method's own is as long.
    """

    scope: str | None
    answers: Answers
    longer: str = ""


async def _server_live(_asked: Asked) -> Fields:
    return {"live": True}


async def _server_ready(asked: Asked) -> Fields:
    return {"ready": asked.here.core.ready}


async def _model_ready(asked: Asked) -> Fields:
    """A model that nobody knows is not ready: released clients take an error for a failure of their own."""
    try:
        await asked.here.core.find(asked.message.name, asked.message.version or None)
    except DriftgateError:
        return {"ready": False}
    return {"ready": True}


async def _server_metadata(asked: Asked) -> Fields:
    return {"name": "driftgate", "version": asked.here.version, "extensions": extensions(asked.here)}


async def _model_metadata(asked: Asked) -> Fields:
    model = await asked.here.core.find(asked.message.name, asked.message.version or None)
    return describe(model, await askable(asked.here, model))


async def _model_config(asked: Asked) -> Fields:
    model = await asked.here.core.find(asked.message.name, asked.message.version or None)
    return {"config": configuration(model, asked.here.core.settings.requests.max_body_bytes)}


async def _model_statistics(asked: Asked) -> Fields:
    found = (await statistics(asked.here, asked.message.name, asked.message.version or None))["model_stats"]
    return {"model_stats": [{name: one[name] for name in _STATISTICS} for one in found]}


async def _index(asked: Asked) -> Fields:
    _unnamed(asked)
    return {"models": await repository_of(asked.here).index(ready_only=asked.message.ready)}


async def _load(asked: Asked) -> Fields:
    _unnamed(asked)
    repository = commanded(asked.here)
    for name in asked.message.parameters:
        raise UnsupportedError(f"load: parameter {name[:40]!r} is not offered; {_INSTEAD}")
    await repository.load(asked.message.model_name, asked.who)
    return {}


async def _unload(asked: Asked) -> Fields:
    _unnamed(asked)
    repository = commanded(asked.here)
    for name, value in asked.message.parameters.items():
        if name != _DEPENDENTS or value.WhichOneof("parameter_choice") != "bool_param":
            raise UnsupportedError(
                f"unload: the one parameter is {_DEPENDENTS}, true or false; no model has any"
            )
    await repository.unload(asked.message.model_name, asked.who)
    return {}


def _unnamed(asked: Asked) -> None:
    name = asked.message.repository_name
    if name:
        raise NotFoundError(f"there is no repository {name[:40]!r}; there is one, which has no name")


METHODS: Final[Mapping[str, Rpc]] = MappingProxyType(
    {
        "ServerLive": Rpc(None, _server_live),
        "ServerReady": Rpc(None, _server_ready),
        "ModelReady": Rpc(INFER, _model_ready),
        "ServerMetadata": Rpc(INFER, _server_metadata),
        "ModelMetadata": Rpc(INFER, _model_metadata),
        "ModelConfig": Rpc(INFER, _model_config),
        "ModelStatistics": Rpc(READ, _model_statistics),
        "RepositoryIndex": Rpc(READ, _index),
        "RepositoryModelLoad": Rpc(OPERATE, _load, f"load: files are not offered; {_INSTEAD}"),
        "RepositoryModelUnload": Rpc(OPERATE, _unload),
    }
)
"""Every method of the service but inference."""
