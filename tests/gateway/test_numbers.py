"""Long lists of numbers, read without an object per number."""

import math
import struct
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway import numbers
from gateway.errors import InvalidInputError
from gateway.tensors import Tensor
from registry_client.signature import Datatype, TensorSpec

READERS = numbers.READERS
KINDS = [Datatype.FP32, Datatype.FP64, Datatype.INT32, Datatype.INT64]

# What stands between the brackets of a list: numbers as anybody may write them, and what is none.
PIECES = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(-(2**70), 2**70).map(str),
    st.integers(-300, 300).map(str),
    st.floats(width=32, allow_nan=False, allow_infinity=False).map(str),
    st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?", fullmatch=True),
    st.sampled_from(["", " ", "null", "true", '"1"', "NaN", "-", "01", "1.", ".5", "1e", "[1]", "{}", "1 2"]),
)
BLANKS = st.sampled_from(["", " ", "\n", "\t ", " \r\n"])


def general(text: bytes, datatype: Datatype) -> Any:
    """The array that the general decoder makes of a list, or the refusal's class."""
    try:
        count = len(msgspec.json.decode(text))
        return Tensor(TensorSpec("x", datatype, (-1,))).from_json(msgspec.Raw(text), [count])
    except (InvalidInputError, msgspec.DecodeError, TypeError):
        return InvalidInputError


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)
@pytest.mark.parametrize("datatype", KINDS)
@given(parts=st.lists(st.tuples(BLANKS, PIECES, BLANKS), max_size=12), piece=st.integers(1, 40))
@example(parts=[("", "9007199254740993", ""), ("", "-0.0", "")], piece=1)
@example(parts=[("", "3.4028235677973366e+38", "")], piece=40)
@example(parts=[("", "1", ""), ("", "", "")], piece=1)
@example(parts=[("", "[1]", "")], piece=1)
def test_as_the_general_decoder(
    reader: numbers.Reader, datatype: Datatype, parts: list[tuple[str, str, str]], piece: int
) -> None:
    """What a reader makes of a list, in whatever pieces, is what the general decoder does, bit for bit."""
    text = f"[{','.join(map(''.join, parts))}]".encode()
    dtype = Tensor(TensorSpec("x", datatype, (-1,))).dtype
    found = numbers.read(b"xx" + text + b"yy", 2, 2 + len(text), dtype, reader=reader, piece=piece)
    if found is not None:
        wanted = general(text, datatype)
        assert not isinstance(wanted, type), (text, found)
        assert found.dtype == dtype
        assert found.tobytes() == wanted.tobytes()


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)
@given(values=st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
def test_plain_lists_are_read(reader: numbers.Reader, values: list[float]) -> None:
    """A list of plain numbers is not left to the general decoder."""
    text = msgspec.json.encode(values)
    found = numbers.read(text, 0, len(text), np.dtype("<f4"), reader=reader)
    assert found is not None
    assert found.tolist() == values
    assert not found.flags.writeable


@given(st.lists(st.floats(), max_size=70_000 // 512), st.sampled_from(["f", "d"]))
@example([math.inf, -math.inf, math.nan], "f")
@example([1e39], "f")
@example([0.5] * 70_000, "d")
def test_packed_as_struct_does(values: list[float], code: str) -> None:
    """Floats packed by way of msgpack are those that `struct` packs; what it refuses is refused."""
    try:
        wanted: bytes | None = struct.pack(f"<{len(values)}{code}", *values)
    except OverflowError:
        wanted = None
    found = numbers.packed(values, np.dtype(f"<{code}"))
    if wanted is None or found is None:
        assert found is None
        assert wanted is None or not values
    else:
        np.testing.assert_array_equal(found, np.frombuffer(wanted, f"<{code}"))
        assert np.array_equal(np.signbit(found), np.signbit(np.frombuffer(wanted, f"<{code}")))


@pytest.mark.parametrize("values", [[0.5, 1], [0.5, None], [0.5, "1"], [0.5, True]])
def test_what_is_no_float_is_not_packed(values: list[Any]) -> None:
    """A list with anything but floats is left to `struct`, whatever its length in msgpack."""
    assert numbers.packed(values, np.dtype("<f4")) is None


def test_pieces_let_the_interpreter_go() -> None:
    """No call reads more of a long list than a piece and the number that it ends in."""
    text = msgspec.json.encode([0.25] * 10_000)
    seen: list[int] = []

    def reader(part: bytes, kind: np.dtype[Any]) -> Any:
        seen.append(len(part))
        return READERS[0](part, kind)

    found = numbers.read(text, 0, len(text), np.dtype("<f4"), reader=reader, piece=1000)
    assert found is not None
    assert len(found) == 10_000
    assert len(seen) > 40
    assert max(seen) < 1010


@pytest.mark.parametrize("filling", [b" ", b"0"], ids=["blanks", "digits"])
@pytest.mark.parametrize("text", [b"[%b]", b"[1,%b0,2]", b"[1,2,0%b]"])
def test_what_is_in_no_piece_is_not_read(text: bytes, filling: bytes) -> None:
    """A number as long as many pieces, or blanks, are left to who may take his time."""
    body = text % (filling * 10 * numbers.PIECE_BYTES)
    seen: list[int] = []

    def reader(part: bytes, kind: np.dtype[Any]) -> Any:
        seen.append(len(part))
        return READERS[0](part, kind)

    assert numbers.read(body, 0, len(body), np.dtype("<f4"), reader=reader, piece=1) is None
    assert max(seen, default=0) <= 2 * numbers.PIECE_BYTES


def test_other_kinds_are_not_read() -> None:
    """Unsigned numbers and truth values are left to the general decoder."""
    read: Callable[..., Any] = numbers.read
    assert [read(b"[1]", 0, 3, np.dtype(kind)) for kind in ("u1", "?", "<u8")] == [None] * 3
