"""The words of the OpenAPI document: JSON schemas, and what each codec and page takes and gives.

Data only. ABOUT is keyed by what the tables of paths name ("module:NAME"); a test holds that each of them is
described, but for the endpoints that only say that they are not offered.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from gateway.protocols.cloud_event import STRUCTURED, TYPE
from registry_client.signature import Datatype

JSON: Final = "application/json"
OCTETS: Final = "application/octet-stream"
SAGEMAKER: Final = "application/vnd.sagemaker-triton.binary+json"
VERTEX: Final = "application/vnd.vertex-ai-triton.binary+json"
CSV: Final = "text/csv"
TEXT: Final = "text/plain"

Schema = Mapping[str, Any]
Content = Mapping[str, str]
"""Media type to the name of a schema."""


class About(msgspec.Struct, frozen=True):
    """One codec or page: what it takes (nothing: no body), what it gives, and under which further statuses.

    `errors` are those of its own; those that any request may meet are added where they apply. `fault` names
    the schema of an error. `bodiless`: what it takes may be left out.
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


def _object(required: tuple[str, ...] = (), /, **properties: Schema) -> Schema:
    return {"type": "object", "required": list(required), "properties": properties}


def ref(name: str) -> Schema:
    """A reference to a schema of SCHEMAS."""
    return {"$ref": f"#/components/schemas/{name}"}


ANYTHING: Final[Schema] = {}
TEXT_SCHEMA: Final[Schema] = {"type": "string"}
BOOLEAN: Final[Schema] = {"type": "boolean"}
COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
LIST: Final[Schema] = {"type": "array"}
_NAME: Final[Schema] = {"type": "string"}
_WORD: Final[Schema] = {"type": "string", "minLength": 1}


def _list(of: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": of, **more}


def _nullable(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


_DATATYPE: Final[Schema] = {"type": "string", "enum": [datatype.value for datatype in Datatype]}
_PARAMETERS: Final = _nullable(
    {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean", "null"]}}
)
_SPEC: Final = _object(
    ("name", "datatype", "shape"),
    name=_NAME,
    datatype=_DATATYPE,
    shape=_list({"type": "integer", "minimum": -1}),
)
_STAGE: Final = _object(("count", "ns"), count=COUNT, ns=COUNT)
_FRAME: Final = _object(
    ("data",), columns=_nullable(_list({"type": ["string", "integer"]})), index=ANYTHING, data=_list(LIST)
)
_SCORING: Final[dict[str, Schema]] = {
    "dataframe_split": _nullable(ref("DataFrame")),
    "dataframe_records": _nullable(_list({"type": "object"})),
    "instances": _nullable(LIST),
    "inputs": ANYTHING,
    "params": _nullable({"type": "object"}),
}
_STATES: Final = {"type": "string", "enum": ["READY", "UNAVAILABLE", "LOADING", "UNLOADING"]}

SCHEMAS: Final[Mapping[str, Schema]] = MappingProxyType(
    {
        "Error": _object(("error",), error=TEXT_SCHEMA, code=TEXT_SCHEMA),
        "MLflowError": _object(("error_code", "message"), error_code=TEXT_SCHEMA, message=TEXT_SCHEMA),
        "Bytes": ANYTHING,
        "Text": TEXT_SCHEMA,
        "Anything": ANYTHING,
        "DataFrame": _FRAME,
        "Tensor": _object(
            ("name", "shape", "datatype"),
            name=_NAME,
            shape=_list({"type": "integer"}),
            datatype=_DATATYPE,
            data=LIST,
            parameters=_PARAMETERS,
        ),
        "InferenceRequest": _object(
            ("inputs",),
            id=_nullable(TEXT_SCHEMA),
            parameters=_PARAMETERS,
            inputs=_list(ref("Tensor"), minItems=1),
            outputs=_nullable(_list(_object(("name",), name=_NAME, parameters=_PARAMETERS))),
        ),
        "InferenceResponse": _object(
            ("model_name", "model_version", "outputs", "parameters"),
            model_name=TEXT_SCHEMA,
            model_version=TEXT_SCHEMA,
            id=TEXT_SCHEMA,
            parameters=_object(("prediction_id", "arm"), prediction_id=TEXT_SCHEMA, arm=TEXT_SCHEMA),
            outputs=_list(ref("Tensor")),
        ),
        "Server": _object(
            ("name", "version", "extensions"),
            name=TEXT_SCHEMA,
            version=TEXT_SCHEMA,
            extensions=_list(TEXT_SCHEMA),
        ),
        "Health": _object(("live", "ready"), live=BOOLEAN, ready=BOOLEAN),
        "Metadata": _object(
            ("name", "versions", "platform", "inputs", "outputs"),
            name=TEXT_SCHEMA,
            versions=_list(TEXT_SCHEMA),
            platform=TEXT_SCHEMA,
            inputs=_list(_SPEC),
            outputs=_list(_SPEC),
        ),
        "ModelReady": _object(("name", "ready"), name=TEXT_SCHEMA, ready=BOOLEAN),
        "Configuration": _object(
            ("name", "platform", "backend", "max_batch_size", "input", "output"),
            name=TEXT_SCHEMA,
            max_batch_size=COUNT,
            input=_list({"type": "object"}),
            output=_list({"type": "object"}),
        ),
        "Statistics": _object(
            ("model_stats",),
            model_stats=_list(
                _object(
                    ("name", "version", "inference_count", "execution_count", "inference_stats"),
                    name=TEXT_SCHEMA,
                    version=TEXT_SCHEMA,
                    last_inference=COUNT,
                    inference_count=COUNT,
                    execution_count=COUNT,
                    inference_stats={"type": "object", "additionalProperties": _STAGE},
                    batch_stats=LIST,
                )
            ),
        ),
        "IndexRequest": _object((), ready=_nullable(BOOLEAN)),
        "Index": _list(
            _object(
                ("name", "version", "state", "reason"),
                name=TEXT_SCHEMA,
                version=TEXT_SCHEMA,
                state=_STATES,
                reason=TEXT_SCHEMA,
            )
        ),
        "Command": _object((), parameters=_nullable({"type": "object"})),
        "Empty": {"type": "object", "maxProperties": 0},
        "Alive": _object(("status",), status={"const": "alive"}),
        "Names": _object(("models",), models=_list(TEXT_SCHEMA)),
        "V1Model": _object(
            ("name", "ready", "model_version_status"),
            name=TEXT_SCHEMA,
            ready=BOOLEAN,
            model_version_status=_list(
                _object(("version", "state", "status"), version=TEXT_SCHEMA, state=TEXT_SCHEMA)
            ),
        ),
        "V1Metadata": _object(
            ("model_spec", "metadata"), model_spec={"type": "object"}, metadata={"type": "object"}
        ),
        "PredictRequest": {
            "oneOf": [
                _object(("instances",), instances=LIST, signature_name=_nullable(TEXT_SCHEMA)),
                _object(("inputs",), inputs=ANYTHING, signature_name=_nullable(TEXT_SCHEMA)),
            ]
        },
        "PredictResponse": {
            "oneOf": [_object(("predictions",), predictions=LIST), _object(("outputs",), outputs=ANYTHING)]
        },
        "CloudEvent": _object(
            ("specversion", "id", "source", "type"),
            specversion={"enum": ["1.0", "0.3"]},
            id=_WORD,
            source=_WORD,
            type=_WORD,
            data=ANYTHING,
            data_base64=_nullable(TEXT_SCHEMA),
        ),
        "VertexRequest": _object(("instances",), instances=LIST, parameters=ANYTHING),
        "VertexResponse": _object(("predictions",), predictions=LIST),
        "ScoringRequest": {"type": "object", "properties": _SCORING},
        "AzureRequest": {"type": "object", "properties": {**_SCORING, "input_data": ANYTHING}},
        "ScoringResponse": {
            "anyOf": [_object(("predictions",), predictions=ANYTHING), ref("InferenceResponse")]
        },
        "LabelsRequest": _object(
            ("labels",),
            labels=_list(
                _object(
                    ("value",),
                    value={"type": ["integer", "number", "string", "boolean"]},
                    id=_nullable(TEXT_SCHEMA),
                    client_id=_nullable(TEXT_SCHEMA),
                    row=COUNT,
                ),
                minItems=1,
                maxItems=1000,
            ),
        ),
        "LabelsResponse": _object(("accepted",), accepted=COUNT),
    }
)

_V2: Final = "Open Inference Protocol v2"
_V1: Final = "KServe v1 and TensorFlow Serving"
_OWN: Final = "Driftgate"
_MLFLOW: Final = "MLflow and SageMaker"
_PLATFORM: Final = "Vertex AI and Azure ML"
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
            headers={
                "Inference-Header-Content-Length": "bytes of JSON before the binary tensors; "
                "0: the body is the tensor"
            },
        ),
        f"{_CODECS}.kserve_v1:CODEC": About(
            _V1,
            "Predict rows or columns",
            takes={JSON: "PredictRequest", STRUCTURED: "CloudEvent"},
            gives={JSON: "PredictResponse", STRUCTURED: "CloudEvent"},
            errors=(415,),
            headers=_CLOUD_EVENT,
        ),
        f"{_CODECS}.sagemaker:CODEC": About(
            _MLFLOW,
            "Predict with the default model",
            takes={JSON: "ScoringRequest", CSV: "Text", SAGEMAKER: "Bytes", OCTETS: "Bytes"},
            gives={JSON: "ScoringResponse", SAGEMAKER: "Bytes", OCTETS: "Bytes"},
            headers={"X-Amzn-SageMaker-Custom-Attributes": "comes back as it was sent"},
            fault="MLflowError",
            errors=(404,),
        ),
        f"{_CODECS}.vertex:CODEC": About(
            _PLATFORM,
            "Predict with the default model",
            takes={JSON: "VertexRequest", VERTEX: "Bytes"},
            gives={JSON: "VertexResponse", VERTEX: "Bytes"},
            errors=(404,),
        ),
        f"{_CODECS}.azure_ml:CODEC": About(
            _PLATFORM,
            "Score with the default model",
            takes={JSON: "AzureRequest"},
            gives={JSON: "Anything"},
            errors=(404,),
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
        ),
        f"{_PAGES}.repository:UNLOAD": About(
            _V2,
            "Let a model answer nobody",
            takes={JSON: "Command"},
            gives={JSON: "Empty"},
            errors=(403, 409, 501, 503),
            bodiless=True,
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
            query={"model": "a model that the document is then written for, with its tensors and an example"},
            errors=(404,),
        ),
        f"{_PAGES}.own:DOCS": About(_OWN, "This document for people", gives={"text/html": "Text"}),
    }
)
