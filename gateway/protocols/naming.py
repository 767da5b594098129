"""The tensors of a request by their names: inputs that it gives, outputs that it asks for and gets.

What the Open Inference Protocol says of names and parameters is the same over REST and gRPC, and stands here
once: every input is known, of its datatype and given once, and none is missing; every output is known and
asked for once. It knows no bytes and no wire.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final

import msgspec

from gateway.errors import InvalidInputError, UnsupportedError
from gateway.inference import NO_PARAMETERS, Array, InferenceRequest, Wanted
from gateway.interface import Interface
from gateway.protocols.classification import PARAMETER as CLASSIFICATION
from gateway.protocols.classification import classify
from gateway.protocols.classification import wanted as classes_wanted
from gateway.protocols.codec import Answer
from gateway.tensors import Tensor
from registry_client.signature import Datatype

MOST_PARAMETERS: Final = 1000
"""Of one request, tensor or output."""
CONTENT_TYPE: Final = "content_type"
BASE64: Final = "base64"
_HEADERS: Final = "headers"
_SHARED_MEMORY: Final = "shared_memory_region"

Parameters = dict[str, Any] | None


class OutputChoice(msgspec.Struct, gc=False):
    """One output that a request asks for."""

    name: str
    parameters: Parameters = None


def input_named(model: Interface, name: str, datatype: str, given: Collection[str]) -> Tensor:
    """The input that a request gives; InvalidInputError: unknown, of another datatype, or `given` already."""
    tensor = model.inputs.get(name)
    if tensor is None or name in given:
        what = "twice" if name in given else f"unknown; the model has {', '.join(model.inputs)}"
        raise InvalidInputError(f"input {name[:100]!r} is {what}")
    if datatype != tensor.datatype:
        raise InvalidInputError(
            f"input {name!r} has datatype {datatype[:20]!r}, wanted {tensor.datatype.value!r}"
        )
    return tensor


def fitted(tensor: Tensor, shape: list[int]) -> list[int]:
    """`shape` as the model has it, where that of a column differs from that of a vector only by its 1.

    MLServer's codecs write a vector of n as [n, 1], data frames a column as [n]. Whatever else does not fit
    stays as it is, for the tensor to refuse.
    """
    wanted = tensor.shape
    missing = len(wanted) - len(shape)
    if missing > 0 and wanted[-missing:].count(1) == missing:
        return [*shape, *wanted[-missing:]]
    if missing == -1 and len(wanted) <= 1 and shape[-1] == 1:
        return shape[:-1]
    return shape


def check_complete(model: Interface, given: Collection[str]) -> None:
    """InvalidInputError where an input of the model was not given."""
    if len(given) != len(model.inputs):
        absent = [name for name in model.inputs if name not in given]
        raise InvalidInputError(f"input {absent[0]!r} is missing; wanted {', '.join(model.inputs)}")


def checked_parameters(parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parameters of a request, each a string, a number or a truth value; InvalidInputError otherwise.

    `headers` may be an object: MLServer's types keep those of HTTP there. Nothing reads it.
    """
    if len(parameters) > MOST_PARAMETERS:
        raise InvalidInputError(f"found {len(parameters)} parameters, wanted {MOST_PARAMETERS} at most")
    for name, value in parameters.items():
        if isinstance(value, dict | list) and not (name == _HEADERS and isinstance(value, dict)):
            raise InvalidInputError(
                f"parameter {name[:40]!r} is no string, number or truth value, which parameters are"
            )
    return parameters


def check_memory(name: str, parameters: Mapping[str, Any]) -> None:
    """UnsupportedError where a tensor is said to be in shared memory, or asked for there."""
    if _SHARED_MEMORY in parameters:
        raise UnsupportedError(
            f"tensor {name[:100]!r}: shared memory is not offered; send the tensor in the message"
        )


def flag(parameters: Mapping[str, Any], name: str) -> bool | None:
    """A parameter that is true, false, or not there; InvalidInputError where it is something else."""
    value = parameters.get(name)
    if value is None or isinstance(value, bool):
        return value
    raise InvalidInputError(f"parameter {name!r} is {str(value)[:40]!r}, wanted true or false")


def in_base64(tensor: Tensor, parameters: Mapping[str, Any]) -> bool:
    """Whether strings in JSON are given, or asked for, in base64; other content types say nothing to us."""
    return tensor.datatype is Datatype.BYTES and parameters.get(CONTENT_TYPE) == BASE64


def wanted_outputs(model: Interface, outputs: list[OutputChoice]) -> tuple[Wanted, ...]:
    """The outputs that a request names, each known and named once; InvalidInputError otherwise."""
    wanted: dict[str, Wanted] = {}
    for output in outputs:
        name = output.name
        if name not in model.output_index or name in wanted:
            known = ", ".join(model.output_index)
            what = "asked for twice" if name in wanted else f"unknown; the model has {known}"
            raise InvalidInputError(f"output {name[:100]!r} is {what}")
        parameters = checked_parameters(output.parameters or NO_PARAMETERS)
        check_memory(name, parameters)
        tensor = model.outputs[model.output_index[name]]
        classes = classes_wanted(tensor, parameters.get(CLASSIFICATION))
        base64 = not classes and in_base64(tensor, parameters)
        wanted[name] = Wanted(name, flag(parameters, "binary_data"), classes, base64)
    return tuple(wanted.values())


def chosen_outputs(
    model: Interface, request: InferenceRequest, answer: Answer
) -> list[tuple[Tensor, Array, bool]]:
    """The outputs to send, in the order they were asked for, and whether each travels in binary.

    Strings asked for in base64 are so where they do not travel in binary. An output that was asked of a
    candidate and that the stable version, run in its place, lacks is left out.
    """
    if not request.wanted:
        return [
            (tensor, array, request.binary)
            for tensor, array in zip(model.outputs, answer.outputs, strict=True)
        ]
    chosen = []
    for wanted in request.wanted:
        place = model.output_index.get(wanted.name)
        if place is not None:
            binary = request.binary if wanted.binary is None else wanted.binary
            tensor, array = model.outputs[place], answer.outputs[place]
            if wanted.classes:
                tensor, array = classify(model, tensor, array, wanted.classes)
            if wanted.base64 and not binary:
                array = tensor.to_base64(array)
            chosen.append((tensor, array, binary))
    return chosen
