"""KServe v1 and TensorFlow Serving's REST: `:predict` with rows or with columns.

    {"instances": [ROW, …]}   →  {"predictions": [ROW, …]}
    {"inputs": TENSORS}       →  {"outputs": TENSORS}

Our reading of what both leave open: exactly one of the two fields; `signature_name` may be "serving_default";
`parameters` is taken and not used; every other field is ignored; a request needs no Content-Type. A
CloudEvent is answered by one.
"""

from typing import Any, Final

import msgspec

from gateway.errors import InvalidInputError, MalformedError
from gateway.inference import InferenceRequest
from gateway.interface import Interface, rows_of
from gateway.protocols.cloud_event import Event, closed, opened
from gateway.protocols.codec import Answer, Headers
from gateway.protocols.tabular import from_columns, from_rows, read, to_columns, to_rows
from gateway.responses import JSON, Header, plain_fault
from groundwork import decoders

SIGNATURES: Final = (None, "", "serving_default")


class PredictDocument(msgspec.Struct, gc=False):
    """A request."""

    instances: Any = msgspec.UNSET
    inputs: Any = msgspec.UNSET
    signature_name: str | None = None
    parameters: Any = None


class Form(msgspec.Struct, frozen=True):
    """What the answer follows: how many rows were sent (0: columns), and the event that asked."""

    rows: int
    event: Event | None


_DECODER: Final = decoders.json_of(PredictDocument)
_encode: Final = msgspec.json.Encoder().encode


class KServeV1:
    """The protocol's codec."""

    views = False
    pieces = None
    fault = staticmethod(plain_fault)

    def decode(self, model: Interface, headers: Headers, body: bytes) -> InferenceRequest:
        """The request in `body`, checked against the model's signature; a Refusal says what is wrong."""
        event, body = opened(headers, body)
        document = read(_DECODER, body, "a request with instances or inputs")
        by_row = document.instances is not msgspec.UNSET
        if by_row == (document.inputs is not msgspec.UNSET):
            raise MalformedError("the request wants either instances or inputs, and one of them only")
        if document.signature_name not in SIGNATURES:
            raise InvalidInputError(
                f"signature_name is {document.signature_name[:40]!r}; the one there is is 'serving_default'"
            )
        if by_row and not isinstance(document.instances, list):
            raise MalformedError('Expected "instances" to be a list')
        if by_row:
            feeds, rows = from_rows(model, document.instances, exact=True), len(document.instances)
        else:
            feeds, rows = from_columns(model, document.inputs), 0
        client_id = None if event is None else event.identifier.decode("utf-8", "replace")
        return InferenceRequest(feeds, rows_of(model, feeds), client_id, form=Form(rows, event))

    def encode(self, request: InferenceRequest, answer: Answer) -> tuple[tuple[Header, ...], bytes]:
        """Headers (content type first, no content length) and body of the answer."""
        form: Form = request.form
        model, outputs = answer.model, answer.outputs
        document = (
            {"predictions": to_rows(model, outputs, form.rows, tagged=True)}
            if form.rows
            else {"outputs": to_columns(model.outputs, outputs, tagged=True)}
        )
        return closed(form.event, answer, _encode(document), JSON)


CODEC: Final = KServeV1()
