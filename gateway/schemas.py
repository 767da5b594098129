"""The JSON schemas of the OpenAPI document: what every named request and answer of the data port looks like.

Data only. Which codec or page takes or gives which of them `gateway.about` says.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from registry_client.signature import Datatype

Schema = Mapping[str, Any]


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
