"""What a model accepts and returns: named tensors, their datatypes and shapes.

Rules: names of datatypes are those of the Open Inference Protocol; a shape is a tuple of sizes in which -1 is
a size the request chooses and the first -1 is the number of rows; everything is a value, nothing is loaded.
A signature knows no library: ONNX's own type names are read as text.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Protocol

import msgspec

from registry_client.errors import SignatureError


class Datatype(StrEnum):
    """The tensor datatypes of the Open Inference Protocol."""

    __hash__ = str.__hash__  # an enumeration's own is a call in Python, at every look-up
    BOOL = "BOOL"
    UINT8 = "UINT8"
    UINT16 = "UINT16"
    UINT32 = "UINT32"
    UINT64 = "UINT64"
    INT8 = "INT8"
    INT16 = "INT16"
    INT32 = "INT32"
    INT64 = "INT64"
    FP16 = "FP16"
    FP32 = "FP32"
    FP64 = "FP64"
    BF16 = "BF16"
    BYTES = "BYTES"


NUMPY_DTYPES: Final[Mapping[Datatype, str]] = MappingProxyType(
    {
        Datatype.BOOL: "|b1",
        Datatype.UINT8: "|u1",
        Datatype.UINT16: "<u2",
        Datatype.UINT32: "<u4",
        Datatype.UINT64: "<u8",
        Datatype.INT8: "|i1",
        Datatype.INT16: "<i2",
        Datatype.INT32: "<i4",
        Datatype.INT64: "<i8",
        Datatype.FP16: "<f2",
        Datatype.FP32: "<f4",
        Datatype.FP64: "<f8",
        Datatype.BF16: "<u2",  # numpy has no bfloat16: the bits travel as they are
        Datatype.BYTES: "object",
    }
)

ONNX_TYPES: Final[Mapping[str, Datatype]] = MappingProxyType(
    {
        "tensor(bool)": Datatype.BOOL,
        "tensor(uint8)": Datatype.UINT8,
        "tensor(uint16)": Datatype.UINT16,
        "tensor(uint32)": Datatype.UINT32,
        "tensor(uint64)": Datatype.UINT64,
        "tensor(int8)": Datatype.INT8,
        "tensor(int16)": Datatype.INT16,
        "tensor(int32)": Datatype.INT32,
        "tensor(int64)": Datatype.INT64,
        "tensor(float16)": Datatype.FP16,
        "tensor(float)": Datatype.FP32,
        "tensor(double)": Datatype.FP64,
        "tensor(bfloat16)": Datatype.BF16,
        "tensor(string)": Datatype.BYTES,
    }
)

_LABELS: Final = frozenset({Datatype.BOOL, Datatype.BYTES, Datatype.INT32, Datatype.INT64})
"""Datatypes in which exporters write a class."""


def numpy_dtype(datatype: Datatype) -> str:
    """The little-endian numpy name of a datatype; ``"object"`` for BYTES (one ``str`` or ``bytes`` each)."""
    return NUMPY_DTYPES[datatype]


class TensorSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One named input or output.

    Attributes:
        name: the tensor's name in the graph, which is its name on the wire.
        datatype: its element type.
        shape: sizes, -1 where the request chooses; a leading -1 is the number of rows.
    """

    name: str
    datatype: Datatype
    shape: tuple[int, ...]


class Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All inputs and outputs of one version, in the graph's order."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def incompatibility(self, newer: Signature) -> str | None:
        """The first reason why ``newer`` cannot stand in for this signature, or None when it can.

        A newer version must accept every request that this one accepts (the same inputs, the same datatypes,
        sizes at least as free) and give at least this one's outputs, in the same datatypes and ranks.
        """
        reasons = itertools.chain(_input_clashes(self, newer), _output_clashes(self, newer))
        return next(iter(reasons), None)


class GraphNode(Protocol):
    """What onnxruntime's ``get_inputs()`` and ``get_outputs()`` return, as far as a signature needs it."""

    @property
    def name(self) -> str:
        """The tensor's name."""

    @property
    def type(self) -> str:
        """Such as ``tensor(float)``."""

    @property
    def shape(self) -> Sequence[int | str | None]:
        """Sizes; text or None where the request chooses."""


def signature_of(inputs: Iterable[GraphNode], outputs: Iterable[GraphNode]) -> Signature:
    """The signature of a loaded graph.

    Raises:
        SignatureError: an input or output is not a plain tensor of a known datatype, or never has an element.
    """
    taken = tuple(_spec(node, "input") for node in inputs)
    given = tuple(_spec(node, "output") for node in outputs)
    if taken and all(spec.shape[:1] == (-1,) for spec in taken):
        given = tuple(map(_by_row, given))
    return Signature(inputs=taken, outputs=given)


def _by_row(spec: TensorSpec) -> TensorSpec:
    """An output of a graph that takes any number of rows: one label "of shape [1]" is one label per row.

    LightGBM's exporter (onnxmltools) says [1] of its labels and gives as many as there are rows.
    """
    is_label = spec.shape == (1,) and spec.datatype in _LABELS
    return TensorSpec(spec.name, spec.datatype, (-1,)) if is_label else spec


def _spec(node: GraphNode, role: str) -> TensorSpec:
    datatype = ONNX_TYPES.get(node.type)
    if datatype is None:
        advice = "export with zipmap=False" if "map(" in node.type else "export plain tensors"
        raise SignatureError(f"{role} {node.name!r}: wanted a plain tensor, found {node.type}; {advice}")
    shape = tuple(size if isinstance(size, int) and size >= 0 else -1 for size in node.shape)
    if 0 in shape:
        raise SignatureError(
            f"{role} {node.name!r} has shape {list(shape)}, which is of no elements; leave that size open, "
            "or take the tensor out of the graph"
        )
    return TensorSpec(node.name, datatype, shape)


def _input_clashes(older: Signature, newer: Signature) -> Iterable[str]:
    wanted = {spec.name: spec for spec in older.inputs}
    offered = {spec.name: spec for spec in newer.inputs}
    for name in offered.keys() - wanted.keys():
        yield f"input {name!r} is new: requests made for the older version do not carry it"
    for name, old in wanted.items():
        new = offered.get(name)
        if new is None:
            yield f"input {name!r} is gone: requests made for the older version carry it"
        elif new.datatype != old.datatype:
            yield f"input {name!r}: wanted {old.datatype}, found {new.datatype}"
        elif not _accepts(old.shape, new.shape):
            yield f"input {name!r}: wanted shape {list(old.shape)}, found {list(new.shape)}"


def _accepts(old: tuple[int, ...], new: tuple[int, ...]) -> bool:
    return len(old) == len(new) and all(b in (-1, a) for a, b in zip(old, new, strict=True))


def _output_clashes(older: Signature, newer: Signature) -> Iterable[str]:
    offered = {spec.name: spec for spec in newer.outputs}
    for old in older.outputs:
        new = offered.get(old.name)
        if new is None:
            yield f"output {old.name!r} is gone"
        elif new.datatype != old.datatype:
            yield f"output {old.name!r}: wanted {old.datatype}, found {new.datatype}"
        elif not _resembles(old.shape, new.shape):
            yield f"output {old.name!r}: wanted shape {list(old.shape)}, found {list(new.shape)}"


def _resembles(old: tuple[int, ...], new: tuple[int, ...]) -> bool:
    # An exporter may leave an output's size open; an open size contradicts nothing.
    return len(old) == len(new) and all(a == b or -1 in (a, b) for a, b in zip(old, new, strict=True))
