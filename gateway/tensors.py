"""One input or output of a model, between numpy and the wire: JSON lists, flat or nested, and raw bytes.

Rules:

1. Sizes are multiplied as Python integers and compared with the data before anything is allocated.
2. Nothing is coerced in silence: an integer must fit its datatype, a string is never a number, a truth value
   is never a number (but 0 and 1 are read as BOOL, and a float without a fraction as an integer). In a
   floating datatype null is NaN, a missing value; elsewhere null is refused.
3. No Python loop walks the elements of a number tensor: the typed decoder checks them, `struct` packs them
   with their range checked (half the cost of `np.array`, measured), `np.frombuffer` wraps the bytes.
4. Strings are bytes on the wire and text in arrays; `gateway.text` says how they become one another.
5. Arrays made here are read-only and own their memory, unless they are a view of the request's body.

It knows no protocol's field names.
"""

import functools
import itertools
import math
import re
import struct
import types
from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from gateway import numbers
from gateway.errors import InvalidInputError, UnanswerableError
from gateway.inference import Array
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
_FLOATS: Final = frozenset({Datatype.FP16, Datatype.BF16, Datatype.FP32, Datatype.FP64})
_PLAIN_FLOATS: Final = frozenset({Datatype.FP32, Datatype.FP64})
_MANY: Final = 2048
"""From so many floats on, packing them by way of msgpack is quicker than `struct`."""
_OPENING: Final = re.compile(rb"[\[ \t\r\n]*+")
_PREFIX: Final = struct.Struct("<I")


@functools.lru_cache(maxsize=1024)
def _packer(count: int, code: str | None) -> Callable[..., bytes]:
    """What packs so many elements of one kind."""
    return struct.Struct(f"<{count}{code}").pack


def _leaf(datatype: Datatype) -> Any:
    """The type a JSON element must have."""
    if datatype in _FLOATS:
        return float
    return {Datatype.BOOL: bool, Datatype.BYTES: str}.get(datatype, int)


def _lenient(leaf: Any) -> Any:
    """What is read besides, when the strict type did not fit."""
    return {float: float | None, int: int | float, bool: bool | int}.get(leaf, leaf)


def _decoder(leaf: Any, depth: int) -> msgspec.json.Decoder[Any]:
    kind: Any = leaf
    for _ in range(depth):
        kind = types.GenericAlias(list, (kind,))
    return msgspec.json.Decoder(kind)


class Tensor:
    """The codec of one tensor; it never changes what it answers.

    `row_shape` is the shape of one row, or None when the request chooses more than the number of rows.
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
        self._leaf = _leaf(spec.datatype)
        self._strict = {depth: _decoder(self._leaf, depth).decode for depth in {1, max(1, len(spec.shape))}}
        self._flat = self._strict[1]
        self._last: tuple[Sequence[int] | None, int] = (None, 0)
        self._list: Any = types.GenericAlias(list, (self._leaf,))

    @property
    def leaf(self) -> Any:
        """The type that a JSON element has when nothing is to be said about it."""
        return self._leaf

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
        except (msgspec.DecodeError, RecursionError):
            values = self._reread(data, shape)
        if len(values) != count:
            raise InvalidInputError(
                f"input {self.name!r} has {len(values)} values, wanted {count} for shape {list(shape)}"
            )
        return self._packed(values, shape)

    def from_lists(self, values: list[Any], shape: Sequence[int]) -> Array:
        """The tensor in a list of elements of its leaf's type, flat or nested once, as a decoder typed it."""
        count = self.count(shape)
        if values and values[0].__class__ is list:
            values = _flattened(self, values, shape)
        if len(values) != count:
            raise InvalidInputError(
                f"input {self.name!r} has {len(values)} values, wanted {count} for shape {list(shape)}"
            )
        return self._packed(values, shape)

    def from_numbers(self, values: Array, shape: Sequence[int]) -> Array:
        """The tensor in a flat array of its dtype; InvalidInputError where it does not fit."""
        count = self.count(shape)
        if len(values) != count:
            raise InvalidInputError(
                f"input {self.name!r} has {len(values)} values, wanted {count} for shape {list(shape)}"
            )
        return values.reshape(shape)

    def from_values(self, values: list[Any], leaf: Callable[[Any], Any] | None = None) -> Array:
        """The tensor in nested Python lists, which say its shape; InvalidInputError where it does not fit.

        A row of one value may be written without its list; a tensor without dimensions comes as a list of
        one. `leaf` turns an element as the protocol writes it into a plain one; of a string, into the text
        that stands for its bytes.
        """
        flat, shape = _flattened_freely(self, values)
        if not self.shape and shape == [1]:
            shape = []
        while len(shape) < len(self.shape) and all(size == 1 for size in self.shape[len(shape) :]):
            shape.append(1)
        self.count(shape)
        if leaf is not None:
            flat = [leaf(value) for value in flat]
        try:
            strict = msgspec.convert(flat, self._list)
        except msgspec.ValidationError as error:
            strict = [self._settle(value) for value in self._convert_leniently(flat, error)]
        if self.datatype is Datatype.BYTES:
            return np.array(strict, dtype=object).reshape(shape)
        return self._packed(strict, shape)

    def from_binary(self, data: memoryview, shape: Sequence[int]) -> Array:
        """The tensor in little-endian row-major bytes (strings: 4-byte length and bytes each)."""
        count = self.count(shape)
        if self.datatype is Datatype.BYTES:
            return np.array(self._read_strings(data, count), dtype=object).reshape(shape)
        size = count * self.dtype.itemsize
        if len(data) != size:
            raise InvalidInputError(
                f"input {self.name!r} has {len(data)} bytes, wanted {size} for {self.datatype} {list(shape)}"
            )
        if self.datatype is Datatype.BOOL and np.frombuffer(data, np.uint8).max() > 1:
            raise InvalidInputError(f"input {self.name!r} has a BOOL byte that is neither 0 nor 1")
        array: Array = np.frombuffer(data, self.dtype).reshape(shape)
        return array if array.flags.aligned else array.copy()

    def from_bare(self, body: bytes) -> Array:
        """The tensor that is a whole body; the one size that the model may leave open follows from it.

        A string has no length before it: it is the body.
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
            array = (array.astype("<u4") << 16).view("<f4")
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

    def _packed(self, values: list[Any], shape: Sequence[int]) -> Array:
        """The array of elements that have the type of a leaf; their range is checked here."""
        if self.datatype is Datatype.BYTES:
            return np.array([escaped(value) for value in values], dtype=object).reshape(shape)
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
            return _bfloat16(np.frombuffer(packed, "<u4")).reshape(shape)
        return np.ndarray(shape, self.dtype, packed)

    def _read_strings(self, data: memoryview, count: int) -> list[str]:
        strings, at = [], 0
        try:
            for _ in range(count):
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

    def _reread(self, data: msgspec.Raw, shape: Sequence[int]) -> list[Any]:
        """What the flat strict decoder did not take: nested lists, and the lenient elements of rule 2."""
        depth = _depth(data)
        if depth not in self._strict:
            raise InvalidInputError(
                f"input {self.name!r}: wanted a list of {self.datatype}, flat or nested like {list(shape)}, "
                + (f"found lists {depth} deep" if depth else "found no list")
            )
        try:
            values = self._strict[depth](data)
        except msgspec.DecodeError as error:
            if _lenient(self._leaf) is self._leaf:
                raise self._misfit(error) from None
            values = self._reread_leniently(data, depth)
            flat = values if depth == 1 else _flattened(self, values, shape)
            return [self._settle(value) for value in flat]
        return values if depth == 1 else _flattened(self, values, shape)

    def _reread_leniently(self, data: msgspec.Raw, depth: int) -> list[Any]:
        try:
            return _decoder(_lenient(self._leaf), depth).decode(data)  # type: ignore[no-any-return]
        except msgspec.DecodeError as error:
            raise self._misfit(error) from None

    def _convert_leniently(self, flat: list[Any], error: msgspec.ValidationError) -> list[Any]:
        lenient = _lenient(self._leaf)
        if lenient is self._leaf:
            raise self._misfit(error) from None
        try:
            return msgspec.convert(flat, types.GenericAlias(list, (lenient,)))  # type: ignore[no-any-return]
        except msgspec.ValidationError as found:
            raise self._misfit(found) from None

    def _settle(self, value: Any) -> Any:
        """The strict meaning of one leniently read element."""
        if self._leaf is float:
            return math.nan if value is None else value
        if self._leaf is bool and (isinstance(value, bool) or value in (0, 1)):
            return bool(value)
        if self._leaf is int and (isinstance(value, int) or value.is_integer()):
            return int(value)
        raise InvalidInputError(f"input {self.name!r}: {value!r} is not {self.datatype}")

    def _misfit(self, error: msgspec.DecodeError) -> InvalidInputError:
        return InvalidInputError(f"input {self.name!r} is not {self.datatype}: {error}")


def _flattened(tensor: Tensor, values: list[Any], shape: Sequence[int]) -> list[Any]:
    """Nested lists in row-major order, every level compared with `shape`."""
    fits = len(values) == shape[0]
    for size in shape[1:]:
        fits = fits and all(length == size for length in set(map(len, values)))
        values = list(itertools.chain.from_iterable(values))
    if not fits:
        raise InvalidInputError(f"input {tensor.name!r}: its lists are not nested like {list(shape)}")
    return values


def _flattened_freely(tensor: Tensor, values: list[Any]) -> tuple[list[Any], list[int]]:
    """Nested lists in row-major order, and the shape they have; at most as deep as the tensor."""
    shape = [len(values)]
    while values and isinstance(values[0], list):
        sizes = {len(value) if isinstance(value, list) else -1 for value in values}
        if len(sizes) != 1 or len(shape) == max(1, len(tensor.shape)):
            raise InvalidInputError(
                f"input {tensor.name!r}: wanted lists of equal lengths, nested like {list(tensor.shape)}"
            )
        shape.append(sizes.pop())
        values = list(itertools.chain.from_iterable(values))
    return values, shape


def _bfloat16(bits: npt.NDArray[np.uint32]) -> Array:
    """The upper halves of FP32 bits, rounded to nearest even; a NaN stays one."""
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    quiet = (bits >> 16) | 0x40
    return np.where((bits & 0x7FFFFFFF) > 0x7F800000, quiet, rounded).astype("<u2")  # noqa: PLR2004  infinity


def _depth(data: msgspec.Raw) -> int:
    """How many lists open before the first element."""
    opening = _OPENING.match(memoryview(data))
    return 0 if opening is None else opening[0].count(b"[")


def _shown(shape: Sequence[int]) -> str:
    return str(list(shape)) if len(shape) <= 8 else f"of {len(shape)} dimensions"  # noqa: PLR2004  what fits a line
