"""The text of a long JSON list of numbers, turned into an array without an object per number.

Rules:

1. What is read here is what the typed decoder of a protocol and `struct` would make of it, bit for bit. What
   is strange (another type, a number out of range, no JSON) gives None, and the caller reads the request in
   the general way, which also says what is wrong with it.
2. A long list is read in pieces of PIECE_BYTES. Reading one keeps the interpreter to itself; in between the
   event loop goes on, so a thread that reads megabytes stalls nobody for longer than a piece takes.
3. simdjson (the extra `bulk`) reads straight into memory; without it msgspec makes a list and packs it.

It knows no tensors and no requests.
"""

import threading
from collections.abc import Callable
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from groundwork import decoders

try:
    from simdjson import Parser
except ImportError:  # the extra is not installed
    Parser = None  # type: ignore[assignment,misc]

Numbers = npt.NDArray[Any]
Reader = Callable[[bytes, np.dtype[Any]], Numbers | None]
"""A JSON list and what to read it as (float64 or int64) to an array; None for whatever is strange."""

PIECE_BYTES: Final = 1 << 18
_FIND_BYTES: Final = 1 << 20
_MOST_BYTES: Final = 1 << 18
"""Of one number and the blanks around it, beyond a piece; more is strange."""
_OPEN: Final = ord("[")
_DOUBLE: Final = np.dtype("<f8")
_WHOLE: Final = np.dtype("<i8")
# What msgpack writes for a double: a byte that says so, and eight bytes from the highest.
_MARK: Final = 0xCB
_PACKED: Final = np.dtype([("mark", "u1"), ("value", ">f8")])
_LONGEST_HEAD: Final = 5
_pack: Final = msgspec.msgpack.Encoder().encode
_doubles: Final = decoders.json_of(list[float]).decode
_wholes: Final = decoders.json_of(list[int]).decode


def read(
    body: bytes,
    start: int,
    end: int,
    dtype: np.dtype[Any],
    *,
    reader: Reader | None = None,
    piece: int = PIECE_BYTES,
) -> Numbers | None:
    """The list that is exactly `body[start:end]`, brackets included, as a flat array of `dtype`, or None.

    `dtype` is that of a float of 4 or 8 bytes or of a signed integer. About 10 ns a number with simdjson, 25
    without.
    """
    if dtype.kind not in "fi" or body[start] != _OPEN or find(body, b"[", start + 1, end) >= 0:
        return None
    kind, reader = (_DOUBLE if dtype.kind == "f" else _WHOLE), reader or READERS[-1]
    parts: list[Numbers] = []
    view, comma = memoryview(body), start
    while comma >= 0:
        start = comma + 1
        # A piece ends before a comma, which is left out; the last one ends before the bracket.
        beyond = start + piece
        comma = body.find(b",", beyond, min(beyond + _MOST_BYTES, end - 1)) if beyond < end else -1
        if comma < 0 and end > beyond + _MOST_BYTES:
            return None
        part = reader(b"".join((b"[", view[start : end - 1 if comma < 0 else comma], b"]")), kind)
        if part is None or not len(part):
            return None
        parts.append(part)
    return narrowed(parts[0] if len(parts) == 1 else np.concatenate(parts), dtype)


def find(body: bytes, mark: bytes, start: int, end: int) -> int:
    """Where this byte is first between the two, or -1; looked for in pieces."""
    for at in range(start, end, _FIND_BYTES):
        found = body.find(mark, at, min(at + _FIND_BYTES, end))
        if found >= 0:
            return found
    return -1


def packed(values: list[float], dtype: np.dtype[Any]) -> Numbers | None:
    """The array of a list of floats, or None where one is none or is out of the range of `dtype`.

    A third of what `struct` takes: msgpack writes doubles in a stride of nine bytes, which numpy can read.
    """
    try:
        data = _pack(values)
    except msgspec.MsgspecError:
        return None
    count = len(values)
    head = len(data) - count * _PACKED.itemsize
    if not 0 < head <= _LONGEST_HEAD:
        return None
    fields = np.frombuffer(data, _PACKED, count, head)
    if not (fields["mark"] == _MARK).all():
        return None
    return narrowed(fields["value"], dtype)


def narrowed(array: Numbers, dtype: np.dtype[Any]) -> Numbers | None:
    """The array in `dtype`, rounded as a cast in C does, read-only; None where a number is out of range."""
    if dtype.kind == "i":
        limits = np.iinfo(dtype)
        if dtype != array.dtype and not (array.min() >= limits.min and array.max() <= limits.max):
            return None
        narrow = array.astype(dtype, copy=False)
    else:
        with np.errstate(over="ignore", invalid="ignore"):
            narrow = array.astype(dtype)
        finite = np.isfinite(narrow)
        if not finite.all() and not (finite == np.isfinite(array)).all():
            return None  # what is infinite now was not before
    narrow.setflags(write=False)
    return narrow


class _BySimdjson(threading.local):
    """A parser for each thread: a new one for every list would cost as much again in page faults."""

    __name__ = "simdjson"

    def __init__(self) -> None:
        self._parse: Callable[[bytes], Any] = Parser().parse

    def __call__(self, text: bytes, kind: np.dtype[Any]) -> Numbers | None:
        """As a Reader; what is wrong with a list, the general way finds out."""
        try:
            data = self._parse(text).as_buffer(of_type="d" if kind == _DOUBLE else "i")
        except (ValueError, TypeError, RuntimeError):
            return None
        return np.frombuffer(data, kind)


def _by_msgspec(text: bytes, kind: np.dtype[Any]) -> Numbers | None:
    try:
        if kind == _DOUBLE:
            return packed(_doubles(text), _DOUBLE)
        return np.array(_wholes(text), _WHOLE)
    except (msgspec.DecodeError, OverflowError, RecursionError, UnicodeDecodeError):
        return None


SIMDJSON: Final[bool] = Parser is not None
READERS: Final[tuple[Reader, ...]] = (_by_msgspec, _BySimdjson()) if SIMDJSON else (_by_msgspec,)
"""Those that can be used here, the quickest last."""
