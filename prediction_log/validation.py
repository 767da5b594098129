"""What makes bytes a frame: every number of the head, the schema and the table, checked before it is used.

Rules: a claim about a size is compared with the bytes that are there before anything is made of that size;
what fails raises FrameError, nothing else. It makes no arrays; `frame.py` does, from what has passed here.
"""

import functools
import math
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from groundwork import decoders
from prediction_log import layout, record
from prediction_log.errors import FrameError
from prediction_log.layout import HEAD, TABLE_ENTRY, Head
from prediction_log.record import VARIABLE, ColumnSpec, Kind, Schema

MAX_SCHEMA_BYTES: Final = 1 << 20
MAX_DIMENSIONS: Final = 16
MAX_SEQUENCE: Final = 2**63 - 1

_REQUIRED: Final[Mapping[int, tuple[ColumnSpec, ...]]] = {
    Kind.PREDICTION: record.META,
    Kind.REJECT: record.reject_schema("").columns,
    Kind.PAIR: record.pair_schema("", "", "", ()).columns,
    Kind.LABEL: record.label_schema("").columns,
    Kind.LOSS: record.loss_schema().columns,
    Kind.DELETION: record.deletion_schema("").columns,
}


def read_head(view: memoryview) -> Head:
    """The head of these bytes; FrameError unless its numbers fit each other and the bytes' length."""
    if len(view) < HEAD.size:
        raise FrameError(f"a frame has at least {HEAD.size} bytes, found {len(view)}")
    head = Head._make(HEAD.unpack_from(view))
    if head.magic != layout.MAGIC:
        raise FrameError(f"a frame begins with {layout.MAGIC!r}, found {head.magic!r}")
    if head.version != layout.VERSION:
        raise FrameError(
            f"frame format {head.version} is not {layout.VERSION}; read it with a newer driftgate"
        )
    if head.length != len(view):
        raise FrameError(f"frame says it has {head.length} bytes, found {len(view)}: it was cut or padded")
    if head.head_bytes < HEAD.size or head.head_bytes % 8 or head.schema_bytes > MAX_SCHEMA_BYTES:
        raise FrameError(
            f"frame's head of {head.head_bytes} or schema of {head.schema_bytes} bytes is not one"
        )
    check_counts(head)
    return head


def check_schema(kind: int, schema: Schema) -> None:
    """FrameError unless every column can be laid out and those that `kind` requires are as they must be."""
    by_name = {column.name: column for column in schema.columns}
    if len(by_name) != len(schema.columns) or not by_name:
        raise FrameError("a schema has at least one column and each name once")
    for column in schema.columns:
        if column.dtype != VARIABLE and column.dtype not in record.FIXED_DTYPES:
            raise FrameError(f"column {column.name!r} has dtype {column.dtype!r}, which no frame has")
        if len(column.shape) > MAX_DIMENSIONS or not all(0 < size < 2**32 for size in column.shape):
            raise FrameError(f"column {column.name!r} has a row shape that cannot be: {column.shape[:4]}")
    for wanted in _REQUIRED.get(kind, ()):
        found = by_name.get(wanted.name)
        if found is None or (found.dtype, found.shape, found.role) != (
            wanted.dtype,
            wanted.shape,
            wanted.role,
        ):
            raise FrameError(f"a {Kind(kind).name} frame needs the column {wanted}, found {found}")


def check_counts(head: Head) -> None:
    """FrameError unless the head's sequences, rows, room and rate can be true together."""
    if not 0 <= head.first <= head.end <= MAX_SEQUENCE or head.rows + head.skipped > head.end - head.first:
        raise FrameError(
            f"frame of [{head.first}, {head.end}) cannot hold {head.rows} rows and {head.skipped} lost ones",
        )
    if head.rows > head.capacity or not (math.isfinite(head.rate) and 0.0 <= head.rate <= 1.0):
        raise FrameError(f"frame has {head.rows} rows of room for {head.capacity} at rate {head.rate}")


@functools.lru_cache(maxsize=64)
def parse_schema(kind: int, data: bytes) -> Schema:
    """The schema in these bytes; FrameError where it is none for `kind`. The last few are remembered."""
    try:
        schema = decoders.msgpack_of(Schema).decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FrameError(f"frame's schema cannot be read: {error}") from error
    check_schema(kind, schema)
    return schema


def read_table(view: memoryview, head: Head, schema: Schema) -> Iterator[memoryview]:
    """Each buffer in turn; before the first FrameError unless all lie in order, aligned and inside."""
    count = layout.buffer_count(schema)
    start = layout.aligned(head.head_bytes + head.schema_bytes)
    free = start + count * TABLE_ENTRY.size
    if head.buffers != count or free > head.length:
        raise FrameError(f"frame has {head.buffers} buffers in {head.length} bytes; its schema needs {count}")
    pieces = []
    for offset, length in TABLE_ENTRY.iter_unpack(view[start:free]):
        if offset < free or offset % 8 or offset + length > head.length:
            raise FrameError(f"frame's buffer at {offset} of {length} bytes is not inside, aligned, in order")
        free = offset + length
        pieces.append(view[offset:free])
    return iter(pieces)
