"""Open Inference Protocol v2 over REST: JSON, and the binary tensor data extension both ways.

Our reading of what the specification leaves open:

* fields that are null are absent; fields we do not know are ignored; a request needs no Content-Type;
* `data` is flat or nested like `shape`; the shape's rank and fixed sizes are the model's, always explicit;
* NaN and infinities have no JSON: they are written as null, and null in a floating input is NaN;
* BYTES elements are strings in JSON, or base64 where `parameters.content_type` is "base64"; FP16 and BF16
  travel in binary only;
* an output travels in binary when it asks for it, or else when the request does (`binary_data_output`).

A body without any JSON (Inference-Header-Content-Length: 0) is the one input of a model that has one, as it
is; a size that the model leaves open follows from its length, and all outputs come back in binary.

The JSON part of a mixed body is as long as Inference-Header-Content-Length says; the tensors follow it in the
order of the inputs, without gaps, and must fill the body exactly.
"""

import types
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, Final

import msgspec

from gateway.bulk import MOST_ROWS, check_lists, check_rows
from gateway.errors import InvalidInputError, MalformedError, UnanswerableError
from gateway.inference import NO_PARAMETERS, Array, InferenceRequest
from gateway.interface import Interface, rows_of
from gateway.protocols.bulk import BULK_BYTES, Bulk, read_bulk
from gateway.protocols.codec import JSON_LENGTH, Answer, Headers
from gateway.protocols.known_binary import json_length, known_binary, remember
from gateway.protocols.naming import (
    BASE64,
    CONTENT_TYPE,
    OutputChoice,
    Parameters,
    check_complete,
    check_memory,
    checked_parameters,
    chosen_outputs,
    fitted,
    flag,
    in_base64,
    input_named,
    wanted_outputs,
)
from gateway.protocols.plain_answer import ODD, plain_answer
from gateway.responses import JSON, Header, plain_fault
from gateway.tensors import Tensor
from registry_client.signature import Datatype

_OCTETS: Final[Header] = (b"content-type", b"application/octet-stream")
_JSON_ALONE: Final = (JSON,)
_BINARY_OUTPUT: Final = "binary_data_output"
_SETTLED: Final = frozenset({_BINARY_OUTPUT})
"""Parameters that say nothing to whoever runs the request."""
_NOTHING: Final = msgspec.Raw(b"")
_DATA: Final = b'"data"'
_MOST_REST: Final = 1 << 18
"""Bytes of JSON that are decoded in one piece of a large body; a millisecond or two."""
_FAR: Final = len(_DATA) + 5
"""How far beyond the word the brackets of nested lists are looked for."""
_BINARY_ONLY: Final = frozenset({Datatype.FP16, Datatype.BF16})


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
    return msgspec.json.Decoder(request).decode


_decode: Final = msgspec.json.Decoder(RequestDocument).decode
_DECODERS: Final = MappingProxyType(
    {(leaf, depth): _typed(leaf, depth) for leaf in (float, int, bool, str) for depth in (1, 2)}
)
_encode: Final = msgspec.json.Encoder().encode


class OpenInference:
    """The protocol's codec."""

    views = True
    fault = staticmethod(plain_fault)

    def decode(self, model: Interface, headers: Headers, body: bytes | memoryview) -> InferenceRequest:
        """The request in `body`, checked against the model's signature; a Refusal says what is wrong."""
        return self.decode_split(model, headers.get(JSON_LENGTH), body)

    def decode_split(
        self, model: Interface, length: bytes | None, body: bytes | memoryview
    ) -> InferenceRequest:
        """As `decode`; `length` is the header that says where the JSON part ends, None where none does."""
        if length is None:
            body = bytes(body)  # here and below: no copy, but of a view
            check_lists(body)
            document = read_bulk(model, body, _decode) if len(body) > BULK_BYTES else None
            return _request(model, document or _read(model, body) or _document(body), None)
        if length and not length.strip(b"0"):
            return _raw(model, bytes(body))
        end = json_length(length, len(body))
        known = known_binary(model, body, end)
        if known is not None:
            return known
        body = bytes(body)
        check_lists(body, end)
        request = _request(model, _document(memoryview(body)[:end]), memoryview(body)[end:])
        remember(model, body, end, request)
        return request

    @property
    def pieces(self) -> "OpenInference":
        """Numbers in flat lists and in binary are read and written in pieces."""
        return self

    def read(self, model: Interface, headers: Headers, body: bytes) -> InferenceRequest | None:
        """As `decode`; None where that would keep the interpreter for milliseconds."""
        length = headers.get(JSON_LENGTH)
        if length is None:
            check_lists(body)
            document = read_bulk(model, body, _decode, most_rest=_MOST_REST)
            return None if document is None else _request(model, document, None)
        if any(tensor.datatype is Datatype.BYTES for tensor in model.inputs.values()):
            return None
        if length.strip(b"0") and json_length(length, len(body)) > _MOST_REST:
            return None
        return self.decode_split(model, length, body)

    def writes(self, model: Interface, request: InferenceRequest) -> bool:
        """Whether `encode` goes in pieces for this request."""
        return not request.wanted and not any(tensor.datatype in ODD for tensor in model.outputs)

    def encode(self, request: InferenceRequest, answer: Answer) -> tuple[tuple[Header, ...], bytes]:
        """Headers (content type first, no content length) and body of the answer."""
        plain = plain_answer(request, answer)
        if plain is not None:
            return _headers(plain[0]), plain[1]
        outputs: list[OutputDocument] = []
        blobs: list[bytes] = []
        model = answer.model
        for tensor, array, binary in chosen_outputs(model, request, answer):
            if binary:
                blob = tensor.to_binary(array)
                blobs.append(blob)
                size = {"binary_data_size": len(blob)}
                outputs.append(OutputDocument(tensor.name, tensor.datatype, array.shape, size))
            else:
                _check_json(tensor)
                data = tensor.to_json(array)
                told = _told(request, tensor.name) if request.wanted else None
                outputs.append(OutputDocument(tensor.name, tensor.datatype, array.shape, told, data))
        identity = {"prediction_id": answer.prediction_id, "arm": answer.arm}
        body = _encode(ResponseDocument(model.name, model.version, identity, outputs, request.client_id))
        if not blobs:
            return _JSON_ALONE, body
        return _headers(len(body)), b"".join((body, *blobs))


CODEC: Final = OpenInference()


def _headers(length: int | None) -> tuple[Header, ...]:
    """Of an answer whose JSON is so long and followed by tensors; None: all of it is JSON."""
    return _JSON_ALONE if length is None else (_OCTETS, (JSON_LENGTH, b"%d" % length))


def _request(model: Interface, document: Any, blobs: memoryview | None) -> InferenceRequest:
    """The request that a document makes, together with the bytes behind it where there are any."""
    feeds = _plain(model, document.inputs) or _feeds(model, document.inputs, blobs)
    rows = rows_of(model, feeds)
    if rows > MOST_ROWS and blobs is None:
        check_rows(rows)
    if document.parameters is None and document.outputs is None:
        return InferenceRequest(feeds, rows, document.id)
    parameters = document.parameters or NO_PARAMETERS
    return InferenceRequest(
        feeds=feeds,
        rows=rows,
        client_id=document.id,
        wanted=wanted_outputs(model, document.outputs) if document.outputs else (),
        binary=bool(flag(parameters, _BINARY_OUTPUT)),
        parameters=NO_PARAMETERS if parameters.keys() == _SETTLED else checked_parameters(parameters),
    )


def _read(model: Interface, body: bytes) -> Any:
    """The request with its data as lists, when they are as plain as they mostly are; None when they are not.

    How deep the first list looks only chooses a decoder: one that does not fit refuses, and what is then
    wrong is found out by reading the data again, as they were sent.
    """
    leaf = model.leaf
    at = body.find(_DATA)
    if leaf is None or at < 0:
        return None
    depth = body[at + len(_DATA) : at + _FAR].count(b"[")
    decode = _DECODERS.get((leaf, depth))
    if decode is None or (depth > 1 and any(len(tensor.shape) != depth for tensor in model.inputs.values())):
        return None
    try:
        return decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None


def _document(body: bytes | memoryview) -> RequestDocument:
    try:
        return _decode(body)
    except msgspec.DecodeError as error:
        raise MalformedError(f"the body is not an inference request: {error}") from None
    except (RecursionError, UnicodeDecodeError):
        raise MalformedError(
            "the body is not an inference request: it is nested too deep or not UTF-8"
        ) from None


def _raw(model: Interface, body: bytes) -> InferenceRequest:
    """A body that is one tensor and nothing else."""
    if len(model.inputs) != 1:
        raise MalformedError(
            f"the model has {len(model.inputs)} inputs; only a model with one takes a body without JSON"
        )
    (tensor,) = model.inputs.values()
    feeds = {tensor.name: tensor.from_bare(body)}
    return InferenceRequest(feeds=feeds, rows=rows_of(model, feeds), binary=True)


def _check_json(tensor: Tensor) -> None:
    if tensor.datatype in _BINARY_ONLY:
        raise UnanswerableError(
            f"output {tensor.name!r} is {tensor.datatype}, which JSON does not carry; "
            "ask for it in binary (parameters.binary_data: true)"
        )


def _plain(model: Interface, inputs: list[Any]) -> dict[str, Array] | None:
    """The one input of a model that has no other, where it is as plain as it mostly is; else None."""
    tensor = model.only
    if tensor is None or len(inputs) != 1:
        return None
    document = inputs[0]
    if document.data.__class__ is not list or document.parameters is not None:
        return None
    shape = document.shape
    if (
        document.name != tensor.name
        or document.datatype != tensor.datatype
        or len(shape) != len(tensor.shape)
    ):
        return None
    return {tensor.name: tensor.from_lists(document.data, shape)}


def _feeds(model: Interface, inputs: list[Any], blobs: memoryview | None) -> dict[str, Array]:
    """Every input of the model, each exactly once; with binary data, every byte of it used."""
    feeds: dict[str, Array] = {}
    at = 0
    for document in inputs:
        name = document.name
        tensor = input_named(model, name, document.datatype, feeds)
        told, shape = document.parameters, document.shape
        if len(shape) != len(tensor.shape):
            shape = fitted(tensor, shape)
        if told is not None:
            check_memory(name, checked_parameters(told))
        if told is not None and "binary_data_size" in told:
            size = _binary_size(document, blobs, at)
            feeds[name] = tensor.from_binary((blobs or memoryview(b""))[at : at + size], shape)
            at += size
        elif _is_absent(document.data):
            raise InvalidInputError(f"input {name!r} has neither data nor binary_data_size")
        elif tensor.datatype in _BINARY_ONLY:
            raise InvalidInputError(
                f"input {name!r} is {tensor.datatype}, which JSON does not carry; "
                "send it in binary (parameters.binary_data_size)"
            )
        else:
            feed = _from_data(tensor, document.data, shape)
            feeds[name] = tensor.from_base64(feed) if told is not None and in_base64(tensor, told) else feed
    check_complete(model, feeds)
    if blobs is not None and at != len(blobs):
        raise MalformedError(f"{len(blobs) - at} bytes follow the last binary input; wanted none")
    return feeds


def _told(request: InferenceRequest, name: str) -> dict[str, Any] | None:
    """What an output in JSON says of itself."""
    if any(wanted.base64 for wanted in request.wanted if wanted.name == name):
        return {CONTENT_TYPE: BASE64}
    return None


def _is_absent(data: Any) -> bool:
    """Whether an input has no data, left out or null; else it is a list or, not looked into yet, anything."""
    return data is None or (data.__class__ is msgspec.Raw and bytes(memoryview(data)[:4]) in (b"", b"null"))


def _from_data(tensor: Tensor, data: Any, shape: list[int]) -> Array:
    if data.__class__ is list:
        return tensor.from_lists(data, shape)
    if data.__class__ is Bulk:
        return tensor.from_numbers(data.array, shape)
    return tensor.from_json(data, shape)


def _binary_size(document: Any, blobs: memoryview | None, at: int) -> int:
    size = (document.parameters or {})["binary_data_size"]
    left = 0 if blobs is None else len(blobs) - at
    if blobs is None:
        raise MalformedError(
            f"input {document.name!r} has binary_data_size, but the request has no "
            "Inference-Header-Content-Length header"
        )
    if not _is_absent(document.data):
        raise InvalidInputError(f"input {document.name!r} has both data and binary_data_size; send one")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= left:
        raise MalformedError(
            f"input {document.name!r} has binary_data_size {str(size)[:40]}, wanted a number up to {left}"
        )
    return size
