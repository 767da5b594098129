"""Predictions with their labels, as a Parquet file or as numpy columns: what a retraining starts from.

One row per prediction row, in log order: metadata, then every element of every input and output under its
element name (`groundwork.elements`), then `label`, the truth. A value column that is called like one of
those gives way and is `input.<name>` or `output.<name>` (a classifier's output `label` is `output.label`).
Where versions differ in their columns, the union is given; a value that is not there is null (numpy: NaN, or
None in a column of objects).

pyarrow is loaded only by `export`.
"""

import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from groundwork.elements import element_names
from prediction_log import segment_file as files
from prediction_log.errors import ExportError
from prediction_log.frame import Frame, Strings
from prediction_log.joining import Truth, read_truth
from prediction_log.labels import Value
from prediction_log.record import META, Arm, ColumnSpec, Kept, Kind, Outcome, Validity
from prediction_log.selecting import models, select

Array: TypeAlias = NDArray[Any]
Cells: TypeAlias = tuple[Array, Array | None]
"""Values of one column, and which of them are there (None: all)."""

_NAMES: Final[Mapping[str, Mapping[int, str]]] = {
    "arm": {member.value: member.name.lower() for member in Arm},
    "outcome": {member.value: member.name.lower() for member in Outcome},
    "kept": {member.value: member.name.lower() for member in Kept},
}
_NAMED: Final = 10
_PLAIN_META: Final = ("row", "time", "revision", "latency")
_TEXT_META: Final = ("id", "version", *_NAMES, "client_id", "trace_id")
_TAKEN: Final = frozenset({*_PLAIN_META, *_TEXT_META, "label", "labelled"})


class ExportSummary(msgspec.Struct, frozen=True):
    """What was exported: rows in all, rows with a label, and where to.

    Client ids whose labels count for nothing are told: several predictions carry them (`ambiguous`), or none
    does (`unknown`).
    """

    rows: int
    labelled: int
    path: Path
    ambiguous: int = 0
    unknown: int = 0


def export(
    log_folder: Path, model: str, *, since_ns: int | None = None, until_ns: int | None = None, out: Path
) -> ExportSummary:
    """Write the model's rows recorded in [since_ns, until_ns) to a Parquet file, frame by frame.

    ExportError without pyarrow, without a log, for a model of which nothing is in it, or where `out` cannot
    be written. `out` appears when it is whole. Memory for the labels and for one page of frames.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415  an extra
        from pyarrow import parquet  # noqa: PLC0415  an extra
    except ImportError as error:
        raise ExportError(
            "an export needs pyarrow; install it with: pip install 'driftgate[export]'"
        ) from error
    truth = _truth(log_folder, model)
    if model not in (known := models(log_folder)):
        there = f"it holds {', '.join(known[:_NAMED])}" if known else "it holds nothing yet"
        raise ExportError(f"{log_folder} holds no row of model {model!r}; {there}")
    parts = _Parts(log_folder, model, since_ns, until_ns, truth)
    types = parts.types()
    schema = pa.schema([(name, _arrow_type(pa, name, dtype)) for name, dtype in types.items()])
    aside = out.with_name(f".{out.name}.{secrets.token_hex(6)}")
    if not os.access(out.parent, os.W_OK | os.X_OK):
        raise ExportError(f"{out}: {out.parent} is not a folder that can be written; name another file")
    rows = labelled = 0
    try:
        with parquet.ParquetWriter(aside, schema) as writer:
            for part in parts:
                rows += len(part["row"][0])
                labelled += int(_present(part["label"]).sum())
                arrays = [_arrow(pa, _cast(part, name, types), schema.field(name).type) for name in types]
                writer.write_table(pa.table(arrays, schema=schema))
        aside.replace(out)
    finally:
        aside.unlink(missing_ok=True)
    return ExportSummary(rows, labelled, out, truth.ambiguous, truth.unknown)


def read_rows(
    log_folder: Path, model: str, *, since_ns: int | None = None, until_ns: int | None = None
) -> dict[str, Array]:
    """The same rows as numpy columns of equal length, with `labelled` saying which rows have a label.

    All in memory: for a window that a model is trained on, not for the whole log.
    """
    parts = _Parts(log_folder, model, since_ns, until_ns, _truth(log_folder, model))
    types = parts.types()
    found = list(parts)
    columns = {name: [_cast(part, name, types) for part in found] for name in types}
    rows = {name: _concatenated(cells, types[name]) for name, cells in columns.items()}
    rows["labelled"] = np.concatenate([_present(part["label"]) for part in found] or [np.empty(0, np.bool_)])
    return rows


def _truth(log_folder: Path, model: str) -> Truth:
    if not files.numbers(log_folder):
        raise ExportError(f"{log_folder} holds no log segments; give the data folder of a running driftgate")
    return read_truth(log_folder, model)


class _Parts:
    """The rows wanted, frame by frame as named columns; it can be gone through more than once."""

    def __init__(
        self, log_folder: Path, model: str, since_ns: int | None, until_ns: int | None, truth: Truth
    ) -> None:
        self._window = {"since_ns": since_ns, "until_ns": until_ns}
        self._log_folder = log_folder
        self._model = model
        self._truth = truth

    def __iter__(self) -> Iterator[dict[str, Cells]]:
        for frame in self._frames():
            chosen = np.flatnonzero(self._wanted(frame))
            if len(chosen):
                yield _part(frame, chosen, self._truth)

    def types(self) -> dict[str, Any]:
        """Every column and the dtype that holds it in all frames; object for text."""
        values: dict[str, Any] = {}
        for schema in dict.fromkeys(frame.schema for frame in self._frames()):
            for column in schema.values:
                for name in _column_names(column):
                    values[name] = _common(values.get(name), _dtype(column))
        label: Any = None
        for value in self._truth.labels.values():
            label = _common(label, _label_dtype(value))
        metadata: dict[str, Any] = dict.fromkeys(_TEXT_META, object)
        metadata |= {column.name: column.dtype for column in META if column.name in _PLAIN_META}
        return metadata | values | {"label": np.dtype("<f8") if label is None else label}

    def _frames(self) -> Iterator[Frame]:
        return select(self._log_folder, self._model, Kind.PREDICTION, **self._window)

    def _wanted(self, frame: Frame) -> Array:
        times = frame.array("time")
        since, until = self._window["since_ns"], self._window["until_ns"]
        wanted = self._truth.kept(frame)
        wanted &= True if since is None else times >= since
        wanted &= True if until is None else times < until
        return wanted


def _column_names(column: ColumnSpec) -> tuple[str, ...]:
    """The names of a value column's elements in an export."""
    name = f"{column.role}.{column.name}" if column.name in _TAKEN else column.name
    return element_names(name, column.shape)


def _part(frame: Frame, chosen: Array, truth: Truth) -> dict[str, Cells]:
    """The chosen rows of one frame, by column name."""
    part = _metadata(frame, chosen)
    for index, column in enumerate(frame.schema.values):
        there = None
        if frame.validity is not None:
            there = frame.validity[chosen, index] == Validity.PRESENT
        flat = _elements(frame, column)[chosen]
        for position, name in enumerate(_column_names(column)):
            part[name] = (flat[:, position], there)
    labels = truth.of(frame)
    part["label"] = _objects([labels[index] for index in chosen])
    return part


def _metadata(frame: Frame, chosen: Array) -> dict[str, Cells]:
    count = len(chosen)
    part: dict[str, Cells] = {name: (frame.array(name)[chosen], None) for name in _PLAIN_META}
    identifiers = [row.tobytes().hex() for row in frame.array("id")[chosen]]
    traces = [row.tobytes().hex() if row.any() else None for row in frame.array("trace_id")[chosen]]
    clients = frame.strings("client_id").tolist()
    part["id"] = _objects(identifiers)
    part["trace_id"] = _objects(traces)
    part["client_id"] = _objects([clients[index].decode(errors="replace") or None for index in chosen])
    part["version"] = _objects([frame.schema.version] * count)
    for name, names in _NAMES.items():
        part[name] = _objects(
            [names.get(number, str(number)) for number in frame.array(name)[chosen].tolist()]
        )
    return part


def _elements(frame: Frame, column: ColumnSpec) -> Array:
    """A value column as [rows, elements]; text as objects."""
    values = frame.columns[column.name]
    if isinstance(values, Strings):
        texts = np.empty(len(values), object)
        texts[:] = [text.decode(errors="replace") for text in values.tolist()]
        return texts.reshape(frame.rows, column.width)
    return values.reshape(frame.rows, column.width)


def _objects(values: list[Any]) -> Cells:
    cells = np.empty(len(values), object)
    cells[:] = values
    return cells, np.array([value is not None for value in values], np.bool_)


def _present(cells: Cells) -> Array:
    values, there = cells
    return np.ones(len(values), np.bool_) if there is None else there


def _dtype(column: ColumnSpec) -> Any:
    return np.dtype(object) if column.dtype == "bytes" else np.dtype(column.dtype)


def _label_dtype(value: Value) -> Any:
    kinds: Mapping[type, str] = {bool: "|b1", int: "<i8", float: "<f8", str: "O"}
    return np.dtype(kinds[type(value)])


def _common(one: Any, other: Any) -> Any:
    """A dtype that holds both: text where either is text."""
    if one is None or one == other:
        return other
    if np.dtype(object) in (one, other):
        return np.dtype(object)
    return np.result_type(one, other)


def _cast(part: dict[str, Cells], name: str, types: Mapping[str, Any]) -> Cells:
    """A column of this part in its common dtype; all absent where the frame has no such column."""
    dtype = np.dtype(types[name])
    if name not in part:
        count = len(part["row"][0])
        return np.zeros(count, dtype), np.zeros(count, np.bool_)
    values, there = part[name]
    if dtype.hasobject:
        if values.dtype != object or name == "label":
            values = np.array([value if value is None else str(value) for value in values.tolist()], object)
        return values, there
    if values.dtype == object:
        values = np.array([0 if value is None else value for value in values], dtype)
    return values.astype(dtype), there


def _concatenated(cells: list[Cells], dtype: Any) -> Array:
    """One numpy column: NaN where a number is absent, None where an object is."""
    values = np.concatenate([values for values, _ in cells] or [np.empty(0, dtype)])
    there = np.concatenate([_present(each) for each in cells] or [np.empty(0, np.bool_)])
    if there.all():
        return values
    if values.dtype == object:
        values[~there] = None
        return values
    return np.where(there, values.astype(np.result_type(values.dtype, np.float32)), np.nan)


def _arrow_type(pa: Any, name: str, dtype: Any) -> Any:
    if name == "time":
        return pa.timestamp("ns", tz="UTC")
    return pa.string() if np.dtype(dtype) == object else pa.from_numpy_dtype(np.dtype(dtype))


def _arrow(pa: Any, cells: Cells, wanted: Any) -> Any:
    values, there = cells
    mask = None if there is None else ~there
    return pa.array(values, type=wanted, mask=mask)
