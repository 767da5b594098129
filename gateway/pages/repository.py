"""Pages of the model repository extension; what they do is `gateway.repository`."""

from typing import Any, Final

import msgspec

from gateway.bulk import check_lists
from gateway.errors import MalformedError, UnsupportedError
from gateway.pages.page import Exchange, commanded, post, repository_of
from gateway.responses import JSON, OK, Response, document
from groundwork import decoders


class IndexDocument(msgspec.Struct, gc=False):
    """A question for the index."""

    ready: bool | None = None


class CommandDocument(msgspec.Struct, gc=False):
    """A command."""

    parameters: dict[str, Any] | None = None


_INDEX: Final = decoders.json_of(IndexDocument)
_COMMAND: Final = decoders.json_of(CommandDocument)
_DEPENDENTS: Final = "unload_dependents"
_BLANKS: Final = b" \t\r\n"  # those of JSON
_EMPTY: Final = Response(OK, (JSON,), b"{}")


async def _index(asked: Exchange) -> Response:
    body = await asked.body()
    ready = _read(_INDEX, body).ready if body.strip(_BLANKS) else None
    return document(await repository_of(asked.premises).index(ready_only=bool(ready)))


async def _load(asked: Exchange) -> Response:
    repository = commanded(asked.premises)
    parameters = await _parameters(asked)
    if parameters:
        raise UnsupportedError(
            f"load: parameter {next(iter(parameters))[:40]!r} is not offered; publish a version instead"
        )
    await repository.load(asked.model, asked.caller)
    return _EMPTY


async def _unload(asked: Exchange) -> Response:
    repository = commanded(asked.premises)
    parameters = await _parameters(asked)
    unknown = [name for name in parameters if name != _DEPENDENTS]
    if unknown or not isinstance(parameters.get(_DEPENDENTS, False), bool):
        raise UnsupportedError(f"unload: the one parameter is {_DEPENDENTS}, true or false; no model has any")
    await repository.unload(asked.model, asked.caller)
    return _EMPTY


async def _parameters(asked: Exchange) -> dict[str, Any]:
    body = await asked.body()
    return (_read(_COMMAND, body).parameters if body.strip(_BLANKS) else None) or {}


def _read(decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:
    check_lists(body)
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise MalformedError(f"the body is not a request to the model repository: {error}") from None


INDEX: Final = post(_index)
LOAD: Final = post(_load)
UNLOAD: Final = post(_unload)
