"""Reference rows: from a DataFrame or an array to the tensors that a graph is fed.

Rules: one input per DataFrame column, or one for an array or a list of texts; a missing number is NaN, a
missing text of a table the empty string; a column that fits none of the four kinds is refused by name. It
knows no estimator.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from registry_client.errors import ReferenceDataError
from registry_client.signature import Datatype, Signature, TensorSpec, numpy_dtype

MATRIX: Final = "input"
"""The name of the one input of an estimator that was fitted on an array, or a list without a name."""

Kind = Literal["float", "integer", "bool", "text"]


@dataclass(frozen=True, slots=True)
class Column:
    """One input: ``tensor`` is [rows, width] of float64, int64, bool, or str objects."""

    name: str
    kind: Kind
    tensor: np.ndarray

    @property
    def width(self) -> int:
        """Values per row."""
        return int(self.tensor.shape[1])


def is_frame(reference: Any) -> bool:
    """Whether this is a DataFrame, told without importing pandas."""
    return hasattr(reference, "columns") and hasattr(reference, "iloc")


def read_columns(reference: Any) -> tuple[Column, ...]:
    """The inputs of an estimator that is called with this reference.

    Raises:
        ReferenceDataError: not a DataFrame, 2-D array or list of texts, no rows, a column without a text
            name, a name twice, or a column of a kind that a tensor cannot hold.
    """
    columns = _frame_columns(reference) if is_frame(reference) else (_matrix(reference),)
    if not columns or len(columns[0].tensor) == 0:
        raise ReferenceDataError("the reference has no rows or no columns; give a few hundred rows at least")
    return columns


def columns_with_missing_texts(reference: Any) -> list[str]:
    """The columns of a table that hold texts, and some of them not."""
    if not is_frame(reference):
        return []
    kinds = {str(name): getattr(dtype, "kind", "O") for name, dtype in reference.dtypes.items()}
    gaps = reference.isna().any()
    return [str(name) for name, has_gaps in gaps.items() if has_gaps and kinds[str(name)] in "OUTS"]


def feed(columns: Sequence[Column], datatypes: Sequence[Datatype]) -> dict[str, np.ndarray]:
    """The tensors by name, each cast to the datatype that its input has."""
    return {
        column.name: column.tensor.astype(numpy_dtype(datatype))
        for column, datatype in zip(columns, datatypes, strict=True)
    }


def feed_graph(reference: Any, signature: Signature) -> dict[str, np.ndarray]:
    """The tensors for a ready graph, from a DataFrame, a mapping of arrays, or one array.

    Raises:
        ReferenceDataError: an input has no column, a column no input, or the values do not fit.
    """
    arrays = _named_arrays(reference, signature)
    wanted = {spec.name for spec in signature.inputs}
    if arrays.keys() != wanted:
        raise ReferenceDataError(
            f"the graph's inputs are {sorted(wanted)}, the reference has {sorted(arrays)}; "
            "give exactly the inputs (labels go in their own argument)"
        )
    feeds = {spec.name: _fit(arrays[spec.name], spec) for spec in signature.inputs}
    if len({len(array) for array in feeds.values()}) != 1 or len(next(iter(feeds.values()))) == 0:
        raise ReferenceDataError("the reference has no rows, or its arrays differ in length")
    return feeds


def read_labels(labels: Any, rows: int) -> np.ndarray:
    """Labels as [rows] of objects or numbers; missing ones stay None or NaN.

    Raises:
        ReferenceDataError: not one value per reference row.
    """
    array = np.asarray(labels)
    if array.ndim == 2 and array.shape[1] == 1:  # noqa: PLR2004  a one-column frame
        array = array[:, 0]
    if array.shape != (rows,):
        raise ReferenceDataError(
            f"labels: wanted one per reference row ({rows}), found shape {list(array.shape)}"
        )
    return array


def _frame_columns(frame: Any) -> tuple[Column, ...]:
    names = list(frame.columns)
    for name in names:
        if not isinstance(name, str) or not name:
            raise ReferenceDataError(
                f"reference column {name!r}: wanted a name that is text, found {type(name).__name__}; name "
                "the columns by text (frame.columns = frame.columns.astype(str)) and fit again"
            )
        if names.count(name) > 1:
            raise ReferenceDataError(f"reference column {name!r} is there twice; name each column once")
    return tuple(_column(name, frame[name]) for name in names)


def _column(name: str, series: Any) -> Column:
    kind, values = _values(name, series)
    return Column(name, kind, values.reshape(-1, 1))


def _values(name: str, series: Any) -> tuple[Kind, np.ndarray]:
    """The column as one of the four kinds; a nullable column with gaps becomes float with NaN."""
    missing = np.asarray(series.isna(), dtype=bool)
    kind = getattr(series.dtype, "kind", "O")
    if kind == "O" and hasattr(series, "cat"):  # categories of numbers are numbers
        kind = getattr(series.cat.categories.dtype, "kind", "O")
    if kind == "b" and not missing.any():
        return "bool", series.to_numpy(dtype=bool)
    if kind in "iu" and not missing.any():
        return "integer", series.to_numpy(dtype=np.int64)
    if kind in "biuf":
        return "float", series.astype("float64").to_numpy(dtype=np.float64, na_value=np.nan)
    if kind in "OUTS":
        return "text", _text(name, series.to_numpy(dtype=object), missing)
    raise _unfit(name, f"found {series.dtype}")


def _text(name: str, values: np.ndarray, missing: np.ndarray) -> np.ndarray:
    texts = np.where(missing, "", values)
    odd = next((value for value in texts if not isinstance(value, str)), None)
    if odd is not None:
        raise _unfit(name, f"found {type(odd).__name__} {odd!r:.40} among objects")
    return texts.astype(object)


def _unfit(name: str, found: str) -> ReferenceDataError:
    return ReferenceDataError(
        f"reference column {name!r}: wanted numbers, booleans or text, {found}; convert it before fitting"
    )


def _matrix(reference: Any) -> Column:
    if hasattr(reference, "toarray"):
        raise ReferenceDataError("the reference is a sparse matrix; give it dense: reference.toarray()")
    array = np.asarray(reference)
    if array.ndim == 1 and any(isinstance(value, str) for value in array.tolist()):
        return _texts(array, getattr(reference, "name", None))  # a Series has a name
    if array.ndim != 2 or array.dtype.kind not in "biuf":  # noqa: PLR2004
        raise ReferenceDataError(
            "the reference: wanted a DataFrame, a 2-D array of numbers or a list of texts, found "
            f"{type(reference).__name__} of shape {list(array.shape)} and dtype {array.dtype}"
        )
    if array.dtype.kind == "f":
        return Column(MATRIX, "float", array.astype(np.float64))
    if array.dtype.kind == "b":
        return Column(MATRIX, "bool", array)
    return Column(MATRIX, "integer", array.astype(np.int64))


def _texts(values: np.ndarray, name: Any) -> Column:
    odd = [value for value in values.tolist() if not isinstance(value, str)]
    if odd:
        raise ReferenceDataError(
            f"the reference: wanted texts, found {odd[0]!r:.40} among them; fill it, or leave its row out"
        )
    named = name if isinstance(name, str) and name else MATRIX
    return Column(named, "text", values.astype(object).reshape(-1, 1))


def _named_arrays(reference: Any, signature: Signature) -> dict[str, np.ndarray]:
    if is_frame(reference):
        names = [str(name) for name in reference.columns]
        if len(signature.inputs) == 1 and signature.inputs[0].name not in names:
            columns = _frame_columns(reference)  # one tensor holds all columns, in their order
            return {signature.inputs[0].name: np.hstack([column.tensor for column in columns])}
        return {column.name: column.tensor for column in _frame_columns(reference)}
    if isinstance(reference, Mapping):
        return {str(name): np.asarray(array) for name, array in reference.items()}
    if len(signature.inputs) != 1:
        raise ReferenceDataError(
            f"the graph has {len(signature.inputs)} inputs; give the reference as a DataFrame or a "
            "mapping of input name to array"
        )
    return {signature.inputs[0].name: np.asarray(reference)}


def _fit(array: np.ndarray, spec: TensorSpec) -> np.ndarray:
    """The array in the input's datatype and rank."""
    if array.ndim == 2 and array.shape[1] == 1 and len(spec.shape) == 1:  # noqa: PLR2004
        array = array[:, 0]
    if array.ndim == 1 and len(spec.shape) == 2:  # noqa: PLR2004
        array = array.reshape(-1, 1)
    fits = array.ndim == len(spec.shape) and all(
        wanted in (-1, found) for wanted, found in zip(spec.shape, array.shape, strict=True)
    )
    if not fits:
        raise ReferenceDataError(
            f"input {spec.name!r}: wanted shape {list(spec.shape)}, the reference has {list(array.shape)}"
        )
    if spec.datatype == Datatype.BYTES:
        return np.array([str(value) for value in array.ravel()], dtype=object).reshape(array.shape)
    if array.dtype.kind not in "biuf" or (spec.datatype.startswith(("INT", "UINT")) and _has_gaps(array)):
        raise ReferenceDataError(
            f"input {spec.name!r}: wanted {spec.datatype}, the reference has {array.dtype} that is not that"
        )
    return array.astype(numpy_dtype(spec.datatype))


def _has_gaps(array: np.ndarray) -> bool:
    return array.dtype.kind == "f" and not bool(np.all(np.isfinite(array) & (array == np.floor(array))))
