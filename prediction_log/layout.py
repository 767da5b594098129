"""Where everything lies in a frame: the head, the schema, the table of buffers, and the buffers themselves.

    head (80 bytes) | schema (msgpack) | pad | table of (offset u64, length u64) | buffer | pad | buffer | …

Rules:

* Everything is little-endian; every buffer begins at a multiple of 8 from the frame's first byte.
* Buffers come in the schema's column order: one for a fixed-width column; two for a variable-width one (u32
  offsets, `capacity * width + 1` of them, then the arena of bytes); last, the validity bytes (`capacity` rows
  of one byte per value column), of length 0 where they are not kept.
* A slot's buffer is a frame with room: `capacity` above `rows`, arenas longer than what they hold.

This file knows offsets; `frame.py` turns them into arrays and judges hostile bytes.
"""

import functools
import struct
import zlib
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from prediction_log.record import VARIABLE, ColumnSpec, Schema

MAGIC: Final = b"DGFR"
VERSION: Final = 1
HEAD: Final = struct.Struct("<4sBBHIIQQIIdQQIIII")
TABLE_ENTRY: Final = struct.Struct("<QQ")

FIRST_AT: Final = 16
END_AT: Final = 24
ROWS_AT: Final = 32
RATE_AT: Final = 40
SKIPPED_AT: Final = 48
_PIECE: Final = 1 << 18
FLAGS_AT: Final = 72
CRC_AT: Final = 76

VALIDITY_KEPT: Final = 1
"""Flag: the validity bytes count; without it every value is PRESENT, whatever those bytes say."""


class Head(NamedTuple):
    """The first 80 bytes of a frame, field by field, in order."""

    magic: bytes
    version: int
    kind: int
    head_bytes: int
    incarnation: int
    stream: int
    first: int
    end: int
    rows: int
    capacity: int
    rate: float
    skipped: int
    length: int
    schema_bytes: int
    buffers: int
    flags: int
    crc: int


class Layout(msgspec.Struct, frozen=True):
    """The places of one frame: its schema's bytes, each buffer's (offset, length), and its whole length."""

    schema: bytes
    table: tuple[tuple[int, int], ...]
    length: int


def aligned(size: int) -> int:
    """`size` rounded up to a multiple of 8."""
    return (size + 7) & ~7


def item_bytes(dtype: str) -> int:
    """Bytes of one element of a fixed-width dtype: the digit it ends with."""
    return int(dtype[-1])


def offset_count(column: ColumnSpec, capacity: int) -> int:
    """How many u32 offsets a variable-width column of `capacity` rows has."""
    return capacity * column.width + 1


def buffer_count(schema: Schema) -> int:
    """How many entries the table of a frame with this schema has."""
    return 1 + sum(2 if column.dtype == VARIABLE else 1 for column in schema.columns)


@functools.lru_cache(maxsize=256)
def schema_bytes(schema: Schema) -> bytes:
    """The schema as it stands in a frame."""
    return msgspec.msgpack.encode(schema)


def plan(schema: Schema, capacity: int, arenas: Sequence[int], *, validity: bool) -> Layout:
    """Lay out a frame of `capacity` rows; `arenas` gives each variable-width column's bytes, in order."""
    sizes: list[int] = []
    arena = iter(arenas)
    for column in schema.columns:
        if column.dtype == VARIABLE:
            sizes += [4 * offset_count(column, capacity), next(arena)]
        else:
            sizes.append(capacity * column.width * item_bytes(column.dtype))
    sizes.append(capacity * len(schema.values) if validity else 0)
    return place(schema_bytes(schema), sizes)


def place(schema: bytes, sizes: Sequence[int]) -> Layout:
    """Give each buffer its place behind the head, the schema and the table."""
    at = aligned(HEAD.size + len(schema)) + TABLE_ENTRY.size * len(sizes)
    table = []
    for size in sizes:
        table.append((at, size))
        at = aligned(at + size)
    return Layout(schema, tuple(table), at)


def preamble(head: Head, layout: Layout) -> bytes:
    """The bytes of a frame before its first buffer."""
    schema = layout.schema.ljust(aligned(HEAD.size + len(layout.schema)) - HEAD.size, b"\0")
    return HEAD.pack(*head) + schema + b"".join(TABLE_ENTRY.pack(*entry) for entry in layout.table)


def assemble(head: Head, layout: Layout, buffers: Sequence[bytes | memoryview]) -> bytes:
    """The whole frame, with its checksum: zlib.crc32 of all its bytes, the checksum's own four being zero."""
    pieces: list[bytes | memoryview] = [preamble(head._replace(crc=0), layout)]
    for buffer in buffers:
        pieces += [buffer, bytes(-len(buffer) % 8)]
    crc = functools.reduce(lambda value, piece: zlib.crc32(piece, value), pieces, 0)
    pieces[0] = preamble(head._replace(crc=crc), layout)
    if layout.length > _PIECE:
        # Of bytes alone, join lets other threads run; and copies of this size are no wait for them.
        pieces = [bytes(piece[at : at + _PIECE]) for piece in pieces for at in range(0, len(piece), _PIECE)]
    return b"".join(pieces)


def checksum(frame: memoryview) -> int:
    """The checksum that `assemble` would have written for these bytes."""
    value = zlib.crc32(frame[:CRC_AT])
    value = zlib.crc32(bytes(HEAD.size - CRC_AT), value)
    return zlib.crc32(frame[HEAD.size :], value)
