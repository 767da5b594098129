"""What a protocol is to the core: something that reads a request for a model and writes its answer.

Adding one is a file beside this, a line in PROTOCOLS per path, and a parameter of the contract test. A codec
is chosen by path and method alone, never by looking into the body.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, Protocol

import msgspec

from gateway.inference import Array, InferenceRequest
from gateway.interface import Interface
from gateway.responses import Header

PROTOCOLS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "/v2/models/{model}/infer": "gateway.protocols.open_inference:CODEC",
        "/v2/models/{model}/versions/{version}/infer": "gateway.protocols.open_inference:CODEC",
        "/v1/models/{model}:predict": "gateway.protocols.kserve_v1:CODEC",
        "/v1/models/{model}/versions/{version}:predict": "gateway.protocols.kserve_v1:CODEC",
        "/v1/models/{model}/labels/{label}:predict": "gateway.protocols.kserve_v1:CODEC",
        "/invocations": "gateway.protocols.sagemaker:CODEC",
    }
)
"""Path of a POST to the codec that answers it; `{model}` and the like are one segment each.

A path that names no model asks the default model.
"""

PLATFORM_PROTOCOLS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "vertex_predict": "gateway.protocols.vertex:CODEC",
        "azure_scoring": "gateway.protocols.azure_ml:CODEC",
    }
)
"""Setting of `platform` to the codec that answers a POST on the path it holds; empty: no such path."""

JSON_LENGTH: Final = b"inference-header-content-length"
"""The header that says where the JSON part of a body ends, and its tensors begin."""
MOST_JSON: Final = 2048
"""Bytes of such a part up to which a body may be a view, and what it means is remembered."""

Headers = Mapping[bytes, bytes]
"""Lower-case names to values; those of a repeated header with commas between them (by gRPC: the last)."""


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What a codec puts into its answer: the identity of a finished run and all outputs of the model."""

    model: Interface
    arm: str
    prediction_id: str
    outputs: Sequence[Array]


class Pieces(Protocol):
    """What of a protocol can be read and written piece by piece, so that no other thread has to wait."""

    def read(self, model: Interface, headers: Headers, body: bytes) -> InferenceRequest | None:
        """As the codec's `decode`; None where that would keep the interpreter for milliseconds."""
        ...

    def writes(self, model: Interface, request: InferenceRequest) -> bool:
        """Whether the codec's `encode` goes in pieces for this request."""
        ...


class Codec(Protocol):
    """One protocol, without state: one that reads large bodies is pickled for the process that does.

    `views` says whether `decode` takes a read-only view of a body, too, where JSON_LENGTH is given and is no
    more than MOST_JSON. `pieces` None: nothing of it goes in pieces.
    """

    views: bool

    @property
    def pieces(self) -> Pieces | None:
        """Its pieces."""
        ...

    def decode(self, model: Interface, headers: Headers, body: bytes) -> InferenceRequest:
        """The request in `body`, checked against the model's signature; a Refusal says what is wrong."""
        ...

    def encode(self, request: InferenceRequest, answer: Answer) -> tuple[tuple[Header, ...], bytes]:
        """Headers (content type first, no content length) and body of the answer."""
        ...

    def fault(self, status: int, code: str, sentence: str, /) -> bytes:
        """The body, JSON, that tells a client of this protocol about an error; see `responses.ErrorBody`."""
        ...
