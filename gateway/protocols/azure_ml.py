"""The scoring route of an Azure Machine Learning online endpoint, for clients of its MLflow deployments.

    {"input_data": {"columns": […], "data": [[…], …]}}   →  the predictions, bare
    {"input_data": rows, or an object of columns}         →  the predictions, bare
    any of MLflow's own forms                             →  {"predictions": …}

`params` may be an object and is not used. Errors are {"error"}.
"""

from typing import Any, Final

import msgspec

from gateway.errors import MalformedError
from gateway.inference import Array, InferenceRequest
from gateway.interface import Interface, rows_of
from gateway.protocols import mlflow
from gateway.protocols.codec import Answer, Headers
from gateway.protocols.tabular import from_columns, from_rows, read, to_columns
from gateway.responses import JSON, Header, plain_fault
from groundwork import decoders


class AzureDocument(mlflow.ScoringDocument, gc=False):
    """A request."""

    input_data: Any = None


_DECODER: Final = decoders.json_of(AzureDocument)
_encode: Final = msgspec.json.Encoder().encode


class AzureMl:
    """The protocol's codec; the form of a request is whether its predictions go out bare."""

    views = False
    pieces = None
    fault = staticmethod(plain_fault)

    def decode(self, model: Interface, headers: Headers, body: bytes) -> InferenceRequest:
        """The request in `body`, checked against the model's signature; a Refusal says what is wrong."""
        del headers
        document = read(_DECODER, body, "a scoring request")
        bare = document.input_data is not None
        if bare and any(getattr(document, name) is not None for name in mlflow.FORMS):
            raise MalformedError(
                f"the request has input_data and one of {', '.join(mlflow.FORMS)}; send one of them"
            )
        feeds = _input_data(model, document.input_data) if bare else mlflow.feeds_of(model, document)
        return InferenceRequest(feeds, rows_of(model, feeds), form=bare)

    def encode(self, request: InferenceRequest, answer: Answer) -> tuple[tuple[Header, ...], bytes]:
        """Headers (content type first, no content length) and body of the answer."""
        predictions = to_columns(answer.model.outputs, answer.outputs)
        return (JSON,), _encode(predictions if request.form else {"predictions": predictions})


CODEC: Final = AzureMl()


def _input_data(model: Interface, data: Any) -> dict[str, Array]:
    if isinstance(data, list):
        return from_rows(model, data, what="input_data")
    if isinstance(data, dict) and "data" in data and "data" not in model.inputs:
        try:
            return mlflow.from_split(model, decoders.converted(data, mlflow.SplitFrame))
        except msgspec.ValidationError as error:
            raise MalformedError(f"input_data is not a table: {error}") from None
    return from_columns(model, data, what="input_data")
