"""One format for what is in a segment and for what is in a slot: columns by name behind a fixed head.

Rules:

* Decoding copies no values: arrays are views of the buffer given, valid as long as it is.
* Every offset, length and count is checked against the bytes that are there before anything is made of it;
  whatever the bytes, `decode` gives a Frame or raises FrameError, and allocates no more than a small multiple
  of their length.
* A kind, column or schema key that this version does not know is decoded like any other: the reader skips it.

It knows neither files nor who sends a frame. `docs/formats.md` describes the bytes for another decoder.
"""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from prediction_log import layout
from prediction_log.errors import FrameError
from prediction_log.layout import HEAD, Head
from prediction_log.record import VARIABLE, ColumnSpec, Schema
from prediction_log.validation import check_counts, check_schema, parse_schema, read_head, read_table

Buffer: TypeAlias = bytes | bytearray | memoryview
Array: TypeAlias = NDArray[Any]


class Strings:
    """The values of a variable-width column, row-major: byte strings in one arena, made when asked for."""

    __slots__ = ("data", "offsets")

    def __init__(self, offsets: NDArray[np.uint32], data: memoryview) -> None:
        self.offsets = offsets
        self.data = data

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> bytes:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return bytes(self.data[int(self.offsets[index]) : int(self.offsets[index + 1])])

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.tolist())

    def tolist(self) -> list[bytes]:
        """All values, each a bytes object of its own."""
        ends: list[int] = self.offsets.tolist()
        held = bytes(self.data[: ends[-1]])
        return [held[start:end] for start, end in itertools.pairwise(ends)]


Column: TypeAlias = Array | Strings


class Frame(msgspec.Struct, frozen=True, eq=False):
    """One decoded frame.

    It covers the sequence numbers [first, end) of its stream: `rows` are here, `skipped` were lost, the rest
    were not drawn by the sampling `rate`. `kind` is a Kind or a number of a later version. Fixed-width
    columns are arrays [rows, *shape]; variable-width ones Strings of rows * width values. `validity` is uint8
    [rows, value columns], or None where every value is PRESENT.
    """

    kind: int
    incarnation: int
    stream: int
    first: int
    end: int
    rows: int
    rate: float
    skipped: int
    schema: Schema
    columns: Mapping[str, Column]
    validity: NDArray[np.uint8] | None = None

    def array(self, name: str) -> Array:
        """The fixed-width column `name`; FrameError when there is none."""
        column = self.columns.get(name)
        if not isinstance(column, np.ndarray):
            raise FrameError(f"frame has no fixed-width column {name!r}; it has {sorted(self.columns)}")
        return column

    def strings(self, name: str) -> Strings:
        """The variable-width column `name`; FrameError when there is none."""
        column = self.columns.get(name)
        if not isinstance(column, Strings):
            raise FrameError(f"frame has no variable-width column {name!r}; it has {sorted(self.columns)}")
        return column


def encode(  # noqa: PLR0913  each is one field of the head
    kind: int,
    schema: Schema,
    columns: Mapping[str, Any],
    *,
    rows: int,
    incarnation: int,
    stream: int,
    first: int,
    end: int | None = None,
    rate: float = 1.0,
    skipped: int = 0,
    validity: Array | None = None,
) -> bytes:
    """A compact frame with its checksum; `end` defaults to first + skipped + rows.

    A fixed-width column is anything numpy broadcasts to [rows, *shape]; a variable-width one a sequence of
    rows * width byte strings. FrameError when the columns do not fit the schema or the schema its kind.
    """
    check_schema(kind, schema)
    buffers: list[bytes] = []
    for column in schema.columns:
        if column.name not in columns:
            raise FrameError(f"column {column.name!r} was not given; wanted every column of the schema")
        buffers += _column_buffers(column, columns[column.name], rows)
    flags = 0 if validity is None else layout.VALIDITY_KEPT
    buffers.append(
        b"" if validity is None else _exactly(validity, "|u1", (rows, len(schema.values)), "validity")
    )
    places = layout.place(layout.schema_bytes(schema), [len(buffer) for buffer in buffers])
    end = first + skipped + rows if end is None else end
    head = Head(
        layout.MAGIC, layout.VERSION, kind, HEAD.size, incarnation, stream, first, end, rows, rows,
        rate, skipped, places.length, len(places.schema), len(buffers), flags, 0,
    )  # fmt: skip
    check_counts(head)
    return layout.assemble(head, places, buffers)


def decode(buffer: Buffer, *, verify: bool = True) -> Frame:
    """The frame that is exactly these bytes, without copying its values; FrameError for anything else.

    `verify=False` leaves the checksum out, for bytes this process has just made. Some 30 µs for 12 columns.
    """
    view = memoryview(buffer).cast("B")
    head = read_head(view)
    if verify and head.crc and head.crc != layout.checksum(view):
        raise FrameError("frame's bytes do not match its checksum: it was changed after it was written")
    schema = parse_schema(head.kind, bytes(view[head.head_bytes : head.head_bytes + head.schema_bytes]))
    table = read_table(view, head, schema)
    columns: dict[str, Column] = {}
    for column in schema.columns:
        if column.dtype == VARIABLE:
            columns[column.name] = _strings(head, column, next(table), next(table))
        else:
            columns[column.name] = _fixed(head, column, next(table))
    return Frame(
        kind=head.kind,
        incarnation=head.incarnation,
        stream=head.stream,
        first=head.first,
        end=head.end,
        rows=head.rows,
        rate=head.rate,
        skipped=head.skipped,
        schema=schema,
        columns=columns,
        validity=_validity(head, schema, next(table)),
    )


def compact(buffer: Buffer) -> bytes:
    """The same frame without its room and with its checksum: the bytes that go into a segment.

    One copy of what is used; no walk over rows. FrameError when the buffer is not a frame.
    """
    frame = decode(buffer, verify=False)
    view = memoryview(buffer).cast("B")
    head = read_head(view)
    buffers: list[memoryview] = []
    for column in frame.columns.values():
        if isinstance(column, Strings):
            buffers += [column.offsets.data.cast("B"), column.data[: int(column.offsets[-1])]]
        else:
            buffers.append(column.reshape(-1).view(np.uint8).data)
    kept = frame.validity is not None and bool(frame.validity.any())
    buffers.append(
        frame.validity.reshape(-1).data if kept and frame.validity is not None else memoryview(b"")
    )
    places = layout.place(
        bytes(view[head.head_bytes : head.head_bytes + head.schema_bytes]),
        [len(piece) for piece in buffers],
    )
    return layout.assemble(
        head._replace(
            head_bytes=HEAD.size,
            capacity=head.rows,
            length=places.length,
            flags=layout.VALIDITY_KEPT if kept else 0,
        ),
        places,
        buffers,
    )


def _fixed(head: Head, column: ColumnSpec, data: memoryview) -> Array:
    wanted = head.capacity * column.width * layout.item_bytes(column.dtype)
    if len(data) != wanted:
        raise FrameError(f"column {column.name!r} has {len(data)} bytes, wanted {wanted}")
    count = head.rows * column.width
    if column.dtype == "|b1" and count and np.frombuffer(data, "|u1", count).max() > 1:
        raise FrameError(f"column {column.name!r} holds a truth value that is neither 0 nor 1")
    return _view(data, column.dtype, count).reshape((head.rows, *column.shape))


def _strings(head: Head, column: ColumnSpec, offsets: memoryview, arena: memoryview) -> Strings:
    if len(offsets) != 4 * layout.offset_count(column, head.capacity):
        raise FrameError(
            f"column {column.name!r} has {len(offsets)} bytes of offsets for {head.capacity} rows"
        )
    ends = _view(offsets, "<u4", layout.offset_count(column, head.rows))
    if ends[0] != 0 or ends[-1] > len(arena) or bool((ends[1:] < ends[:-1]).any()):
        raise FrameError(
            f"column {column.name!r} has offsets that do not rise from 0 to at most {len(arena)}"
        )
    return Strings(ends, arena)


def _validity(head: Head, schema: Schema, data: memoryview) -> NDArray[np.uint8] | None:
    width = len(schema.values)
    if len(data) not in {0, head.capacity * width}:
        raise FrameError(f"frame has {len(data)} validity bytes, wanted none or {head.capacity * width}")
    if not head.flags & layout.VALIDITY_KEPT:
        return None
    if not data and head.rows * width:
        raise FrameError("frame says that its validity is kept, and has none")
    return _view(data, "|u1", head.rows * width).reshape((head.rows, width))


def _view(data: memoryview, dtype: str, count: int) -> Array:
    """`count` values from the start of `data`; numpy has no view of nothing."""
    return np.frombuffer(data, dtype, count) if count else np.empty(0, dtype)


def _column_buffers(column: ColumnSpec, values: Any, rows: int) -> list[bytes]:
    if column.dtype != VARIABLE:
        return [_exactly(values, column.dtype, (rows, *column.shape), column.name)]
    if len(values) != rows * column.width:
        raise FrameError(f"column {column.name!r} has {len(values)} values, wanted {rows * column.width}")
    ends = np.zeros(len(values) + 1, "<u8")
    np.cumsum([len(value) for value in values], out=ends[1:])
    if ends[-1] >= 2**32:
        raise FrameError(f"column {column.name!r} has {ends[-1]} bytes in one frame, the most is {2**32 - 1}")
    return [ends.astype("<u4").tobytes(), b"".join(values)]


def _exactly(values: Any, dtype: str, shape: tuple[int, ...], name: str) -> bytes:
    """The values' bytes once broadcast to `shape`."""
    try:
        return np.broadcast_to(np.asarray(values, dtype), shape).tobytes()
    except (ValueError, TypeError, OverflowError) as error:
        raise FrameError(f"column {name!r} does not fit {dtype} {list(shape)}: {error}") from error
