"""The elements of a tensor in JSON: the type that each must have, what is read besides, and how lists nest.

Rules: nothing is coerced in silence. An integer must fit its datatype, a string is never a number, a truth
value is never a number; but 0 and 1 are read as BOOL, and a float without a fraction as an integer. In a
floating datatype null is NaN, a missing value; elsewhere null is refused. Lists are flat, or nested like the
tensor; those of a vector also like the column that some clients take it for. The typed decoder checks what is
plain; only what it does not take is looked at by Python.

It knows no array and no bytes.
"""

import itertools
import math
import re
import types
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from gateway.errors import InvalidInputError
from registry_client.signature import Datatype, TensorSpec

_FLOATS: Final = frozenset({Datatype.FP16, Datatype.BF16, Datatype.FP32, Datatype.FP64})
_OPENING: Final = re.compile(rb"[\[ \t\r\n]*+")


class JsonElements:
    """How one tensor's elements are read; it never changes what it answers.

    `leaf` is the type that a JSON element has when nothing is to be said about it.
    """

    def __init__(self, spec: TensorSpec) -> None:
        self.leaf: Any = _leaf(spec.datatype)
        self._name = spec.name
        self._datatype = spec.datatype
        self._shape = spec.shape
        deepest = 2 if len(spec.shape) == 1 else len(spec.shape)  # a vector may come as a column
        self._strict = {depth: _decoder(self.leaf, depth).decode for depth in {1, max(1, deepest)}}
        self.flat = self._strict[1]
        """Decode a flat list; msgspec, recursion and Unicode errors are for what only `reread` may take."""
        self._list: Any = types.GenericAlias(list, (self.leaf,))

    def reread(self, data: msgspec.Raw, shape: Sequence[int]) -> list[Any]:
        """What `flat` did not take, flat: nested lists, and elements that are read besides.

        InvalidInputError for all else.
        """
        depth = _depth(data)
        if depth not in self._strict:
            raise InvalidInputError(
                f"input {self._name!r}: wanted a list of {self._datatype}, flat or nested like "
                f"{list(shape)}, " + (f"found lists {depth} deep" if depth else "found no list")
            )
        nesting = shape if depth <= len(shape) else [*shape, 1]
        try:
            values = self._strict[depth](data)
        except msgspec.DecodeError as error:
            if _lenient(self.leaf) is self.leaf:
                raise self._misfit(error) from None
            values = self._reread_leniently(data, depth)
            flat = values if depth == 1 else self.flattened(values, nesting)
            return [self._settle(value) for value in flat]
        except UnicodeDecodeError:
            raise InvalidInputError(f"input {self._name!r} has a string that is not UTF-8") from None
        return values if depth == 1 else self.flattened(values, nesting)

    def converted(self, flat: list[Any]) -> list[Any]:
        """Elements of any type as those of the leaf's; InvalidInputError where that loses something."""
        try:
            return msgspec.convert(flat, self._list)  # type: ignore[no-any-return]
        except msgspec.ValidationError as error:
            return [self._settle(value) for value in self._convert_leniently(flat, error)]

    def flattened(self, values: list[Any], shape: Sequence[int]) -> list[Any]:
        """Nested lists in row-major order; InvalidInputError where a level is not as long as `shape` says."""
        fits = len(values) == shape[0]
        for size in shape[1:]:
            fits = fits and all(length == size for length in set(map(len, values)))
            values = list(itertools.chain.from_iterable(values))
        if not fits:
            raise InvalidInputError(f"input {self._name!r}: its lists are not nested like {list(shape)}")
        return values

    def flattened_freely(self, values: list[Any]) -> tuple[list[Any], list[int]]:
        """Nested lists in row-major order, and the shape they have.

        InvalidInputError for lists of unequal lengths, or deeper than the tensor.
        """
        shape = [len(values)]
        while values and isinstance(values[0], list):
            sizes = {len(value) if isinstance(value, list) else -1 for value in values}
            if len(sizes) != 1 or len(shape) == max(1, len(self._shape)):
                raise InvalidInputError(
                    f"input {self._name!r}: wanted lists of equal lengths, nested like {list(self._shape)}"
                )
            shape.append(sizes.pop())
            values = list(itertools.chain.from_iterable(values))
        return values, shape

    def _reread_leniently(self, data: msgspec.Raw, depth: int) -> list[Any]:
        try:
            return _decoder(_lenient(self.leaf), depth).decode(data)  # type: ignore[no-any-return]
        except msgspec.DecodeError as error:
            raise self._misfit(error) from None

    def _convert_leniently(self, flat: list[Any], error: msgspec.ValidationError) -> list[Any]:
        lenient = _lenient(self.leaf)
        if lenient is self.leaf:
            raise self._misfit(error) from None
        try:
            return msgspec.convert(flat, types.GenericAlias(list, (lenient,)))  # type: ignore[no-any-return]
        except msgspec.ValidationError as found:
            raise self._misfit(found) from None

    def _settle(self, value: Any) -> Any:
        """The strict meaning of one leniently read element."""
        if self.leaf is float:
            return math.nan if value is None else value
        if self.leaf is bool and (isinstance(value, bool) or value in (0, 1)):
            return bool(value)
        if self.leaf is int and (isinstance(value, int) or value.is_integer()):
            return int(value)
        raise InvalidInputError(f"input {self._name!r}: {value!r} is not {self._datatype}")

    def _misfit(self, error: msgspec.DecodeError) -> InvalidInputError:
        return InvalidInputError(f"input {self._name!r} is not {self._datatype}: {error}")


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


def _depth(data: msgspec.Raw) -> int:
    """How many lists open before the first element."""
    opening = _OPENING.match(memoryview(data))
    return 0 if opening is None else opening[0].count(b"[")
