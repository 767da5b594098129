"""Pages of the model repository extension; what they do is `gateway.repository`."""

from typing import Any, Final

import msgspec

from gateway.bulk import check_lists
from gateway.errors import ForbiddenError, MalformedError, NotOfferedError, UnsupportedError
from gateway.pages.page import Exchange, post
from gateway.repository import Repository
from gateway.responses import JSON, OK, Response, document


class IndexDocument(msgspec.Struct, gc=False):
    """A question for the index."""

    ready: bool | None = None


class CommandDocument(msgspec.Struct, gc=False):
    """A command."""

    parameters: dict[str, Any] | None = None


_INDEX: Final = msgspec.json.Decoder(IndexDocument)
_COMMAND: Final = msgspec.json.Decoder(CommandDocument)
_DEPENDENTS: Final = "unload_dependents"
_EMPTY: Final = Response(OK, (JSON,), b"{}")


async def _index(asked: Exchange) -> Response:
    body = await asked.body()
    ready = _read(_INDEX, body).ready if body.strip() else None
    return document(await _repository(asked).index(ready_only=bool(ready)))


async def _load(asked: Exchange) -> Response:
    _check_open(asked)
    parameters = await _parameters(asked)
    if parameters:
        raise UnsupportedError(
            f"load: parameter {next(iter(parameters))[:40]!r} is not offered; publish a version instead"
        )
    await _repository(asked).load(asked.model, asked.caller)
    return _EMPTY


async def _unload(asked: Exchange) -> Response:
    _check_open(asked)
    parameters = await _parameters(asked)
    unknown = [name for name in parameters if name != _DEPENDENTS]
    if unknown or not isinstance(parameters.get(_DEPENDENTS, False), bool):
        raise UnsupportedError(f"unload: the one parameter is {_DEPENDENTS}, true or false; no model has any")
    await _repository(asked).unload(asked.model, asked.caller)
    return _EMPTY


async def _parameters(asked: Exchange) -> dict[str, Any]:
    body = await asked.body()
    return (_read(_COMMAND, body).parameters if body.strip() else None) or {}


def _repository(asked: Exchange) -> Repository:
    repository = asked.premises.repository
    if repository is None:
        raise NotOfferedError("this port has no registry behind it")
    return repository


def _check_open(asked: Exchange) -> None:
    """Whoever gets here without keys may be anybody."""
    if not asked.premises.commands():
        raise ForbiddenError(
            "this port takes no commands from whoever reaches it: set keys.file, or listen on loopback"
        )


def _read(decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:
    check_lists(body)
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise MalformedError(f"the body is not a request to the model repository: {error}") from None


INDEX: Final = post(_index)
LOAD: Final = post(_load)
UNLOAD: Final = post(_unload)
