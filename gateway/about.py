"""What every codec and page takes and gives, and what it is for, in the words of the OpenAPI document.

Rules: it is named as the tables of paths name it ("module:NAME"); a test holds that each of them is here, but
for the endpoints that only say that they are not offered. What the named documents look like is
`gateway.schemas`.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from gateway.protocols.cloud_event import STRUCTURED, TYPE

JSON: Final = "application/json"
OCTETS: Final = "application/octet-stream"
SAGEMAKER: Final = "application/vnd.sagemaker-triton.binary+json"
VERTEX: Final = "application/vnd.vertex-ai-triton.binary+json"
CSV: Final = "text/csv"
TEXT: Final = "text/plain"

Content = Mapping[str, str]
"""Media type to the name of a schema."""


class About(msgspec.Struct, frozen=True):
    """One codec or page: what it takes (nothing: no body), what it gives, and under which further statuses.

    `errors` are those of its own; those that any request may meet are added where they apply. `fault` names
    the schema of an error. `bodiless`: what it takes may be left out. `operator`: it changes what answers
    everybody, and stands in the document only for who asks for that.
    """

    tag: str
    summary: str
    gives: Content
    takes: Content = MappingProxyType({})
    errors: tuple[int, ...] = ()
    status: int = 200
    fault: str = "Error"
    headers: Mapping[str, str] = MappingProxyType({})
    query: Mapping[str, str] = MappingProxyType({})
    bodiless: bool = False
    operator: bool = False


_V2: Final = "Open Inference Protocol v2"
_V1: Final = "KServe v1 and TensorFlow Serving"
_OWN: Final = "Driftgate"
_MLFLOW: Final = "MLflow and SageMaker"
_PLATFORM: Final = "Vertex AI and Azure ML"
_DEADLINE: Final = {"X-Request-Timeout": "seconds for which an answer is waited for"}
_CLOUD_EVENT: Final = {
    "ce-specversion": "with the other ce- attributes: the request is a CloudEvent, and so is the answer",
    "ce-id": "id of the event",
    "ce-source": "source of the event",
    "ce-type": f"type of the event; that of the answer is {TYPE.decode()}",
}
_PAGES: Final = "gateway.pages"
_CODECS: Final = "gateway.protocols"

ABOUT: Final[Mapping[str, About]] = MappingProxyType(
    {
        f"{_CODECS}.open_inference:CODEC": About(
            _V2,
            "Predict",
            takes={JSON: "InferenceRequest", OCTETS: "Bytes"},
            gives={JSON: "InferenceResponse", OCTETS: "Bytes"},
            errors=(504,),
            headers={
                **_DEADLINE,
                "Inference-Header-Content-Length": "bytes of JSON before the binary tensors; "
                "0: the body is the tensor",
            },
        ),
        f"{_CODECS}.kserve_v1:CODEC": About(
            _V1,
            "Predict rows or columns",
            takes={JSON: "PredictRequest", STRUCTURED: "CloudEvent"},
            gives={JSON: "PredictResponse", STRUCTURED: "CloudEvent"},
            errors=(415, 504),
            headers={**_DEADLINE, **_CLOUD_EVENT},
        ),
        f"{_CODECS}.sagemaker:CODEC": About(
            _MLFLOW,
            "Predict with the default model",
            takes={JSON: "ScoringRequest", CSV: "Text", SAGEMAKER: "Bytes", OCTETS: "Bytes"},
            gives={JSON: "ScoringResponse", SAGEMAKER: "Bytes", OCTETS: "Bytes"},
            headers={**_DEADLINE, "X-Amzn-SageMaker-Custom-Attributes": "comes back as it was sent"},
            fault="MLflowError",
            errors=(404, 504),
        ),
        f"{_CODECS}.vertex:CODEC": About(
            _PLATFORM,
            "Predict with the default model",
            takes={JSON: "VertexRequest", VERTEX: "Bytes"},
            gives={JSON: "VertexResponse", VERTEX: "Bytes"},
            errors=(404, 504),
            headers=_DEADLINE,
        ),
        f"{_CODECS}.azure_ml:CODEC": About(
            _PLATFORM,
            "Score with the default model",
            takes={JSON: "AzureRequest"},
            gives={JSON: "Anything"},
            errors=(404, 504),
            headers=_DEADLINE,
        ),
        f"{_PAGES}.open_inference:SERVER": About(_V2, "What this server is", gives={JSON: "Server"}),
        f"{_PAGES}.open_inference:LIVE": About(_V2, "Whether it lives", gives={JSON: "Health"}),
        f"{_PAGES}.open_inference:READY": About(
            _V2, "Whether to send requests", gives={JSON: "Health"}, errors=(503,), fault="Health"
        ),
        f"{_PAGES}.open_inference:MODEL": About(
            _V2, "What a model takes and gives", gives={JSON: "Metadata"}
        ),
        f"{_PAGES}.open_inference:MODEL_READY": About(
            _V2, "Whether a model answers", gives={JSON: "ModelReady"}
        ),
        f"{_PAGES}.open_inference:CONFIG": About(
            _V2, "A model's configuration", gives={JSON: "Configuration"}
        ),
        f"{_PAGES}.open_inference:STATISTICS": About(
            _V2, "What was counted of all models", gives={JSON: "Statistics"}
        ),
        f"{_PAGES}.open_inference:MODEL_STATISTICS": About(
            _V2, "What was counted of a model", gives={JSON: "Statistics"}
        ),
        f"{_PAGES}.repository:INDEX": About(
            _V2,
            "Every version of the registry",
            takes={JSON: "IndexRequest"},
            gives={JSON: "Index"},
            errors=(501,),
            bodiless=True,
        ),
        f"{_PAGES}.repository:LOAD": About(
            _V2,
            "Let a model answer",
            takes={JSON: "Command"},
            gives={JSON: "Empty"},
            errors=(403, 409, 501, 503),
            bodiless=True,
            operator=True,
        ),
        f"{_PAGES}.repository:UNLOAD": About(
            _V2,
            "Let a model answer nobody",
            takes={JSON: "Command"},
            gives={JSON: "Empty"},
            errors=(403, 409, 501, 503),
            bodiless=True,
            operator=True,
        ),
        f"{_PAGES}.kserve_v1:ALIVE": About(_V1, "Whether it lives", gives={JSON: "Alive"}),
        f"{_PAGES}.kserve_v1:MODELS": About(_V1, "Which models answer", gives={JSON: "Names"}),
        f"{_PAGES}.kserve_v1:MODEL": About(_V1, "Whether a model answers", gives={JSON: "V1Model"}),
        f"{_PAGES}.kserve_v1:METADATA": About(
            _V1, "What a model takes and gives", gives={JSON: "V1Metadata"}
        ),
        f"{_PAGES}.mlflow:PING": About(
            _MLFLOW, "Whether to send requests", gives={TEXT: "Text"}, errors=(404, 503), fault="MLflowError"
        ),
        f"{_PAGES}.mlflow:VERSION": About(
            _MLFLOW, "The version of this program", gives={TEXT: "Text"}, fault="MLflowError"
        ),
        f"{_PAGES}.own:LABELS": About(
            _OWN,
            "Say what turned out to be true",
            takes={JSON: "LabelsRequest"},
            gives={JSON: "LabelsResponse"},
            errors=(503,),
            status=202,
        ),
        f"{_PAGES}.own:METRICS": About(_OWN, "Metrics as Prometheus reads them", gives={TEXT: "Text"}),
        f"{_PAGES}.own:OPENAPI": About(
            _OWN,
            "This document",
            gives={JSON: "Anything"},
            query={
                "model": "a model that the document is then written for, with its tensors and an example",
                "operator": "true: with the paths that change what answers everybody, too",
            },
            errors=(400, 404),
        ),
        f"{_PAGES}.own:DOCS": About(_OWN, "This document for people", gives={"text/html": "Text"}),
    }
)
