"""A long request of the Open Inference Protocol: its list of numbers is read apart from the rest.

Only the quick way is here. Whatever is not plain is left to the general one, which finds the same or says
what is wrong; that both mean the same by every body is what the tests of this file are about.
"""

import re
import secrets
from collections.abc import Callable
from typing import Any, Final

import msgspec

from gateway import numbers
from gateway.inference import Array
from gateway.interface import Interface
from registry_client.signature import Datatype

BULK_BYTES: Final = 8 << 10
"""A body from here on is worth the search for a long list of numbers."""
_DATA: Final = b'"data"'
_LIST: Final = re.compile(rb"[ \t\r\n]*:[ \t\r\n]*\[")
_DATATYPES: Final = frozenset({Datatype.FP32, Datatype.FP64, Datatype.INT64, Datatype.INT32})
# What stands in the place of a list that is read apart; nobody outside knows it.
_PLACE: Final = b'"%b"' % secrets.token_hex(16).encode()


class Bulk(msgspec.Struct, frozen=True, gc=False):
    """A list of numbers that is read already; stands where its text was."""

    array: Array


def read_bulk(
    model: Interface, body: bytes, decode: Callable[[bytes], Any], most_rest: int | None = None
) -> Any:
    """The request whose first flat list of numbers is an array already; None where it is not so plain.

    Also None where there is more than `most_rest` beside the list.

    The list is cut out, and the rest decoded with a mark in its place. `"data"` with a colon behind it is a
    field's name or the body is no JSON; so if the mark comes back as the data of an input, it was that.
    `decode` reads a document whose inputs keep their data as text.
    """
    found = body.find(_DATA, 0, most_rest)
    opening = _LIST.match(body, found + len(_DATA)) if found >= 0 else None
    end = numbers.find(body, b"]", opening.end(), len(body)) + 1 if opening is not None else 0
    if opening is None or not end:
        return None
    start = opening.end() - 1
    if most_rest is not None and start + len(body) - end > most_rest:
        return None
    try:
        document = decode(b"".join((memoryview(body)[:start], _PLACE, memoryview(body)[end:])))
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    marked = [tensor for tensor in document.inputs if bytes(tensor.data) == _PLACE]
    tensor = model.inputs.get(marked[0].name) if len(marked) == 1 else None
    if tensor is None or tensor.datatype not in _DATATYPES or marked[0].datatype != tensor.datatype:
        return None
    if marked[0].parameters is not None and "binary_data_size" in marked[0].parameters:
        return None
    array = numbers.read(body, start, end, tensor.dtype)
    if array is None:
        return None
    marked[0].data = Bulk(array)
    return document
