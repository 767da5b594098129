"""`/invocations` as Amazon SageMaker calls a container, which is also where MLflow's clients call.

The Content-Type says which grammar the body has:

    application/json, text/csv                                        MLflow's (`gateway.protocols.mlflow`)
    application/vnd.sagemaker-triton.binary+json;json-header-size=N   Open Inference, tensors after N bytes
    application/octet-stream, with json-header-size=N or the header   the same

In JSON, `inputs` may also be the list of tensors of the Open Inference Protocol (objects with name, datatype
and shape); the answer is then in that protocol. Errors are MLflow's. X-Amzn-SageMaker-Custom-Attributes comes
back as it was sent; X-Amzn-SageMaker-Inference-Id is recorded as the client's id; other such headers are
ignored.
"""

from typing import Any, Final

import msgspec

from gateway.errors import MalformedError
from gateway.inference import InferenceRequest
from gateway.interface import Interface, rows_of
from gateway.protocols import mlflow
from gateway.protocols.codec import JSON_LENGTH, Answer, Headers
from gateway.protocols.content_type import content_type
from gateway.protocols.open_inference import CODEC as OPEN_INFERENCE
from gateway.responses import JSON, Header

BINARY: Final = ("application/vnd.sagemaker-triton.binary+json", "application/octet-stream")
_ATTRIBUTES: Final = b"x-amzn-sagemaker-custom-attributes"
_INFERENCE_ID: Final = b"x-amzn-sagemaker-inference-id"
_MOST_ATTRIBUTES: Final = 1024
_TENSOR_FIELDS: Final = {"name", "datatype", "shape"}


class Form(msgspec.Struct, frozen=True):
    """What the answer follows; `media` is empty for MLflow's grammar."""

    media: str
    attributes: bytes | None


class SageMaker:
    """The protocol's codec."""

    views = False
    pieces = None
    fault = staticmethod(mlflow.fault)

    def decode(self, model: Interface, headers: Headers, body: bytes) -> InferenceRequest:
        """The request in `body`, checked against the model's signature; a Refusal says what is wrong."""
        attributes = headers.get(_ATTRIBUTES)
        if attributes is not None and len(attributes) > _MOST_ATTRIBUTES:
            raise MalformedError(
                f"X-Amzn-SageMaker-Custom-Attributes has more than {_MOST_ATTRIBUTES} characters"
            )
        kind = content_type(headers.get(b"content-type"))
        if kind.media in BINARY:
            length = kind.header_size() or headers.get(JSON_LENGTH)
            request = OPEN_INFERENCE.decode_split(model, length, body)
            form = Form(kind.media, attributes)
        else:
            request, media = _plain(model, headers, body, is_json=kind.media in ("application/json", ""))
            form = Form(media, attributes)
        identifier = headers.get(_INFERENCE_ID)
        if identifier is not None and request.client_id is None and not form.media:
            request = msgspec.structs.replace(request, client_id=identifier.decode("latin-1"))
        return msgspec.structs.replace(request, form=form)

    def encode(self, request: InferenceRequest, answer: Answer) -> tuple[tuple[Header, ...], bytes]:
        """Headers (content type first, no content length) and body of the answer."""
        form: Form = request.form
        grammar = OPEN_INFERENCE if form.media else mlflow.CODEC
        headers, body = grammar.encode(request, answer)
        if len(headers) > 1:
            size = dict(headers)[JSON_LENGTH].decode()
            media = form.media if form.media in BINARY else BINARY[1]
            headers = ((b"content-type", f"{media};json-header-size={size}".encode()), *headers[1:])
        if form.attributes is not None:
            headers = (*headers, (_ATTRIBUTES, form.attributes))
        return headers, body


CODEC: Final = SageMaker()


def _plain(model: Interface, headers: Headers, body: bytes, *, is_json: bool) -> tuple[InferenceRequest, str]:
    """A body of JSON or CSV, and the media type that answers it in the Open Inference Protocol, or ""."""
    if not is_json:
        return mlflow.CODEC.decode(model, headers, body), ""
    mlflow.check_charset(content_type(headers.get(b"content-type")))
    document = mlflow.scoring_document(body)
    if _are_tensors(document.inputs):
        return OPEN_INFERENCE.decode_split(model, None, body), JSON[1].decode()
    feeds = mlflow.feeds_of(model, document)
    return InferenceRequest(feeds, rows_of(model, feeds)), ""


def _are_tensors(inputs: Any) -> bool:
    return (
        isinstance(inputs, list)
        and bool(inputs)
        and all(isinstance(one, dict) and one.keys() >= _TENSOR_FIELDS for one in inputs)
    )
