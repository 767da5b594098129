"""MLflow's scoring protocol: data frames, rows or columns in, predictions out.

    {"dataframe_split": {"columns": […], "data": [[…], …]}}     {"dataframe_records": [{…}, …]}
    {"instances": [ROW, …]}                                      {"inputs": TENSORS, rows, or one row}
    text/csv, whose first line names the columns; without names, as SageMaker's serializers write it, where
    its first line has nothing but numbers (other than 0, 1, 2 …, which is how pandas names columns)

→   {"predictions": …}: the output, or an object of columns where there are several.

Rules: exactly one of the four fields; `params` may be an object and is not used; other fields are ignored.
Types are not coerced, but a whole number is read as a float, and a text of a data frame that is nothing but a
number as that one, as MLflow's server casts columns to its signature's types (it makes true of "false" too,
and 3 of 3.7; not so here). Further columns are dropped. Content types are `application/json` (also when there
is none) and `text/csv`, with no parameter but `charset=utf-8`; any other is 415. Errors are {"error_code",
"message"}.
"""

import csv
import io
import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import msgspec

from gateway.bulk import check_absent, check_table
from gateway.errors import EncodingError, InvalidInputError, MalformedError
from gateway.inference import Array, InferenceRequest
from gateway.interface import Interface, rows_of
from gateway.protocols.codec import Answer, Headers
from gateway.protocols.content_type import ContentType, content_type
from gateway.protocols.tabular import from_columns, from_rows, from_table, read, to_columns
from gateway.responses import JSON, Header
from groundwork import decoders
from groundwork.elements import element_names
from registry_client.signature import Datatype

FORMS: Final = ("dataframe_split", "dataframe_records", "instances", "inputs")
_UTF8: Final = ("utf-8", "utf8")
_WORDS: Final = ("NA", "N/A", "n/a", "#N/A", "#N/A N/A", "#NA", "<NA>", "NULL", "null", "None")
_MISSING: Final = frozenset(("", *_WORDS, "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"))
"""What stands for no number in CSV, besides NaN: as pandas, and so MLflow's server, reads it; R writes NA."""
_TRUTH: Final[Mapping[str, bool]] = MappingProxyType({"true": True, "false": False, "1": True, "0": False})
_FLOATS: Final = frozenset({Datatype.FP16, Datatype.BF16, Datatype.FP32, Datatype.FP64})
_NO_NUMBERS: Final = frozenset({Datatype.BYTES, Datatype.BOOL})
_ERROR_CODES: Final[Mapping[int, str]] = MappingProxyType(
    {
        400: "BAD_REQUEST",
        401: "UNAUTHENTICATED",
        403: "PERMISSION_DENIED",
        404: "RESOURCE_DOES_NOT_EXIST",
        405: "BAD_REQUEST",
        413: "BAD_REQUEST",
        415: "BAD_REQUEST",
        429: "REQUEST_LIMIT_EXCEEDED",
        503: "TEMPORARILY_UNAVAILABLE",
    }
)


class SplitFrame(msgspec.Struct, gc=False):
    """A data frame as pandas writes it with orient="split"; the index is not used."""

    data: list[list[Any]]
    columns: list[str | int] | None = None


class ScoringDocument(msgspec.Struct, gc=False):
    """A request; null is a field that is not there."""

    dataframe_split: SplitFrame | None = None
    dataframe_records: list[dict[str, Any]] | None = None
    instances: list[Any] | None = None
    inputs: Any = None
    params: dict[str, Any] | None = None


_DECODER: Final = decoders.json_of(ScoringDocument)
_encode: Final = msgspec.json.Encoder().encode


def fault(status: int, _code: str, sentence: str, /) -> bytes:
    """The body of an error."""
    return _encode({"error_code": _ERROR_CODES.get(status, "INTERNAL_ERROR"), "message": sentence})


class MLflow:
    """The protocol's codec."""

    views = False
    pieces = None
    fault = staticmethod(fault)

    def decode(self, model: Interface, headers: Headers, body: bytes) -> InferenceRequest:
        """The request in `body`, checked against the model's signature; a Refusal says what is wrong."""
        kind = content_type(headers.get(b"content-type"))
        check_charset(kind)
        if kind.media == "text/csv":
            feeds = _from_csv(model, body)
        elif kind.media in ("application/json", ""):
            feeds = feeds_of(model, scoring_document(body))
        else:
            raise EncodingError(f"Content-Type is {kind.media[:80]!r}; wanted application/json or text/csv")
        return InferenceRequest(feeds, rows_of(model, feeds))

    def encode(self, request: InferenceRequest, answer: Answer) -> tuple[tuple[Header, ...], bytes]:
        """Headers (content type first, no content length) and body of the answer."""
        del request
        return (JSON,), _encode({"predictions": to_columns(answer.model.outputs, answer.outputs)})


CODEC: Final = MLflow()


def check_charset(kind: ContentType) -> None:
    """EncodingError for a parameter that changes how the body is to be read."""
    for name, value in kind.parameters.items():
        if name != "charset" or value.lower() not in _UTF8:
            raise EncodingError(
                f"Content-Type has {name[:40]}={value[:40]!r}; the only parameter read is charset=utf-8"
            )


def scoring_document(body: bytes) -> ScoringDocument:
    """The document in `body`, not yet looked into."""
    return read(_DECODER, body, "a scoring request")


def feeds_of(model: Interface, document: ScoringDocument) -> dict[str, Array]:
    """The inputs of a model in whichever form the document has them."""
    forms = [name for name in FORMS if getattr(document, name) is not None]
    if len(forms) != 1:
        found = " and ".join(forms) if forms else "none of them"
        raise MalformedError(f"the request wants exactly one of {', '.join(FORMS)}; found {found}")
    if document.dataframe_split is not None:
        return from_split(model, document.dataframe_split)
    if document.dataframe_records is not None:
        return from_records(model, document.dataframe_records)
    if document.instances is not None:
        return from_rows(model, document.instances)
    return _from_inputs(model, document.inputs)


def _from_inputs(model: Interface, inputs: Any) -> dict[str, Array]:
    """The inputs of a model in whole tensors, or, as MLflow's client writes lists of objects, in rows.

    An object without any list is one row.
    """
    if isinstance(inputs, list) and any(isinstance(one, dict) for one in inputs):
        return from_rows(model, inputs, what="inputs")
    if isinstance(inputs, dict) and inputs and not any(isinstance(one, list) for one in inputs.values()):
        return from_rows(model, [inputs], what="inputs")
    return from_columns(model, inputs)


def from_split(model: Interface, frame: SplitFrame) -> dict[str, Array]:
    """The inputs of a model in a data frame of columns and rows."""
    names = None if frame.columns is None else [str(name) for name in frame.columns]
    width = len(frame.data[0]) if names is None and frame.data else len(names or ())
    for place, row in enumerate(frame.data):
        if len(row) != width:
            raise InvalidInputError(f"row {place} of the table has {len(row)} cells, wanted {width}")
    return _from_frame(model, names, frame.data)


def from_records(model: Interface, records: list[dict[str, Any]]) -> dict[str, Array]:
    """The inputs of a model in rows that name their cells; a cell that is not there is null.

    TooLargeError where too many of them are not.
    """
    names = list(dict.fromkeys(name for record in records for name in record))
    check_absent(len(names) * len(records) - sum(map(len, records)))
    return _from_frame(model, names, [[record.get(name) for name in names] for record in records])


def _from_frame(model: Interface, names: Sequence[str] | None, rows: list[list[Any]]) -> dict[str, Array]:
    """The inputs of a model in a data frame, whose texts are read as numbers where they do not do."""
    try:
        return from_table(model, names, rows)
    except InvalidInputError:
        kinds = _kinds(model, names or ("",) * len(rows[0] if rows else ()))
        cast = [[_cast(kind, cell) for kind, cell in zip(kinds, row, strict=True)] for row in rows]
        if cast == rows:
            raise
    return from_table(model, names, cast)


def _cast(kind: Datatype, cell: Any) -> Any:
    """The number that a text in a column of numbers is; any other cell as it is."""
    if not isinstance(cell, str) or kind in _NO_NUMBERS or "_" in cell:
        return cell
    try:
        value = float(cell) if kind in _FLOATS else int(cell)
    except ValueError:
        return cell
    return value if kind not in _FLOATS or math.isfinite(value) else cell


def _from_csv(model: Interface, body: bytes) -> dict[str, Array]:
    check_table(body)
    text = io.TextIOWrapper(io.BytesIO(body), encoding="utf-8-sig", newline="")
    try:
        lines = (line for line in csv.reader(text, strict=True) if line)
        names = next(lines, None)
        if names is None:
            raise MalformedError("the body is empty; wanted CSV whose first line names the columns")
        named = names if _are_names(names) else None
        table = itertools.chain([] if named else [names], lines)
        rows = _cells(table, names, _cell_readers(model, named or ("",) * len(names)))
    except (UnicodeDecodeError, csv.Error) as error:
        raise MalformedError(f"the body is not CSV in UTF-8: {error}") from None
    return from_table(model, named, rows)


def _are_names(line: Sequence[str]) -> bool:
    """Whether a table's first line names its columns; else it is a row as all others, with some number."""
    cells = [_number(float, cell) for cell in line]
    return (
        any(isinstance(cell, str) for cell in cells)
        or (any(map(str.strip, line)) and all(cell is None for cell in cells))
        or all(cell.strip() == str(place) for place, cell in enumerate(line))
    )


def _cells(
    lines: Iterable[list[str]], names: Sequence[str], readers: Sequence[Callable[[str], Any]]
) -> list[list[Any]]:
    """The values of a table's cells; its text is let go of line by line, for it is as large again."""
    rows = []
    for place, line in enumerate(lines):
        if len(line) != len(names):
            raise InvalidInputError(f"row {place} of the table has {len(line)} cells, wanted {len(names)}")
        rows.append([read(cell) for read, cell in zip(readers, line, strict=True)])
    return rows


def _cell_readers(model: Interface, names: Sequence[str]) -> list[Callable[[str], Any]]:
    """What reads each column."""
    return [_cell_reader(kind) for kind in _kinds(model, names)]


def _kinds(model: Interface, names: Sequence[str]) -> list[Datatype]:
    """The datatype of each column; texts where it is none of the model's several inputs."""
    kinds = {
        element: tensor.datatype
        for tensor in model.inputs.values()
        for element in (tensor.name, *element_names(tensor.name, tensor.row_shape or ()))
    }
    only = next(iter(model.inputs.values())).datatype if len(model.inputs) == 1 else Datatype.BYTES
    return [kinds.get(name, only) for name in names]


def _cell_reader(datatype: Datatype) -> Callable[[str], Any]:
    """Turns a cell into a value of this datatype; what it cannot read stays text, which is refused later."""
    if datatype is Datatype.BYTES:
        return str
    if datatype is Datatype.BOOL:
        return lambda cell: _TRUTH.get(cell.strip().lower(), cell)
    number: Callable[[str], Any] = float if datatype in _FLOATS else _whole
    return lambda cell: _number(number, cell)


def _number(number: Callable[[str], Any], cell: str) -> Any:
    if cell.strip() in _MISSING:
        return None
    if "_" in cell:  # Python's own way to write 1000 as 1_000, and nobody else's
        return cell
    try:
        return number(cell)
    except ValueError:
        return cell


def _whole(cell: str) -> Any:
    """A whole number, or a float for `from_values` to judge."""
    try:
        return int(cell)
    except ValueError:
        return float(cell)
