"""The answer that most requests get: every output, of numbers, in JSON; put together from pieces made before.

Only the quick way is here, and byte for byte it is what the general one writes; that is what the tests of
this file are about. Answers with texts, in binary, or of chosen outputs are left to the general way.
"""

import functools
from typing import Final

import msgspec

from gateway.inference import InferenceRequest
from gateway.model import LoadedModel
from gateway.protocols.codec import Answer
from registry_client.signature import Datatype

_ODD: Final = frozenset({Datatype.BYTES, Datatype.FP16, Datatype.BF16})
"""Strings, and what JSON does not carry."""
_encode: Final = msgspec.json.Encoder().encode


def plain_answer(request: InferenceRequest, answer: Answer) -> bytes | None:
    """The body, or None where something about it is not plain."""
    if request.wanted or request.binary:
        return None
    model, arm = answer.model, answer.arm
    plan = model.answers.get(arm)
    if plan is None:
        plan = model.answers[arm] = _plan(model, arm)
    head, leads = plan
    if not leads:
        return None
    parts = [head % answer.prediction_id.encode()]
    for lead, array in zip(leads, answer.outputs, strict=True):
        parts += (lead, _sizes(array.shape), _encode(array.ravel().tolist()))
    known = request.client_id
    parts.append(b"}]}" if known is None else b'}],"id":%b}' % _encode(known))
    return b"".join(parts)


def _plan(model: LoadedModel, arm: str) -> tuple[bytes, tuple[bytes, ...]]:
    """What stands before the outputs, with a place for the id, and before each shape (empty: an odd one)."""
    if any(tensor.datatype in _ODD for tensor in model.outputs):
        return b"", ()
    start = _encode({"model_name": model.name, "model_version": model.version})[:-1].replace(b"%", b"%%")
    head = b'%b,"parameters":{"prediction_id":"%%b","arm":"%b"},"outputs":[' % (start, arm.encode())
    words = [_encode({"name": tensor.name, "datatype": tensor.datatype})[:-1] for tensor in model.outputs]
    return head, tuple((b"}," if place else b"") + word for place, word in enumerate(words))


@functools.lru_cache(maxsize=1024)
def _sizes(shape: tuple[int, ...]) -> bytes:
    return b',"shape":%b,"data":' % _encode(shape)
