"""The answer that most requests get: every output, of numbers, put together from pieces made before.

Only the quick way is here, in JSON and in binary, and byte for byte it is what the general one writes; that
is what the tests of this file are about. Answers with texts or of chosen outputs are left to the general way.
"""

import functools
from typing import Final

import msgspec

from gateway.inference import Array, InferenceRequest
from gateway.interface import Interface
from gateway.protocols.codec import Answer
from registry_client.signature import Datatype

ODD: Final = frozenset({Datatype.BYTES, Datatype.FP16, Datatype.BF16})
"""Strings, and what JSON does not carry."""
_encode: Final = msgspec.json.Encoder().encode
PART: Final = 4096
"""Numbers that are written at once; half a millisecond in which no other thread has the interpreter."""


def plain_answer(request: InferenceRequest, answer: Answer) -> tuple[int | None, bytes] | None:
    """The body, and how much of it is JSON where tensors follow; None where something is not plain."""
    if request.wanted:
        return None
    model, arm = answer.model, answer.arm
    plan = model.answers.get(arm)
    if plan is None:
        plan = model.answers[arm] = _plan(model, arm)
    head, leads = plan
    if not leads:
        return None
    parts = [head % answer.prediction_id.encode()]
    if request.binary:
        return _in_binary(request, answer, parts, leads)
    for lead, array in zip(leads, answer.outputs, strict=True):
        values = array.ravel()
        text = _encode(values.tolist()) if values.size <= PART else _long(values)
        parts += (lead, _sizes(array.shape), text)
    parts.append(_end(request.client_id))
    return None, b"".join(parts)


def _long(values: Array) -> bytes:
    """The same as in one piece."""
    parts = [_encode(values[at : at + PART].tolist())[1:-1] for at in range(0, values.size, PART)]
    parts[0] = b"[" + parts[0]
    parts[-1] += b"]"
    return b",".join(parts)  # the one copy of all of it, and join lets other threads run


def _in_binary(
    request: InferenceRequest, answer: Answer, parts: list[bytes], leads: tuple[bytes, ...]
) -> tuple[int, bytes]:
    """The same with the tensors behind the JSON, which `parts` begin."""
    blobs: list[bytes] = []
    for lead, tensor, array in zip(leads, answer.model.outputs, answer.outputs, strict=True):
        pieces = tensor.to_pieces(array)
        blobs += pieces
        parts += (lead, _binary_sizes(array.shape, sum(map(len, pieces))))
    parts.append(_end(request.client_id))
    return sum(map(len, parts)), b"".join(parts + blobs)


def _end(known: str | None) -> bytes:
    return b"}]}" if known is None else b'}],"id":%b}' % _encode(known)


def _plan(model: Interface, arm: str) -> tuple[bytes, tuple[bytes, ...]]:
    """What stands before the outputs, with a place for the id, and before each shape (empty: an odd one)."""
    if any(tensor.datatype in ODD for tensor in model.outputs):
        return b"", ()
    start = _encode({"model_name": model.name, "model_version": model.version})[:-1].replace(b"%", b"%%")
    head = b'%b,"parameters":{"prediction_id":"%%b","arm":"%b"},"outputs":[' % (start, arm.encode())
    words = [_encode({"name": tensor.name, "datatype": tensor.datatype})[:-1] for tensor in model.outputs]
    return head, tuple((b"}," if place else b"") + word for place, word in enumerate(words))


@functools.lru_cache(maxsize=1024)
def _sizes(shape: tuple[int, ...]) -> bytes:
    return b',"shape":%b,"data":' % _encode(shape)


@functools.lru_cache(maxsize=1024)
def _binary_sizes(shape: tuple[int, ...], size: int) -> bytes:
    return b',"shape":%b,"parameters":{"binary_data_size":%d}' % (_encode(shape), size)
