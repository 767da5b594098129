"""How tensors become columns of the prediction log: planned once per version, then copied by name.

Rules: one row of a frame is one row of the batch; a tensor without a batch axis belongs to every row. A
tensor whose rows have no fixed shape is kept as the bytes of each row (its texts each behind their length,
u32). What did not come out (a failed run, a shape the graph did not promise) is left zero and marked MISSING,
what is dropped by policy is left zero and marked WITHHELD. Inputs that are too large to keep are not in the
schema at all.

It does not know streams, files or ids.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gateway.inference import Array, as_bytes
from gateway.model import LoadedModel
from gateway.tensors import Tensor
from gateway.withholding import NOTHING, Hasher, Withheld
from prediction_log.quick_row import is_quick
from prediction_log.record import (
    VARIABLE,
    ColumnSpec,
    Schema,
    Validity,
    ValueColumn,
    prediction_schema,
)
from registry_client.signature import Datatype

Validities = npt.NDArray[np.uint8]
_STRING_BYTES: Final = 16
"""Bytes set aside per string; when they run out before the rows do, the buffer is flushed early."""
_OFFSET_BYTES: Final = 4
_FEWEST_ROWS: Final = 64
_LENGTH: Final = struct.Struct("<I")


def value_column(tensor: Tensor) -> ValueColumn:
    """Name, dtype and row shape of the column that keeps `tensor`."""
    if tensor.row_shape is None:
        return (tensor.name, VARIABLE, ())
    dtype = VARIABLE if tensor.datatype is Datatype.BYTES else tensor.dtype.str
    return (tensor.name, dtype, tensor.row_shape)


def recorded(tensor: Tensor, array: Array, rows: int) -> Any:
    """The array as a row file takes it, or None when its shape is not that of `rows` rows."""
    shape = tensor.row_shape
    if shape is None:
        if not array.ndim or len(array) != rows:
            return None
        return [_framed(row) if array.dtype == object else row.tobytes() for row in array]
    if array.shape != ((rows, *shape) if tensor.batched else shape):
        return None
    if tensor.datatype is not Datatype.BYTES:
        return array
    values = as_bytes(array)
    return values if tensor.batched or rows == 1 else values * rows


def _framed(row: Array) -> bytes:
    """The texts of one row, each behind its length."""
    return b"".join(_LENGTH.pack(len(text)) + text for text in as_bytes(row))


def plain_row(tensor: Tensor) -> tuple[int, ...] | None:
    """The shape of one row that can be recorded as it is; None where it has to be converted."""
    if tensor.row_shape is None or tensor.datatype is Datatype.BYTES:
        return None
    return (1, *tensor.row_shape) if tensor.batched else tensor.row_shape


def row_bytes(columns: Iterable[ColumnSpec]) -> int:
    """Bytes that one row is expected to take, strings guessed."""
    return sum(
        column.width * (_OFFSET_BYTES + _STRING_BYTES if column.dtype == VARIABLE else int(column.dtype[-1]))
        for column in columns
    )


def capacity(schema: Schema, buffer_bytes: int) -> tuple[int, int]:
    """Rows, and arena bytes per variable-width column, of a buffer of about `buffer_bytes`."""
    rows = max(_FEWEST_ROWS, buffer_bytes // max(1, row_bytes(schema.columns)))
    widest = max((column.width for column in schema.columns if column.dtype == VARIABLE), default=1)
    return rows, rows * _STRING_BYTES * widest


class Side:
    """The columns of one group of tensors (a version's inputs, say) and where their validity is."""

    def __init__(
        self,
        tensors: Sequence[Tensor],
        columns: Sequence[ColumnSpec],
        first: int,
        withheld: Withheld = NOTHING,
    ) -> None:
        named = [(place, tensor, columns[place].name) for place, tensor in enumerate(tensors)]
        self._parts = tuple(
            (place, tensor, name, plain_row(tensor))
            for place, tensor, name in named
            if tensor.name not in withheld.dropped and tensor.name not in withheld.hashed
        )
        self._hashed: tuple[tuple[int, Tensor, str, Hasher], ...] = tuple(
            (place, tensor, name, withheld.hashed[tensor.name])
            for place, tensor, name in named
            if tensor.name in withheld.hashed
        )
        self.places = range(first, first + len(columns))
        self.dropped = [first + place for place, tensor, _ in named if tensor.name in withheld.dropped]

    def fill(self, into: dict[str, Any], arrays: Sequence[Array], rows: int) -> list[int]:
        """Put the arrays into `into`; returns the places of those that are not what was promised."""
        odd: list[int] = []
        for place, tensor, name, plain_row in self._parts:
            array = arrays[place]
            if rows == 1 and array.shape == plain_row:
                into[name] = array  # by far the most frequent case, and nothing to convert
                continue
            value = recorded(tensor, array, rows)
            if value is None:
                odd.append(self.places[place])
            else:
                into[name] = value
        for place, tensor, name, hasher in self._hashed:
            value = recorded(tensor, arrays[place], rows)
            if value is None:
                odd.append(self.places[place])
            else:
                into[name] = hasher(value)
        return odd


class Marks:
    """The validity of a plan's columns: what is dropped is WITHHELD in every row."""

    def __init__(self, width: int, dropped: Sequence[int]) -> None:
        self._dropped = list(dropped)
        self._plain: Validities = np.zeros(width, np.uint8)
        self._plain[self._dropped] = Validity.WITHHELD

    def of(self, odd: Sequence[int]) -> Validities | None:
        """The validity of rows in which these columns are not there; None where everything is."""
        if not odd:
            return self._plain if self._dropped else None
        validity = np.zeros_like(self._plain)
        validity[list(odd)] = Validity.MISSING
        validity[self._dropped] = Validity.WITHHELD
        return validity


class Quick:
    """Takes the bytes of a request's tensors where all of them are as plain as they mostly are."""

    def __init__(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
        self._inputs = tuple((tensor.name, plain_row(tensor), tensor.dtype) for tensor in inputs)
        self._outputs = tuple((plain_row(tensor), tensor.dtype) for tensor in outputs)
        self._names = tuple(tensor.name for tensor in inputs)
        tensors = (*inputs, *outputs)
        self._shapes = tuple((tensor.row_shape or (), tensor.dtype) for tensor in tensors)
        self._batched = all(tensor.batched for tensor in tensors)

    def values(self, feeds: Mapping[str, Array], outputs: Sequence[Array]) -> list[bytes] | None:
        """The bytes of every value column, inputs first; None where one is not what was promised."""
        found = []
        for name, shape, dtype in self._inputs:
            array = feeds[name]
            if array.shape != shape or array.dtype != dtype:
                return None
            found.append(array.tobytes())
        for (shape, dtype), array in zip(self._outputs, outputs, strict=True):
            if array.shape != shape or array.dtype != dtype:
                return None
            found.append(array.tobytes())
        return found

    def many(
        self, feeds: Mapping[str, Array], outputs: Sequence[Array], rows: int
    ) -> list[memoryview] | None:
        """The memory of every value column, inputs first; None where one is not what was promised."""
        if not self._batched:
            return None
        found = []
        arrays = [*map(feeds.__getitem__, self._names), *outputs]
        for (shape, dtype), array in zip(self._shapes, arrays, strict=True):
            if array.shape != (rows, *shape) or array.dtype != dtype or not array.flags.c_contiguous:
                return None
            found.append(array.data.cast("B"))
        return found


class PredictionPlan:
    """The prediction columns of one version; `withholds` says that its inputs are too large to keep."""

    def __init__(self, model: LoadedModel, max_row_bytes: int, withheld: Withheld = NOTHING) -> None:
        kept = tuple(model.inputs.values())
        self.withholds = row_bytes(_inputs(_schema(model, kept))) > max_row_bytes
        if self.withholds:
            kept = ()
        self.schema = withheld.marked(_schema(model, kept))
        values = self.schema.values
        self._names = [tensor.name for tensor in kept]
        self._inputs = Side(kept, values[: len(kept)], 0, withheld)
        self._outputs = Side(model.outputs, values[len(kept) :], len(kept), withheld)
        self._validity = Marks(len(values), [*self._inputs.dropped, *self._outputs.dropped])
        quick = is_quick(self.schema) and not self.withholds
        self.quick = Quick(kept, model.outputs) if quick else None
        """The short way for what most requests record, where the version has one."""
        self.strange: set[str] = set()
        """Outputs that came in another shape than the graph promised, and so were recorded as missing."""

    def fill(
        self, into: dict[str, Any], feeds: Mapping[str, Array], outputs: Sequence[Array] | None, rows: int
    ) -> Validities | None:
        """Put a run's tensors into `into`; returns their validity, None where everything is there.

        `outputs` is None when the run failed.
        """
        odd = self._inputs.fill(into, [feeds[name] for name in self._names], rows)
        if outputs is None:
            return self._validity.of([*odd, *self._outputs.places])
        lacking = self._outputs.fill(into, outputs, rows)
        if lacking:
            self.strange.update(self.schema.values[place].name for place in lacking)
        return self._validity.of(odd + lacking)


def _inputs(schema: Schema) -> list[ColumnSpec]:
    return [column for column in schema.columns if column.role == "input"]


def _schema(model: LoadedModel, inputs: Sequence[Tensor]) -> Schema:
    return prediction_schema(
        model.name, model.version, model.digest, map(value_column, inputs), map(value_column, model.outputs)
    )
