"""The JSON of the Open Inference Protocol: requests and answers as documents, and a body read as one.

Two ways lead to a request. Where the data of every input are lists of one type, of the depth that the model
wants, they are read together with the rest; else they stay text, to be looked into by their datatype. Both
come to documents with the same fields. It knows no tensor's values.
"""

import types
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, Final

import msgspec

from gateway.errors import MalformedError
from gateway.interface import Interface
from gateway.missing import decoded
from gateway.protocols.naming import OutputChoice, Parameters
from groundwork import decoders

_NOTHING: Final = msgspec.Raw(b"")
_DATA: Final = b'"data"'
_FAR: Final = len(_DATA) + 5
"""How far beyond the word the brackets of nested lists are looked for."""


class InputDocument(msgspec.Struct, gc=False):
    """One input of a request."""

    name: str
    shape: list[int]
    datatype: str
    data: msgspec.Raw = _NOTHING
    parameters: Parameters = None


class _Rest(msgspec.Struct, gc=False, kw_only=True):
    """What a request says beside its inputs."""

    id: str | None = None
    parameters: Parameters = None
    outputs: list[OutputChoice] | None = None


class RequestDocument(_Rest, gc=False, kw_only=True):
    """A request."""

    inputs: list[InputDocument]


class OutputDocument(msgspec.Struct, gc=False, omit_defaults=True):
    """One output of an answer; with binary data, `parameters` gives its size and `data` is left out."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    parameters: dict[str, Any] | None = None
    data: list[Any] | None = None


class ResponseDocument(msgspec.Struct, gc=False, omit_defaults=True):
    """An answer."""

    model_name: str
    model_version: str
    parameters: dict[str, Any]
    outputs: list[OutputDocument]
    id: str | None = None


def _typed(leaf: Any, depth: int) -> Callable[[bytes], Any]:
    """A decoder of requests whose data are lists of one type, `depth` deep, which are thus read only once."""
    kind: Any = leaf
    for _ in range(depth):
        kind = types.GenericAlias(list, (kind,))
    fields: list[Any] = [
        ("name", str),
        ("shape", list[int]),
        ("datatype", str),
        ("data", kind, None),
        ("parameters", Parameters, None),
    ]
    document = msgspec.defstruct("TypedInputDocument", fields, gc=False)
    inputs: Any = types.GenericAlias(list, (document,))
    request = msgspec.defstruct(
        "TypedRequestDocument", [("inputs", inputs)], bases=(_Rest,), gc=False, kw_only=True
    )
    decode: Callable[[bytes], Any] = decoders.json_of(request).decode
    return decode


decode_text: Final = decoders.json_of(RequestDocument).decode
"""A document whose inputs keep their data as text; raises as msgspec does."""
_DECODERS: Final = MappingProxyType(
    {(leaf, depth): _typed(leaf, depth) for leaf in (float, int, bool, str) for depth in (1, 2)}
)


def read_lists(model: Interface, body: bytes) -> Any:
    """The request with its data as lists, when they are as plain as they mostly are; None when they are not.

    How deep the first list looks only chooses a decoder: one that does not fit refuses, and what is then
    wrong is found out by reading the data again, as they were sent.
    """
    leaf = model.leaf
    at = body.find(_DATA)
    if leaf is None or at < 0:
        return None
    depth = body[at + len(_DATA) : at + _FAR].count(b"[")
    quick = _DECODERS.get((leaf, depth))
    if quick is None or (depth > 1 and any(len(tensor.shape) != depth for tensor in model.inputs.values())):
        return None
    try:
        return quick(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None


def read_document(body: bytes | memoryview) -> RequestDocument:
    """The request with its data as text; MalformedError where the body is none."""
    try:
        return decoded(decode_text, body)
    except msgspec.DecodeError as error:
        raise MalformedError(f"the body is not an inference request: {error}") from None
    except (RecursionError, UnicodeDecodeError):
        raise MalformedError(
            "the body is not an inference request: it is nested too deep or not UTF-8"
        ) from None
