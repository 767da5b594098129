"""Open Inference Protocol v2 over REST: JSON, and the binary tensor data extension both ways.

Our reading of what the specification leaves open:

* fields that are null are absent; fields we do not know are ignored; a request needs no Content-Type;
* `data` is flat or nested like `shape`; the shape's rank and fixed sizes are the model's, always explicit;
* NaN and infinities have no JSON: they are written as null, and null in a floating input is NaN, as is the
  bare word NaN that tritonclient writes;
* BYTES elements are strings in JSON, or base64 where `parameters.content_type` is "base64"; FP16 and BF16
  travel in binary only;
* an output travels in binary when it asks for it, or else when the request does (`binary_data_output`).

A body without any JSON (Inference-Header-Content-Length: 0) is the one input of a model that has one, as it
is; a size that the model leaves open follows from its length, and all outputs come back in binary.

The JSON part of a mixed body is as long as Inference-Header-Content-Length says; the tensors follow it in the
order of the inputs, without gaps, and must fill the body exactly.
"""

from typing import Any, Final

import msgspec

from gateway.bulk import MOST_ROWS, check_lists, check_rows
from gateway.errors import MalformedError, UnanswerableError
from gateway.inference import NO_PARAMETERS, InferenceRequest
from gateway.interface import Interface, rows_of
from gateway.protocols.bulk import BULK_BYTES, read_bulk
from gateway.protocols.codec import JSON_LENGTH, Answer, Headers
from gateway.protocols.documents import (
    OutputDocument,
    ResponseDocument,
    decode_text,
    read_document,
    read_lists,
)
from gateway.protocols.feeds import BINARY_ONLY, feeds_of, plain_feed
from gateway.protocols.known_binary import json_length, known_binary, remember
from gateway.protocols.naming import (
    BASE64,
    CONTENT_TYPE,
    checked_parameters,
    chosen_outputs,
    flag,
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
_MOST_REST: Final = 1 << 18
"""Bytes of JSON that are decoded in one piece of a large body; a millisecond or two."""
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
            document = read_bulk(model, body, decode_text) if len(body) > BULK_BYTES else None
            return _request(model, document or read_lists(model, body) or read_document(body), None)
        if length and not length.strip(b"0"):
            return _raw(model, bytes(body))
        end = json_length(length, len(body))
        known = known_binary(model, body, end)
        if known is not None:
            return known
        body = bytes(body)
        check_lists(body, end)
        request = _request(model, read_document(memoryview(body)[:end]), memoryview(body)[end:])
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
            document = read_bulk(model, body, decode_text, most_rest=_MOST_REST)
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
    feeds = plain_feed(model, document.inputs) or feeds_of(model, document.inputs, blobs)
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
    if tensor.datatype in BINARY_ONLY:
        raise UnanswerableError(
            f"output {tensor.name!r} is {tensor.datatype}, which JSON does not carry; "
            "ask for it in binary (parameters.binary_data: true)"
        )


def _told(request: InferenceRequest, name: str) -> dict[str, Any] | None:
    """What an output in JSON says of itself."""
    if any(wanted.base64 for wanted in request.wanted if wanted.name == name):
        return {CONTENT_TYPE: BASE64}
    return None
