"""Vertex AI's prediction route: {"instances": [ROW, …], "parameters"?: …} → {"predictions": [ROW, …]}.

Rows are those of TensorFlow Serving (`gateway.protocols.tabular`); `parameters` is taken and not used. A body
of type application/vnd.vertex-ai-triton.binary+json;json-header-size=N, which rawPredict lets through, is the
Open Inference Protocol's.
"""

from typing import Any, Final

import msgspec

from gateway.inference import InferenceRequest
from gateway.interface import Interface, rows_of
from gateway.protocols.codec import JSON_LENGTH, Answer, Headers
from gateway.protocols.content_type import content_type
from gateway.protocols.open_inference import CODEC as OPEN_INFERENCE
from gateway.protocols.tabular import from_rows, read, to_rows
from gateway.responses import JSON, Header, plain_fault
from groundwork import decoders

BINARY: Final = "application/vnd.vertex-ai-triton.binary+json"


class VertexDocument(msgspec.Struct, gc=False):
    """A request."""

    instances: list[Any]
    parameters: Any = None


_DECODER: Final = decoders.json_of(VertexDocument)
_encode: Final = msgspec.json.Encoder().encode


class Vertex:
    """The protocol's codec; the form of a request is how many rows it has, 0 where it came in binary."""

    views = False
    pieces = None
    fault = staticmethod(plain_fault)

    def decode(self, model: Interface, headers: Headers, body: bytes) -> InferenceRequest:
        """The request in `body`, checked against the model's signature; a Refusal says what is wrong."""
        kind = content_type(headers.get(b"content-type"))
        if kind.media == BINARY:
            request = OPEN_INFERENCE.decode_split(model, kind.header_size(), body)
            return msgspec.structs.replace(request, form=0)
        document = read(_DECODER, body, "a request with instances")
        feeds = from_rows(model, document.instances)
        return InferenceRequest(feeds, rows_of(model, feeds), form=len(document.instances))

    def encode(self, request: InferenceRequest, answer: Answer) -> tuple[tuple[Header, ...], bytes]:
        """Headers (content type first, no content length) and body of the answer."""
        if request.form:
            rows = to_rows(answer.model, answer.outputs, request.form, tagged=True)
            return (JSON,), _encode({"predictions": rows})
        headers, body = OPEN_INFERENCE.encode(request, answer)
        if len(headers) > 1:
            size = dict(headers)[JSON_LENGTH].decode()
            headers = ((b"content-type", f"{BINARY};json-header-size={size}".encode()), *headers[1:])
        return headers, body


CODEC: Final = Vertex()
