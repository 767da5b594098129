"""A binary request whose JSON part was read before: the same bytes mean the same again.

A client that sends tensors in binary says of each request what it said of the last: names, datatypes, shapes
and sizes. What that came to is kept with the version, so that only the tensors are new.

Rules: the JSON and the version alone say what a request means; the bytes behind it are its tensors, one after
the other. Only requests are remembered that the general way has read and found good, whose every input is
numbers in binary, and which carry no id of their own, for those differ every time.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import numpy as np

from gateway.digits import MOST_DIGITS
from gateway.errors import MalformedError
from gateway.inference import InferenceRequest, Wanted
from gateway.interface import Interface
from gateway.protocols.codec import MOST_JSON
from registry_client.signature import Datatype

MOST_KNOWN: Final = 256
"""JSON parts that are remembered of one version."""
_ODD: Final = frozenset({Datatype.BYTES, Datatype.BOOL})
"""What has to be looked at each time: strings, and bytes that are neither 0 nor 1."""


def json_length(value: bytes, size: int) -> int:
    """Where the JSON of a body of `size` bytes ends by its header; MalformedError for anything else."""
    if not (value.isdigit() and len(value) <= MOST_DIGITS) or int(value) > size:
        said = value[:40].decode("latin-1")
        raise MalformedError(
            f"Inference-Header-Content-Length is {said!a}, wanted a number up to the body's {size}"
        )
    return int(value)


class KnownBinary(msgspec.Struct, frozen=True, gc=False):
    """What such JSON means: (name, dtype, shape, offset behind the JSON) of each input, and their bytes."""

    inputs: tuple[tuple[str, np.dtype[Any], tuple[int, ...], int], ...]
    size: int
    rows: int
    wanted: tuple[Wanted, ...]
    binary: bool
    parameters: Mapping[str, Any]


def known_binary(model: Interface, body: bytes | memoryview, end: int) -> InferenceRequest | None:
    """The request in `body`, whose JSON is as long as `end`; None where it has to be read.

    The tensors are what `body` holds; a view must be read-only, then.
    """
    known = model.binaries.get(bytes(body[:end])) if end <= MOST_JSON else None
    if known is None or len(body) - end != known.size:
        return None
    feeds = {}
    for name, dtype, shape, at in known.inputs:
        array: np.ndarray[Any, np.dtype[Any]] = np.ndarray(shape, dtype, body, end + at)
        feeds[name] = array if array.flags.aligned else array.copy()
    return InferenceRequest(feeds, known.rows, None, known.wanted, known.binary, known.parameters)


def remember(model: Interface, body: bytes, end: int, request: InferenceRequest) -> None:
    """Keep what the JSON of a good request means, where it may be used again; MOST_KNOWN at most."""
    tensors = [model.inputs[name] for name in request.feeds]
    if end > MOST_JSON or request.client_id is not None or any(one.datatype in _ODD for one in tensors):
        return
    inputs, at = [], 0
    for tensor, array in zip(tensors, request.feeds.values(), strict=True):
        inputs.append((tensor.name, tensor.dtype, array.shape, at))
        at += array.nbytes
    if at != len(body) - end:  # an input is in the JSON
        return
    if len(model.binaries) >= MOST_KNOWN:
        model.binaries.clear()
    model.binaries[body[:end]] = KnownBinary(
        tuple(inputs), at, request.rows, request.wanted, request.binary, request.parameters
    )
