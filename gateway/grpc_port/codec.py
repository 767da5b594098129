"""Inference by gRPC: a ModelInferRequest for a model, and the ModelInferResponse that answers it.

Our reading of what the protocol leaves open:

* tensors travel raw (`raw_input_contents`, one per input, in order) or typed (`contents` of each), not both;
* a typed tensor is in the one field that its datatype has; FP16 and BF16 have none and travel raw only;
* an answer travels as its request did, or as the request's `binary_data_output` says; all of it raw where an
  output has no typed form, or the request no input;
* an empty string is a field that is not there; a parameter without a value too; an unsigned one is read;
* shared memory is not offered.

Rules: sizes are compared before a list is made of anything; what the message says is checked against the
signature by the same functions as JSON. Its memory is bounded by `wire.addressed` before a large message is
parsed: a field of two bytes may become a message of eighty.
"""

import functools
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from google.protobuf.message import DecodeError

from gateway.errors import InvalidInputError, MalformedError
from gateway.grpc_port.schema import Schema, read
from gateway.grpc_port.wire import addressed
from gateway.inference import NO_PARAMETERS, Array, InferenceRequest
from gateway.interface import Interface, rows_of
from gateway.protocols.codec import Answer, Headers
from gateway.protocols.naming import (
    MOST_PARAMETERS,
    OutputChoice,
    check_complete,
    check_memory,
    chosen_outputs,
    fitted,
    flag,
    input_named,
    wanted_outputs,
)
from gateway.responses import Header
from gateway.tensors import Tensor
from gateway.text import bytes_of, text_of
from registry_client.signature import Datatype

SMALL_BYTES: Final = 256 * 1024
"""A message up to this needs no `wire.addressed`, whatever it holds: it parses to 11 MB at most."""
_TYPED: Final = MappingProxyType(
    {
        Datatype.BOOL: "bool_contents",
        Datatype.INT8: "int_contents",
        Datatype.INT16: "int_contents",
        Datatype.INT32: "int_contents",
        Datatype.INT64: "int64_contents",
        Datatype.UINT8: "uint_contents",
        Datatype.UINT16: "uint_contents",
        Datatype.UINT32: "uint_contents",
        Datatype.UINT64: "uint64_contents",
        Datatype.FP32: "fp32_contents",
        Datatype.FP64: "fp64_contents",
        Datatype.BYTES: "bytes_contents",
    }
)
"""Datatype to the field of InferTensorContents that carries it."""


class InferCodec:
    """The codec of one request, which was parsed already: its model's name stands in it."""

    __slots__ = ("_message", "_response")

    def __init__(self, message: Any, response: Any) -> None:
        """`message` is the parsed request, `response` the class of its answer."""
        self._message = message
        self._response = response

    def __reduce__(self) -> "tuple[type[WireCodec], tuple[()]]":
        """In another process, where its answer is written, the message is wanted no more."""
        return WireCodec, ()

    def decode(self, model: Interface, _headers: Headers, _body: bytes) -> InferenceRequest:
        """The request, checked against the model's signature; a Refusal says what is wrong."""
        message = self._message
        raw = message.raw_input_contents
        if raw and len(raw) != len(message.inputs):
            raise MalformedError(
                f"raw_input_contents has {len(raw)} tensors, wanted one for each of the "
                f"{len(message.inputs)} inputs"
            )
        feeds = _feeds(model, message.inputs, raw)
        parameters = read_parameters(message.parameters)
        as_asked = flag(parameters, "binary_data_output")
        return InferenceRequest(
            feeds=feeds,
            rows=rows_of(model, feeds),
            client_id=message.id or None,
            wanted=wanted_outputs(model, _choices(message.outputs)) if message.outputs else (),
            binary=bool(raw) or not message.inputs if as_asked is None else as_asked,
            parameters=parameters,
        )

    def encode(self, request: InferenceRequest, answer: Answer) -> tuple[tuple[Header, ...], bytes]:
        """No headers, and the serialized answer."""
        model = answer.model
        chosen = chosen_outputs(model, request, answer)
        raw = request.binary or any(
            binary or tensor.datatype not in _TYPED for tensor, _array, binary in chosen
        )
        response = self._response(
            model_name=model.name, model_version=model.version, id=request.client_id or ""
        )
        for tensor, array, _binary in chosen:
            output = response.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=array.shape)
            if raw:
                response.raw_output_contents.append(tensor.to_binary(array))
            else:
                values = array.ravel().tolist()
                if tensor.datatype is Datatype.BYTES:
                    values = [bytes_of(value) for value in values]
                getattr(output.contents, _TYPED[tensor.datatype]).extend(values)
        response.parameters["prediction_id"].string_param = answer.prediction_id
        response.parameters["arm"].string_param = answer.arm
        return (), response.SerializeToString()

    views = False
    pieces = None
    fault = staticmethod(lambda _status, _code, sentence: sentence.encode())


class WireCodec:
    """The codec of a large message, which is parsed where it is decoded; it has no state."""

    views = False
    pieces = None
    fault = staticmethod(InferCodec.fault)

    def decode(self, model: Interface, headers: Headers, body: bytes) -> InferenceRequest:
        """The request, checked against the model's signature; a Refusal says what is wrong."""
        return InferCodec(parse(inference(), body), None).decode(model, headers, body)

    def encode(self, request: InferenceRequest, answer: Answer) -> tuple[tuple[Header, ...], bytes]:
        """No headers, and the serialized answer."""
        return InferCodec(None, inference().messages["ModelInferResponse"]).encode(request, answer)


@functools.cache
def inference() -> Schema:
    """The schema of inference, read once in a process."""
    return read(Path(__file__).with_name("inference.proto"))


def parse(schema: Schema, body: bytes) -> Any:
    """The request in a message's bytes; MalformedError or TooLargeError when there is none."""
    if len(body) > SMALL_BYTES:
        addressed(body)
    try:
        return schema.messages["ModelInferRequest"].FromString(body)
    except DecodeError:
        raise MalformedError(f"the {len(body)} bytes sent are no ModelInferRequest") from None


def read_parameters(found: Any) -> Mapping[str, Any]:
    """A map of InferParameter as plain values; MalformedError where there are too many."""
    if not found:
        return NO_PARAMETERS
    if len(found) > MOST_PARAMETERS:
        raise MalformedError(f"found {len(found)} parameters, wanted {MOST_PARAMETERS} at most")
    values = {name: (value.WhichOneof("parameter_choice"), value) for name, value in found.items()}
    return {name: getattr(value, choice) for name, (choice, value) in values.items() if choice}


def _feeds(model: Interface, inputs: Any, raw: Any) -> dict[str, Array]:
    """Every input of the model, each exactly once."""
    feeds: dict[str, Array] = {}
    for place, given in enumerate(inputs):
        name = given.name
        tensor = input_named(model, name, given.datatype, feeds)
        if given.parameters:
            check_memory(name, read_parameters(given.parameters))
        contents = given.contents.ListFields() if given.HasField("contents") else ()
        shape = fitted(tensor, given.shape[:])
        if not raw:
            feeds[name] = _from_contents(tensor, contents, shape)
        elif contents:
            raise MalformedError(f"input {name!r} has contents beside raw_input_contents; send one of them")
        else:
            feeds[name] = tensor.from_binary(memoryview(raw[place]), shape)
    check_complete(model, feeds)
    return feeds


def _from_contents(tensor: Tensor, contents: Any, shape: list[int]) -> Array:
    wanted = _TYPED.get(tensor.datatype)
    if wanted is None:
        raise InvalidInputError(
            f"input {tensor.name!r} is {tensor.datatype}, which has no typed contents; "
            "send it in raw_input_contents"
        )
    found = [field.name for field, _values in contents]
    if found != [wanted]:
        raise InvalidInputError(
            f"input {tensor.name!r} has {' and '.join(found) or 'no contents'}, "
            f"wanted {wanted} for {tensor.datatype}"
        )
    values, count = contents[0][1], tensor.count(shape)
    if len(values) != count:
        raise InvalidInputError(
            f"input {tensor.name!r} has {len(values)} values, wanted {count} for shape {shape}"
        )
    if tensor.datatype is Datatype.BYTES:
        return tensor.from_texts(map(text_of, values), shape)
    return tensor.from_lists(values[:], shape)


def _choices(outputs: Any) -> list[OutputChoice]:
    return [OutputChoice(output.name, dict(read_parameters(output.parameters))) for output in outputs]
