"""The inputs of an Open Inference request: arrays, made of a document and of the bytes behind it.

What is the same over every wire stands in `naming`. Here are the forms that REST has for data: lists, text
that was not looked into yet, numbers that were read apart, base64, and binary tensors.
"""

from typing import Any, Final

import msgspec

from gateway.errors import InvalidInputError, MalformedError
from gateway.inference import Array
from gateway.interface import Interface
from gateway.protocols.bulk import Bulk
from gateway.protocols.naming import (
    check_complete,
    check_memory,
    checked_parameters,
    fitted,
    in_base64,
    input_named,
)
from gateway.tensors import Tensor
from registry_client.signature import Datatype

BINARY_ONLY: Final = frozenset({Datatype.FP16, Datatype.BF16})
"""What JSON does not carry."""


def plain_feed(model: Interface, inputs: list[Any]) -> dict[str, Array] | None:
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


def feeds_of(model: Interface, inputs: list[Any], blobs: memoryview | None) -> dict[str, Array]:
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
        elif tensor.datatype in BINARY_ONLY:
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
            f"input {document.name!r} has binary_data_size {size!r:.40}, wanted a number up to {left}"
        )
    return size
