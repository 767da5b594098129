"""One input or output of a model, between numpy and the wire: JSON lists, flat or nested, and raw bytes.

Rules:

1. Sizes are multiplied as Python integers and compared with the data before anything is allocated.
2. Nothing is coerced in silence; `gateway.json_elements` says what of JSON is read as what.
3. No Python loop walks the elements of a number tensor: the typed decoder checks them, `struct` packs them
   with their range checked (half the cost of `np.array`, measured), `np.frombuffer` wraps the bytes.
4. Strings are bytes on the wire and text in arrays; `gateway.text` says how they become one another.
5. Arrays made here are read-only and own their memory, unless they are a view of the request's body.

It knows no protocol's field names.
"""

import functools
import math
import struct
from collections.abc import Callable, Iterable, Sequence
from types import MappingProxyType
from typing import Any, Final

import msgspec
import numpy as np

from gateway import bfloat16, numbers
from gateway.bulk import check_strings
from gateway.errors import InvalidInputError, UnanswerableError
from gateway.inference import Array
from gateway.json_elements import JsonElements
from gateway.pieces import PIECE_BYTES, in_pieces
from gateway.text import bytes_of, escaped, from_base64, plain, text_of, to_base64
from registry_client.signature import Datatype, TensorSpec, numpy_dtype

_CODES: Final = MappingProxyType(
    {
        Datatype.BOOL: "?",
        Datatype.UINT8: "B",
        Datatype.UINT16: "H",
        Datatype.UINT32: "I",
        Datatype.UINT64: "Q",
        Datatype.INT8: "b",
        Datatype.INT16: "h",
        Datatype.INT32: "i",
        Datatype.INT64: "q",
        Datatype.FP16: "e",
        Datatype.BF16: "f",
        Datatype.FP32: "f",
        Datatype.FP64: "d",
    }
)
_PLAIN_FLOATS: Final = frozenset({Datatype.FP32, Datatype.FP64})
_MANY: Final = 2048
"""From so many floats on, packing them by way of msgpack is quicker than `struct`."""
_PREFIX: Final = struct.Struct("<I")


@functools.lru_cache(maxsize=1024)
def _packer(count: int, code: str | None) -> Callable[..., bytes]:
    """What packs so many elements of one kind."""
    return struct.Struct(f"<{count}{code}").pack


class Tensor:
    """The codec of one tensor; it never changes what it answers.

    `row_shape` is the shape of one row, or None when the request chooses more than the number of rows. `leaf`
    is the type that a JSON element has when nothing is to be said about it.
    """

    def __init__(self, spec: TensorSpec) -> None:
        self.name = spec.name
        self.datatype = spec.datatype
        self.shape = spec.shape
        self.dtype = np.dtype(numpy_dtype(spec.datatype))
        self.batched = spec.shape[:1] == (-1,)
        rest = spec.shape[1:] if self.batched else spec.shape
        self.row_shape = None if -1 in rest else rest
        self._code = _CODES.get(spec.datatype)
        self._elements = JsonElements(spec)
        self.leaf = self._elements.leaf
        self._flat = self._elements.flat
        self._last: tuple[Sequence[int] | None, int] = (None, 0)

    def count(self, shape: Sequence[int]) -> int:
        """How many elements a tensor of `shape` has; InvalidInputError when it is not this tensor's.

        The last shape that was good is remembered: most requests to a model have the same.
        """
        last, count = self._last
        if shape == last:
            return count
        wanted = self.shape
        if len(shape) == len(wanted):
            count = 1
            for size, fixed in zip(shape, wanted, strict=True):
                if size < 1 or (fixed not in (-1, size)):
                    break
                count *= size
            else:
                self._last = shape, count  # one assignment, for it may be made in several threads
                return count
        raise InvalidInputError(
            f"input {self.name!r} has shape {_shown(shape)}, wanted {list(wanted)} "
            "(-1: any size from 1; the number of dimensions is fixed)"
        )

    def from_json(self, data: msgspec.Raw, shape: Sequence[int]) -> Array:
        """The tensor in a JSON list, flat or nested like `shape`; InvalidInputError where it does not fit."""
        count = self.count(shape)
        try:
            values = self._flat(data)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            values = self._elements.reread(data, shape)
        if len(values) != count:
            raise self._other_count(len(values), count, shape)
        return self._packed(values, shape)

    def from_lists(self, values: list[Any], shape: Sequence[int]) -> Array:
        """The tensor in a list of elements of its leaf's type, flat or nested once, as a decoder typed it.

        InvalidInputError where it does not fit.
        """
        count = self.count(shape)
        if values and values[0].__class__ is list:
            values = self._elements.flattened(values, shape)
        if len(values) != count:
            raise self._other_count(len(values), count, shape)
        return self._packed(values, shape)

    def from_numbers(self, values: Array, shape: Sequence[int]) -> Array:
        """The tensor in a flat array of its dtype; InvalidInputError where it does not fit."""
        count = self.count(shape)
        if len(values) != count:
            raise self._other_count(len(values), count, shape)
        return values.reshape(shape)

    def _other_count(self, found: int, count: int, shape: Sequence[int]) -> InvalidInputError:
        return InvalidInputError(
            f"input {self.name!r} has {found} values, wanted {count} for shape {list(shape)}"
        )

    def from_values(self, values: list[Any], leaf: Callable[[Any], Any] | None = None) -> Array:
        """The tensor in nested Python lists, which say its shape; InvalidInputError where it does not fit.

        A row of one value may be written without its list; a tensor without dimensions comes as a list of
        one. `leaf` turns an element as the protocol writes it into a plain one; of a string, into the text
        that stands for its bytes.
        """
        flat, shape = self._elements.flattened_freely(values)
        if not self.shape and shape == [1]:
            shape = []
        while len(shape) < len(self.shape) and all(size == 1 for size in self.shape[len(shape) :]):
            shape.append(1)
        self.count(shape)
        if leaf is not None:
            flat = [leaf(value) for value in flat]
        strict = self._elements.converted(flat)
        if self.datatype is Datatype.BYTES:
            return self.from_texts(strict, shape)
        return self._packed(strict, shape)

    def from_binary(self, data: memoryview, shape: Sequence[int]) -> Array:
        """The tensor in little-endian row-major bytes (strings: 4-byte length and bytes each).

        A view of them where they lie aligned. InvalidInputError where they do not fit.
        """
        count = self.count(shape)
        if self.datatype is Datatype.BYTES:
            return self.from_texts(self._read_strings(data, count), shape)
        size = count * self.dtype.itemsize
        if len(data) != size:
            raise InvalidInputError(
                f"input {self.name!r} has {len(data)} bytes, wanted {size} for {self.datatype} {list(shape)}"
            )
        if self.datatype is Datatype.BOOL and np.frombuffer(data, np.uint8).max() > 1:
            raise InvalidInputError(f"input {self.name!r} has a BOOL byte that is neither 0 nor 1")
        array: Array = np.frombuffer(data, self.dtype).reshape(shape)
        return array if array.flags.aligned else array.copy()

    def from_texts(self, texts: Iterable[str], shape: Sequence[int]) -> Array:
        """A tensor of strings in the texts that stand for them, as many as it has elements.

        TooLargeError where they are too many.
        """
        check_strings(self.name, math.prod(shape))
        return np.array(list(texts), dtype=object).reshape(shape)

    def from_bare(self, body: bytes) -> Array:
        """The tensor that is a whole body; the one size that the model may leave open follows from it.

        A string has no length before it: it is the body. InvalidInputError where it does not fit.
        """
        known = math.prod(size for size in self.shape if size != -1)
        if self.datatype is Datatype.BYTES:
            return np.array([text_of(body)], dtype=object).reshape(self._filled(1))
        row = known * self.dtype.itemsize
        if not body or not row or len(body) % row:
            raise InvalidInputError(
                f"input {self.name!r}: {len(body)} bytes are no {self.datatype} tensor {list(self.shape)}"
            )
        return self.from_binary(memoryview(body), self._filled(len(body) // row))

    def _filled(self, size: int) -> tuple[int, ...]:
        """The shape with its one open size filled in; InvalidInputError where this does not say it all."""
        if self.shape.count(-1) > 1 or (self.datatype is Datatype.BYTES and set(self.shape) - {-1, 1}):
            raise InvalidInputError(
                f"input {self.name!r} has shape {list(self.shape)}, which a body without JSON cannot say"
            )
        return tuple(size if extent == -1 else extent for extent in self.shape)

    def to_json(self, array: Array) -> list[Any]:
        """The elements in row-major order; NaN and infinities become null when they are written.

        UnanswerableError for a string whose bytes are no UTF-8.
        """
        if self.datatype is Datatype.BF16:
            array = bfloat16.widened(array)
        values = array.ravel().tolist()
        return self.texts(values) if self.datatype is Datatype.BYTES else values

    def texts(self, values: list[str]) -> list[str]:
        """Strings as JSON has them; UnanswerableError for one whose bytes are no UTF-8."""
        try:
            return [plain(value) for value in values]
        except UnicodeDecodeError:
            raise UnanswerableError(
                f"output {self.name!r} has bytes that are no UTF-8, which JSON does not carry; ask for it in "
                "binary (parameters.binary_data: true) or in base64 (parameters.content_type: base64)"
            ) from None

    def to_base64(self, array: Array) -> Array:
        """The strings of a BYTES tensor, each in base64."""
        found = [to_base64(value) for value in array.ravel().tolist()]
        return np.array(found, dtype=object).reshape(array.shape)

    def from_base64(self, array: Array) -> Array:
        """The strings of a BYTES tensor that came in base64; InvalidInputError for one that is not."""
        found = [from_base64(value) for value in array.ravel().tolist()]
        return np.array(found, dtype=object).reshape(array.shape)

    def to_binary(self, array: Array) -> bytes:
        """The elements as little-endian bytes; strings each with their 4-byte length before them."""
        if self.datatype is not Datatype.BYTES:
            return array.astype(self.dtype, copy=False).tobytes()
        encoded = [bytes_of(item) for item in array.ravel().tolist()]
        return b"".join(part for item in encoded for part in (_PREFIX.pack(len(item)), item))

    def to_pieces(self, array: Array) -> list[bytes]:
        """The same bytes in pieces, so that copying them never keeps the interpreter for long."""
        if array.nbytes <= PIECE_BYTES or self.datatype is Datatype.BYTES:
            return [self.to_binary(array)]
        return in_pieces(np.ascontiguousarray(array, self.dtype).data.cast("B"))

    def _packed(self, values: list[Any], shape: Sequence[int]) -> Array:
        """The array of elements that have the type of a leaf; their range is checked here."""
        if self.datatype is Datatype.BYTES:
            return self.from_texts(map(escaped, values), shape)
        if len(values) >= _MANY and self.datatype in _PLAIN_FLOATS:
            array = numbers.packed(values, self.dtype)
            if array is not None:
                return array.reshape(shape)
        try:
            packed = _packer(len(values), self._code)(*values)
        except (struct.error, OverflowError):
            raise InvalidInputError(
                f"input {self.name!r} has a value outside the range of {self.datatype}"
            ) from None
        if self.datatype is Datatype.BF16:
            return bfloat16.rounded(np.frombuffer(packed, "<f4")).reshape(shape)
        return np.ndarray(shape, self.dtype, packed)

    def _read_strings(self, data: memoryview, count: int) -> list[str]:
        strings, at = [], 0
        fits = count * _PREFIX.size <= len(data)
        if fits:
            check_strings(self.name, count)
        try:
            for _ in range(count if fits else 0):
                (length,) = _PREFIX.unpack_from(data, at)
                at += _PREFIX.size + length
                if at > len(data):
                    break
                strings.append(text_of(data[at - length : at]))
        except struct.error:
            at = -1
        if at != len(data) or len(strings) != count:
            raise InvalidInputError(
                f"input {self.name!r}: {len(data)} bytes are not {count} strings with 4-byte lengths"
            )
        return strings


def _shown(shape: Sequence[int]) -> str:
    return str(list(shape)) if len(shape) <= 8 else f"of {len(shape)} dimensions"  # noqa: PLR2004  what fits a line
