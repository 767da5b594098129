"""The frame: what goes in comes out, and nothing hostile gets further than FrameError."""

import resource
import struct
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from prediction_log import frame, layout, record
from prediction_log.errors import FrameError
from prediction_log.frame import Frame, Strings, decode, encode
from prediction_log.record import ColumnSpec, Schema, Validity
from tests.prediction_log import samples

UNKNOWN_KIND = 77

_names = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=5, unique=True)
_shapes = st.lists(st.integers(1, 3), max_size=3).map(tuple)


@st.composite
def frames(draw: st.DrawFn) -> tuple[bytes, dict[str, Any], int]:
    """(bytes, columns, rows) of a frame of an unknown kind, whose columns may be anything."""
    rows = draw(st.integers(0, 4))
    columns = []
    values: dict[str, Any] = {}
    for name in draw(_names):
        dtype = draw(st.sampled_from([*sorted(record.FIXED_DTYPES), "bytes"]))
        spec = ColumnSpec(name, dtype, draw(_shapes), draw(st.sampled_from(["input", "output", "meta"])))
        columns.append(spec)
        if dtype == "bytes":
            size = rows * spec.width
            values[name] = draw(st.lists(st.binary(max_size=6), min_size=size, max_size=size))
        else:
            values[name] = draw(hnp.arrays(dtype, (rows, *spec.shape)))
    schema = Schema("m", "1", "", tuple(columns))
    validity = draw(st.none() | hnp.arrays("|u1", (rows, len(schema.values))))
    body = encode(
        UNKNOWN_KIND, schema, values,
        rows=rows, incarnation=3, stream=4, first=draw(st.integers(0, 2**40)), rate=0.25,
        skipped=draw(st.integers(0, 2**20)), validity=validity,
    )  # fmt: skip
    return body, values, rows


def assert_equal(found: Frame, values: dict[str, Any]) -> None:
    """Every column of the frame holds exactly these values."""
    for name, wanted in values.items():
        column = found.columns[name]
        if isinstance(column, Strings):
            assert column.tolist() == wanted
            assert list(column) == [column[index] for index in range(len(column))]
        else:
            np.testing.assert_array_equal(column, wanted)


@given(frames())
def test_a_frame_decodes_to_what_was_encoded(made: tuple[bytes, dict[str, Any], int]) -> None:
    """Every column, dtype, shape and string survives encoding, and compacting changes nothing."""
    body, values, rows = made
    found = decode(body)
    assert (found.kind, found.rows, found.incarnation, found.stream, found.rate) == (
        UNKNOWN_KIND, rows, 3, 4, 0.25,
    )  # fmt: skip
    assert_equal(found, values)
    assert found.end == found.first + found.skipped + rows
    again = decode(frame.compact(body))
    assert_equal(again, values)
    assert (again.first, again.end, again.skipped) == (found.first, found.end, found.skipped)


@given(frames(), st.data())
def test_a_changed_frame_is_an_error_or_a_frame(
    made: tuple[bytes, dict[str, Any], int], data: st.DataObject
) -> None:
    """Whatever bytes are changed, decoding gives a frame that can be read whole, or FrameError."""
    body = bytearray(made[0])
    body[layout.CRC_AT : layout.CRC_AT + 4] = bytes(4)  # otherwise the checksum would answer every question
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at] = data.draw(st.integers(0, 255))
    read_whole(bytes(body))


@given(frames(), st.data())
def test_numbers_of_the_head_and_table_are_not_believed(
    made: tuple[bytes, dict[str, Any], int], data: st.DataObject
) -> None:
    """A head or table with extreme numbers never makes the decoder allocate, loop or read outside."""
    body = bytearray(made[0])
    body[layout.CRC_AT : layout.CRC_AT + 4] = bytes(4)
    head = layout.Head._make(layout.HEAD.unpack_from(body))
    table = layout.aligned(head.head_bytes + head.schema_bytes)
    places = [*range(8, layout.CRC_AT, 4), *range(table, min(len(body) - 8, table + head.buffers * 16), 8)]
    at = data.draw(st.sampled_from(places))
    number = data.draw(st.sampled_from([0, 1, 7, 8, 2**16, 2**31, 2**32 - 1, 2**63, 2**64 - 1]))
    if at >= layout.HEAD.size:
        struct.pack_into("<Q", body, at, number)
    else:
        struct.pack_into("<I", body, at, number & 0xFFFF_FFFF)
    read_whole(bytes(body))


@given(frames(), st.data())
def test_a_cut_frame_is_an_error(made: tuple[bytes, dict[str, Any], int], data: st.DataObject) -> None:
    """No proper part of a frame, and no frame with something behind it, is a frame."""
    body = made[0]
    with pytest.raises(FrameError):
        decode(body[: data.draw(st.integers(0, len(body) - 1))])
    with pytest.raises(FrameError):
        decode(body + bytes(8))


@given(st.binary(max_size=300))
def test_garbage_is_an_error(garbage: bytes) -> None:
    """Bytes that never were a frame raise FrameError, also behind a good magic."""
    for body in (garbage, layout.MAGIC + b"\x01" + garbage):
        with pytest.raises(FrameError):
            decode(body)


def read_whole(body: bytes) -> None:
    """Decode, and touch every value of what decodes."""
    try:
        found = decode(body)
    except FrameError:
        return
    for column in found.columns.values():
        _ = column.tolist()
    assert len(frame.compact(body)) <= 2 * len(body) + 64


def test_any_changed_byte_breaks_the_checksum() -> None:
    """With its checksum, a frame with one byte changed anywhere is never taken for the same frame."""
    body = samples.make_frame()
    for at in range(len(body)):
        if layout.CRC_AT <= at < layout.CRC_AT + 4:
            continue
        changed = bytearray(body)
        changed[at] ^= 0x41
        with pytest.raises(FrameError):
            decode(bytes(changed))


def test_decoding_copies_no_values() -> None:
    """Columns are views of the buffer that was decoded, aligned for their dtype."""
    body = bytearray(samples.make_frame())
    found = decode(body)
    found.array("amount")[0, 0] = 1234.5
    assert decode(body, verify=False).array("amount")[0, 0] == 1234.5
    assert all(column.flags.aligned for column in found.columns.values() if isinstance(column, np.ndarray))


def test_a_claimed_size_is_not_allocated() -> None:
    """A head that claims four billion rows of room is refused without memory for them."""
    body = bytearray(samples.make_frame())
    struct.pack_into("<II", body, layout.ROWS_AT, 2**32 - 1, 2**32 - 1)
    struct.pack_into("<QQ", body, layout.FIRST_AT, 0, 2**33)
    struct.pack_into("<I", body, layout.CRC_AT, 0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(FrameError, match="bytes"):
        decode(bytes(body))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


def test_unknown_schema_keys_are_ignored() -> None:
    """A later version may add keys to the schema and its columns; this one reads past them."""
    plain = {"name": "x", "dtype": "<f4", "shape": [], "role": "input", "colour": "red"}
    written = msgspec.msgpack.encode(
        {"model": "m", "version": "1", "digest": "", "columns": [plain], "mood": 3},
    )
    places = layout.place(written, [4, 0])
    head = layout.Head(
        layout.MAGIC, 1, UNKNOWN_KIND, 80, 1, 1, 0, 1, 1, 1, 1.0, 0, places.length, len(written), 2, 0, 0
    )
    found = decode(layout.assemble(head, places, [struct.pack("<f", 2.5), b""]))
    assert found.array("x").tolist() == [2.5]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": record.Kind.LABEL}, "needs the column"),
        ({"columns": {}}, "was not given"),
        ({"rate": float("nan")}, "rate"),
        ({"end": 1}, "cannot hold"),
        ({"columns": samples.columns(0, 3) | {"amount": np.zeros((3, 4))}}, "does not fit"),
        ({"columns": samples.columns(0, 3) | {"city": [b""]}}, "1 values, wanted 3"),
        ({"schema": record.Schema("m", "1", "", ())}, "at least one column"),
    ],
)
def test_what_cannot_be_a_frame_is_not_encoded(change: dict[str, Any], message: str) -> None:
    """Encoding refuses columns that do not fit their schema, and schemas that do not fit their kind."""
    with pytest.raises(FrameError, match=message):
        samples.make_frame(**change)


def test_validity_travels_with_the_values() -> None:
    """A validity is kept per row and value column, and dropped by compacting when all is present."""
    validity = np.zeros((3, 4), np.uint8)
    assert decode(frame.compact(samples.make_frame(validity=validity))).validity is None
    validity[1, 2] = Validity.WITHHELD
    found = decode(frame.compact(samples.make_frame(validity=validity))).validity
    assert found is not None
    assert found.tolist() == validity.tolist()


def test_asking_for_a_column_of_the_other_width_is_an_error() -> None:
    """`array` and `strings` name what there is when the column is missing or of the other sort."""
    found = decode(samples.make_frame())
    with pytest.raises(FrameError, match="no fixed-width column 'city'"):
        found.array("city")
    with pytest.raises(FrameError, match="no variable-width column 'amount'"):
        found.strings("amount")
    with pytest.raises(IndexError):
        found.strings("city")[3]
