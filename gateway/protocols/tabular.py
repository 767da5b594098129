"""Rows, columns and tables of plain JSON values, between requests and tensors: what several protocols share.

    rows      [[0.1, 0.2], [0.3, 0.4]]             a model of one input: each element is one of its rows
              [{"age": 30, "car": "none"}, …]       by the names of the inputs
    columns   {"age": [30, 41], "car": ["none", "small"]}; a model of one input takes the bare list too
    table     names of columns and rows of cells, as a data frame has them

Rules: a string may be written as {"b64": "…"}. A model without a batch axis takes as many rows as make up its
tensors (one of 3 elements for [1, 3]), or one that is a whole tensor; a table of one row. Columns of a table
are found by name: the inputs, or the elements of the only input (`x[0]`, `x[1]` …); only where they have none
of these names, and are as many as the elements, or a row may have any number, they are taken in order. A
missing number is null or a bare NaN, in a table a missing text too; an answer writes NaN and infinities as
null. It knows no protocol's field names.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec

from gateway import bfloat16
from gateway.bulk import check_lists, check_rows
from gateway.errors import InvalidInputError, MalformedError, UnanswerableError
from gateway.inference import Array
from gateway.interface import Interface
from gateway.missing import decoded
from gateway.tensors import Tensor
from gateway.text import escaped, from_base64, to_base64
from groundwork.elements import element_names
from registry_client.signature import Datatype

_B64: Final = "b64"
_MOST_NAMED: Final = 5

T = TypeVar("T")


def read(decoder: msgspec.json.Decoder[T], body: bytes, what: str) -> T:
    """The document in `body`; MalformedError says that it is no `what`, TooLargeError that it is too much."""
    check_lists(body)
    try:
        return decoded(decoder.decode, body)
    except msgspec.DecodeError as error:
        raise MalformedError(f"the body is not {what}: {error}") from None
    except (RecursionError, UnicodeDecodeError):
        raise MalformedError(f"the body is not {what}: it is nested too deep or not UTF-8") from None


def from_rows(
    model: Interface, rows: Sequence[Any], *, what: str = "instances", exact: bool = False
) -> dict[str, Array]:
    """The inputs of a model from one element per row; further names in it are passed over, if not `exact`."""
    if not rows:
        raise InvalidInputError(f"{what} is empty; wanted one element per row")
    if len(model.inputs) == 1 and not any(_names_inputs(row) for row in rows):
        (tensor,) = model.inputs.values()
        return {tensor.name: _of_rows(model, tensor, list(rows), what)}
    for place, row in enumerate(rows):
        if not isinstance(row, dict):
            raise InvalidInputError(f"row {place} of {what} is no object of {_listed(model.inputs)}")
        absent = [name for name in model.inputs if name not in row]
        if absent:
            raise InvalidInputError(
                f"row {place} of {what} lacks {absent[0]!r}; wanted {_listed(model.inputs)}"
            )
        if exact and len(row) != len(model.inputs):
            _refuse_unknown(model, row)
    return {
        name: _of_rows(model, tensor, [row[name] for row in rows], what)
        for name, tensor in model.inputs.items()
    }


def from_columns(model: Interface, columns: Any, *, what: str = "inputs") -> dict[str, Array]:
    """The inputs of a model from whole tensors: an object of them, or the bare list of the only one."""
    if isinstance(columns, dict) and not (set(columns) == {_B64} and _B64 not in model.inputs):
        _refuse_unknown(model, columns)
        absent = [name for name in model.inputs if name not in columns]
        if absent:
            raise InvalidInputError(f"{what} lacks {absent[0]!r}; wanted {_listed(model.inputs)}")
        return {name: _tensor(tensor, columns[name]) for name, tensor in model.inputs.items()}
    if len(model.inputs) != 1:
        raise InvalidInputError(f"{what} is no object of {_listed(model.inputs)}")
    (tensor,) = model.inputs.values()
    return {tensor.name: _tensor(tensor, columns)}


def from_table(
    model: Interface, names: Sequence[str] | None, rows: Sequence[Sequence[Any]]
) -> dict[str, Array]:
    """The inputs of a model from a table whose rows are as long as `names`; None: columns have no names."""
    if not rows:
        raise InvalidInputError("the table has no rows; wanted one per prediction")
    if not model.batched and len(rows) != 1:
        raise InvalidInputError(f"the table has {len(rows)} rows; the model takes one at a time")
    place = {} if names is None else {name: index for index, name in enumerate(names)}
    if names is not None and len(place) != len(names):
        raise InvalidInputError("the table has two columns of one name; wanted each once")
    if all(name in place for name in model.inputs):
        return {name: _column(model, tensor, place[name], rows) for name, tensor in model.inputs.items()}
    if len(model.inputs) == 1:
        (tensor,) = model.inputs.values()
        shape = _row_shape(tensor, len(rows[0]))
        if shape is not None:
            order = _elements(tensor, shape, place, len(rows[0]))
            cells = [[row[index] for index in order] for row in rows]
            return {tensor.name: _reshaped(tensor, shape, cells)}
    absent = [name for name in model.inputs if name not in place]
    raise InvalidInputError(f"the table lacks column {absent[0]!r}; wanted {_listed(model.inputs)}")


def to_columns(tensors: Sequence[Tensor], outputs: Sequence[Array], *, tagged: bool = False) -> Any:
    """All outputs as nested lists: an object of them, or the bare list of the only one.

    With `tagged` an output whose name ends in `_bytes` is written as {"b64": "…"}.
    """
    columns = {
        tensor.name: _nested(tensor, array, tagged=tagged)
        for tensor, array in zip(tensors, outputs, strict=True)
    }
    return columns if len(columns) != 1 else next(iter(columns.values()))


def to_rows(model: Interface, outputs: Sequence[Array], rows: int, *, tagged: bool = False) -> list[Any]:
    """One element per row of the request: a value where there is one output, else an object of them.

    Raises:
        UnanswerableError: an output does not come apart into `rows` rows.
    """
    columns = {}
    for tensor, array in zip(model.outputs, outputs, strict=True):
        nested = _nested(tensor, array, tagged=tagged)
        # A graph that says nothing of an output's shape has the signature of a scalar.
        promised = model.batched and tensor.shape
        if not tensor.batched and (promised or array.shape[:1] != (rows,)):
            nested = [nested]
        if len(nested) != rows:
            raise UnanswerableError(
                f"output {tensor.name!r} has {len(nested)} rows for {rows} instances; ask for whole tensors"
            )
        columns[tensor.name] = nested
    if len(columns) == 1:
        return list(next(iter(columns.values())))
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def plain_text(value: Any) -> Any:
    """What stands for a string, given as it is or as {"b64": "…"}; whatever else it is, unchanged."""
    if isinstance(value, str):
        return escaped(value)
    return from_base64(value[_B64]) if isinstance(value, dict) and set(value) == {_B64} else value


def _refuse_unknown(model: Interface, names: Iterable[str]) -> None:
    for name in names:
        if name not in model.inputs:
            raise InvalidInputError(f"input {name[:100]!r} is unknown; the model has {_listed(model.inputs)}")


def _names_inputs(row: Any) -> bool:
    return isinstance(row, dict) and set(row) != {_B64}


def _tensor(tensor: Tensor, values: Any) -> Array:
    leaf = plain_text if tensor.datatype is Datatype.BYTES else None
    if isinstance(values, list) and tensor.shape:
        if tensor.batched:
            check_rows(len(values))
        return tensor.from_values(values, leaf)
    if not tensor.shape and not isinstance(values, list):
        return tensor.from_values([values], leaf)
    raise InvalidInputError(f"input {tensor.name!r}: wanted lists nested like {list(tensor.shape)}")


def _of_rows(model: Interface, tensor: Tensor, values: list[Any], what: str) -> Array:
    """The tensor that all values make up; or, without a batch axis, the one that the only value is."""
    if model.batched or _depth(values[0]) < len(tensor.shape):
        return _tensor(tensor, values)
    if len(values) != 1:
        raise InvalidInputError(f"{what} has {len(values)} rows; the model takes one at a time")
    return _tensor(tensor, values[0])


def _depth(value: Any) -> int:
    """How many lists are around the first element."""
    depth = 0
    while isinstance(value, list):
        value, depth = next(iter(value), None), depth + 1
    return depth


def _column(model: Interface, tensor: Tensor, index: int, rows: Sequence[Sequence[Any]]) -> Array:
    cells = _filled(tensor, [row[index] for row in rows])
    return _tensor(tensor, cells if model.batched or not isinstance(cells[0], list) else cells[0])


def _filled(tensor: Tensor, cells: list[Any]) -> list[Any]:
    """Cells of a table; a missing text is the empty one, as in CSV and for the pipelines that we publish."""
    if tensor.datatype is not Datatype.BYTES:
        return cells
    return ["" if cell is None else cell for cell in cells]


def _row_shape(tensor: Tensor, width: int) -> tuple[int, ...] | None:
    """The shape of a row, which is as long as the table is wide where that is left open; None without one."""
    open_row = tensor.batched and tensor.shape[1:] == (-1,)
    return (width,) if open_row else tensor.row_shape


def _elements(tensor: Tensor, shape: tuple[int, ...], place: Mapping[str, int], width: int) -> list[int]:
    """The columns that the elements of a row are in, in row-major order."""
    names = element_names(tensor.name, shape)
    found = [name for name in names if name in place]
    if len(found) == len(names):
        return [place[name] for name in names]
    if found or width != len(names):
        absent = next((name for name in names if name not in place), names[0])
        raise InvalidInputError(
            f"the table lacks column {absent!r}: wanted the {len(names)} elements of {tensor.name!r}, "
            f"found {width} columns"
        )
    return list(range(width))


def _reshaped(tensor: Tensor, shape: tuple[int, ...], cells: list[list[Any]]) -> Array:
    """Rows of elements as a tensor; their order within a row is row-major."""
    values = _filled(tensor, [cell for row in cells for cell in row])
    for size in reversed(shape if tensor.batched else shape[1:]):
        values = [values[at : at + size] for at in range(0, len(values), size)]
    return _tensor(tensor, values)


def _nested(tensor: Tensor, array: Array, *, tagged: bool) -> Any:
    if tensor.datatype is Datatype.BF16:
        array = bfloat16.widened(array)
    if tensor.datatype is Datatype.BYTES:
        return _texts(tensor, array.tolist(), tagged=tagged and tensor.name.endswith("_bytes"))
    return array.tolist()


def _texts(tensor: Tensor, value: Any, *, tagged: bool) -> Any:
    """Strings as JSON has them, nested as they are."""
    if isinstance(value, list):
        if tagged or (value and isinstance(value[0], list)):
            return [_texts(tensor, inner, tagged=tagged) for inner in value]
        return tensor.texts(value)
    return {_B64: to_base64(value)} if tagged else tensor.texts([value])[0]


def _listed(names: Mapping[str, object]) -> str:
    shown = list(names)[:_MOST_NAMED]
    return ", ".join(shown) + (f" and {len(names) - len(shown)} more" if len(names) > len(shown) else "")
