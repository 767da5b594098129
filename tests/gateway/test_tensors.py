"""Tensors between numpy and the wire."""

import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bulk import MOST_STRINGS
from gateway.errors import InvalidInputError, TooLargeError
from gateway.pieces import PIECE_BYTES
from gateway.tensors import Tensor
from registry_client.signature import Datatype, TensorSpec

NUMBERS = [datatype for datatype in Datatype if datatype not in (Datatype.BYTES, Datatype.BF16)]
JSON_DATATYPES = [*NUMBERS, Datatype.BYTES]


def tensor(datatype: Datatype, shape: tuple[int, ...] = (-1, -1)) -> Tensor:
    """A tensor named x."""
    return Tensor(TensorSpec("x", datatype, shape))


def raw(value: Any) -> msgspec.Raw:
    """The value as it stands in a request."""
    return msgspec.Raw(msgspec.json.encode(value))


def elements(datatype: Datatype) -> st.SearchStrategy[Any]:
    """Values that a datatype holds exactly."""
    if datatype is Datatype.BOOL:
        return st.booleans()
    if datatype is Datatype.BYTES:
        return st.text(max_size=12)
    kind = tensor(datatype).dtype
    if kind.kind == "f":
        return st.floats(width=8 * kind.itemsize, allow_nan=False, allow_infinity=False)  # type: ignore[arg-type]  # 16, 32, 64
    limits = np.iinfo(kind)
    return st.integers(int(limits.min), int(limits.max))


@st.composite
def filled(draw: st.DrawFn, datatype: Datatype) -> tuple[list[int], list[Any]]:
    """A shape of two dimensions and the values that fill it."""
    shape = [draw(st.integers(1, 4)), draw(st.integers(1, 4))]
    size = shape[0] * shape[1]
    return shape, draw(st.lists(elements(datatype), min_size=size, max_size=size))


@pytest.mark.parametrize("datatype", JSON_DATATYPES)
@given(data=st.data())
def test_json_round_trip(datatype: Datatype, data: st.DataObject) -> None:
    """Every value of every datatype comes back from JSON as it went in, sent flat or nested."""
    shape, values = data.draw(filled(datatype))
    nested = [values[start : start + shape[1]] for start in range(0, len(values), shape[1])]
    codec = tensor(datatype)
    for sent in (values, nested):
        array = codec.from_json(raw(sent), shape)
        assert array.shape == tuple(shape)
        assert codec.to_json(array) == values


@pytest.mark.parametrize("datatype", JSON_DATATYPES)
@given(data=st.data())
def test_binary_round_trip(datatype: Datatype, data: st.DataObject) -> None:
    """Every value of every datatype comes back from raw bytes as it went in."""
    shape, values = data.draw(filled(datatype))
    codec = tensor(datatype)
    sent = codec.to_binary(codec.from_json(raw(values), shape))
    array = codec.from_binary(memoryview(sent), shape)
    assert array.shape == tuple(shape)
    assert codec.to_json(array) == values


@pytest.mark.parametrize("datatype", ["FP32", "INT64", "BOOL", "BYTES"])
@pytest.mark.parametrize("count", [1, 3, PIECE_BYTES // 8, PIECE_BYTES + 1])
def test_pieces_are_the_bytes(datatype: str, count: int) -> None:
    """However long a tensor is, its pieces together are its bytes, and none is longer than it may be."""
    codec = tensor(Datatype(datatype), (-1,))
    values = np.arange(count) % 2
    array = values.astype(str).astype(object) if datatype == "BYTES" else values.astype(codec.dtype)
    for strided in (array, np.repeat(array, 2)[::2]):
        pieces = codec.to_pieces(strided)
        assert b"".join(pieces) == codec.to_binary(array)
        assert datatype == "BYTES" or max(map(len, pieces)) <= PIECE_BYTES


@pytest.mark.parametrize("datatype", [d for d in NUMBERS if tensor(d).dtype.kind in "iu"])
def test_integers_stay_in_range(datatype: Datatype) -> None:
    """One more than the greatest and one less than the least integer are refused, never wrapped."""
    codec = tensor(datatype, (-1,))
    limits = np.iinfo(codec.dtype)
    for value in (int(limits.max) + 1, int(limits.min) - 1, 2**70):
        with pytest.raises(InvalidInputError, match=r"range of|is not"):
            codec.from_json(raw([value]), [1])
    assert codec.from_json(raw([int(limits.max)]), [1]).tolist() == [int(limits.max)]


@pytest.mark.parametrize(
    ("datatype", "data"),
    [
        (Datatype.FP32, ["1.5"]),
        (Datatype.FP32, [True]),
        (Datatype.FP32, [1e39]),
        (Datatype.FP16, [70000.0]),
        (Datatype.FP32, [{}]),
        (Datatype.FP32, {"0": 1.0}),
        (Datatype.FP32, 1.0),
        (Datatype.INT64, [1.5]),
        (Datatype.INT64, [True]),
        (Datatype.INT64, [None]),
        (Datatype.INT64, ["1"]),
        (Datatype.BOOL, [2]),
        (Datatype.BOOL, ["true"]),
        (Datatype.BOOL, [None]),
        (Datatype.BYTES, [1]),
        (Datatype.BYTES, [None]),
        (Datatype.FP32, [1.0, 2.0]),
        (Datatype.FP32, []),
        (Datatype.FP32, [[[1.0]]]),
    ],
)
def test_nothing_is_coerced(datatype: Datatype, data: Any) -> None:
    """An element of another type, a wrong count or a wrong nesting is refused, naming the input."""
    with pytest.raises(InvalidInputError, match="'x'"):
        tensor(datatype, (-1,)).from_json(raw(data), [1])


def test_lenient_elements() -> None:
    """Null is NaN in a floating tensor, 0 and 1 are truth values, a float without fraction is an integer."""
    missing = tensor(Datatype.FP32).from_json(raw([[1, None]]), [1, 2])
    assert math.isnan(missing[0, 1])
    assert tensor(Datatype.BOOL, (-1,)).from_json(raw([0, 1, True]), [3]).tolist() == [False, True, True]
    assert tensor(Datatype.INT64, (-1,)).from_json(raw([2.0, 3]), [2]).tolist() == [2, 3]


def test_nesting_follows_the_shape() -> None:
    """Lists that are ragged, or nested in another shape than the one given, are refused."""
    codec = tensor(Datatype.FP32)
    for data in ([[1.0, 2.0], [3.0]], [[1.0], [2.0], [3.0], [4.0]], [[1.0, 2.0, 3.0, 4.0]]):
        with pytest.raises(InvalidInputError):
            codec.from_json(raw(data), [2, 2])
    spaced = msgspec.Raw(b" [ [ 1 , 2 ] , [ 3 , 4 ] ] ")
    assert codec.from_json(spaced, [2, 2]).tolist() == [[1, 2], [3, 4]]


def test_a_vector_may_be_written_as_a_column() -> None:
    """One list for each element is the vector of them, read as ever; lists of more or fewer are refused."""
    codec = tensor(Datatype.FP32, (-1,))
    assert codec.from_json(raw([[1.0], [2]]), [2]).tolist() == [1, 2]
    assert math.isnan(codec.from_json(raw([[1.0], [None]]), [2])[1])
    for data in ([[1.0, 2.0]], [[1.0], []], [[1.0], [2.0, 3.0]], [[1.0], 2.0], [[[1.0]], [[2.0]]]):
        with pytest.raises(InvalidInputError, match="'x'"):
            codec.from_json(raw(data), [2])


@pytest.mark.parametrize("shape", [[2**40, 4], [2**62, 2**62], [0, 2], [-1, 2], [1], [1, 2, 3], [1, 3]])
def test_shapes_are_checked_before_anything_is_allocated(shape: list[int]) -> None:
    """A shape that is not the tensor's, or that the data does not fill, is refused at once."""
    codec = tensor(Datatype.FP32, (-1, 2) if shape[1:] != [4] else (-1, 4))
    with pytest.raises(InvalidInputError):
        codec.from_json(raw([1.0, 2.0]), shape)
    with pytest.raises(InvalidInputError):
        codec.from_binary(memoryview(bytes(8)), shape)


@pytest.mark.parametrize(
    ("datatype", "data"),
    [
        (Datatype.FP32, bytes(7)),
        (Datatype.FP32, bytes(12)),
        (Datatype.BOOL, b"\x00\x02"),
        (Datatype.BYTES, b"\x05\x00\x00\x00abc"),
        (Datatype.BYTES, b"\x01\x00\x00\x00a"),
        (Datatype.BYTES, b"\x01\x00\x00\x00a\x01\x00\x00\x00bx"),
        (Datatype.BYTES, b"\xff\xff\xff\xff"),
        (Datatype.BYTES, b""),
    ],
)
def test_lying_bytes(datatype: Datatype, data: bytes) -> None:
    """Raw bytes that are not exactly two elements are refused."""
    with pytest.raises(InvalidInputError):
        tensor(datatype, (-1,)).from_binary(memoryview(data), [2])


def test_unaligned_bytes_are_copied() -> None:
    """Numbers that begin at an odd byte of the body still become an aligned array."""
    body = b"x" + np.array([1.5, 2.5], "<f4").tobytes()
    array = tensor(Datatype.FP32, (-1,)).from_binary(memoryview(body)[1:], [2])
    assert array.flags.aligned
    assert array.tolist() == [1.5, 2.5]


def test_bfloat16_outputs_are_numbers_in_json() -> None:
    """The bits of a bfloat16 are the upper half of a float's."""
    bits = np.array([0x3F80, 0xC000], "<u2")
    assert tensor(Datatype.BF16, (-1,)).to_json(bits) == [1.0, -2.0]


def test_a_scalar_may_be_a_whole_body() -> None:
    """A tensor without dimensions is the one element of its body, and of no longer or shorter one."""
    codec = tensor(Datatype.FP32, ())
    array = codec.from_bare(np.float32(1.5).tobytes())
    assert (array.shape, array.item()) == ((), 1.5)
    for size in (0, 3, 8):
        with pytest.raises(InvalidInputError):
            codec.from_bare(bytes(size))


def test_too_many_strings_are_told_before_they_are_made() -> None:
    """As many empty strings as a body has room for are refused; where a shape lies, that is what is wrong."""
    tensor = Tensor(TensorSpec("s", Datatype.BYTES, (-1,)))
    count = MOST_STRINGS + 1
    data = memoryview(bytes(count * 4))
    with pytest.raises(TooLargeError, match="strings"):
        tensor.from_binary(data, [count])
    with pytest.raises(TooLargeError, match="strings"):
        tensor.from_texts(iter(()), [count])
    with pytest.raises(InvalidInputError, match="4-byte lengths"):
        tensor.from_binary(data, [2**40])
