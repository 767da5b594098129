"""The classification extension of the Open Inference Protocol: an output's highest values, with their places.

    "0.970000:3" or, where the model names its classes, "0.970000:3:cat"

Rules: each row's values are read as one flat list; the k highest come first, equal ones in order; a k above
their number means all of them. Values are written as C's %f and %d do. What comes out is a tensor of strings
of shape [rows, k], or [k] for an output without rows.
"""

import math
from typing import Any, Final

import numpy as np

from gateway.errors import InvalidInputError, UnsupportedError
from gateway.inference import Array
from gateway.interface import Interface
from gateway.tensors import Tensor
from registry_client.signature import Datatype, TensorSpec

PARAMETER: Final = "classification"
_FLOATS: Final = frozenset({Datatype.FP16, Datatype.FP32, Datatype.FP64})


def wanted(tensor: Tensor, value: Any) -> int:
    """How many classes a requested output asks for; 0 for none.

    Raises:
        InvalidInputError: it is no whole number from 1.
        UnsupportedError: the output holds no numbers.
    """
    if value is None or value == 0:
        return 0
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InvalidInputError(
            f"output {tensor.name!r}: classification is {str(value)[:40]!r}, wanted a whole number from 1"
        )
    if tensor.datatype in (Datatype.BYTES, Datatype.BF16, Datatype.BOOL):
        raise UnsupportedError(f"output {tensor.name!r} is {tensor.datatype}, which has no highest values")
    return value


def classify(model: Interface, tensor: Tensor, array: Array, most: int) -> tuple[Tensor, Array]:
    """The `most` highest values of each row, as a tensor of strings and its codec."""
    shape = array.shape if tensor.batched and array.ndim else (1, *array.shape)
    rows = array.reshape(shape[0], math.prod(shape[1:]))
    count = min(most, rows.shape[1])
    places = np.argsort(_falling(rows), axis=1, kind="stable")[:, :count]
    names = model.classes if len(model.classes) == rows.shape[1] else ()
    form = "%f" if tensor.datatype in _FLOATS else "%d"
    strings = [
        [_class(form % row[place], place, names) for place in line]
        for row, line in zip(rows.tolist(), places.tolist(), strict=True)
    ]
    shape = (len(rows), count) if tensor.batched else (count,)
    made = np.array(strings, dtype=object).reshape(shape)
    return Tensor(TensorSpec(tensor.name, Datatype.BYTES, shape)), made


def _falling(rows: Array) -> Array:
    """Numbers that rise where these fall, so that a stable sort leaves equal ones in their order.

    NaN, which is no highest value, is sorted last. Whole numbers stay whole: as floats, neighbours beyond
    2**53 would be one.
    """
    falling: Array = ~rows if rows.dtype.kind in "iu" else -rows
    return falling


def _class(value: str, place: int, names: tuple[str, ...]) -> str:
    return f"{value}:{place}:{names[place]}" if names else f"{value}:{place}"
