"""What a graph's own bytes say of its inputs and no runtime tells: which of them have no rank.

A tensor without a shape may have any number of dimensions; one with a shape of none is a scalar. onnxruntime
says ``[]`` of both. So the bytes are walked, as ONNX's protobuf has them:

    ModelProto.graph = 7   GraphProto.input = 11   ValueInfoProto.name = 1, .type = 2
    TypeProto.tensor_type = 1   TypeProto.Tensor.shape = 2

Rules: nothing is copied but names, and weights are stepped over, so that a mapped file of any size costs
microseconds; whether bytes are a graph is not decided here.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator
from typing import Final

from registry_client.errors import SignatureError
from registry_client.signature import Signature

_GRAPH: Final = 7
_INPUT: Final = 11
_NAME: Final = 1
_TYPE: Final = 2
_TENSOR: Final = 1
_SHAPE: Final = 2
_SKIPPED: Final = {1: 8, 5: 4}
"""Bytes of wire types whose values nobody wants."""

Content = bytes | mmap.mmap
Span = tuple[int, int]


def check_ranks(signature: Signature, content: Content) -> None:
    """Refuse a graph of this signature in which an input that passes for a scalar has no rank at all.

    Raises:
        SignatureError: such an input, and how to give it a shape.
    """
    scalars = {spec.name for spec in signature.inputs if not spec.shape}
    unranked = sorted(scalars & set(_unranked(content))) if scalars else []
    if unranked:
        raise SignatureError(
            f"input {unranked[0]!r} has no shape, so nobody can say how many dimensions a request has; give "
            "the graph's input one (`input.type.tensor_type.shape.dim.add()` for each dimension, with its "
            "dim_value, or with a dim_param where it is open) and save it again"
        )


def _unranked(content: Content) -> list[str]:
    """The inputs of tensors without a shape; none where the bytes cannot be read so."""
    try:
        return [
            bytes(content[slice(*name)]).decode()
            for value in _inner(content, (0, len(content)), _GRAPH, _INPUT)
            for name in _inner(content, value, _NAME)
            for tensor in _inner(content, value, _TYPE, _TENSOR)
            if not any(True for _ in _inner(content, tensor, _SHAPE))
        ]
    except (IndexError, ValueError):
        return []


def _inner(content: Content, span: Span, *path: int) -> Iterator[Span]:
    """Where the messages lie that stand under these field numbers, one within the other."""
    spans: Iterable[Span] = (found for number, found in _fields(content, span) if number == path[0])
    for one in spans:
        if len(path) == 1:
            yield one
        else:
            yield from _inner(content, one, *path[1:])


def _fields(content: Content, span: Span) -> Iterator[tuple[int, Span]]:
    """Number and place of each field that has a length; IndexError or ValueError for what is none."""
    at, end = span
    while at < end:
        key, at = _varint(content, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            _, at = _varint(content, at)
        elif wire == 2:  # noqa: PLR2004  a length, and so many bytes
            size, at = _varint(content, at)
            yield number, (at, at + size)
            at += size
        else:
            at += _SKIPPED.get(wire, end + 1)
    if at != end:
        raise ValueError("cut")


def _varint(content: Content, at: int) -> tuple[int, int]:
    """A number in groups of seven bits, lowest first, and where it ends."""
    value = shift = 0
    while True:
        byte = content[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80 or shift > 63:  # noqa: PLR2004  the last group
            return value, at
