"""Pages of KServe v1 and TensorFlow Serving: what lives, which models there are, what a version takes.

A model's document has both protocols' fields: `name` and `ready`, and `model_version_status`.
"""

from typing import Any, Final

from gateway.model import LoadedModel
from gateway.pages.page import Exchange, answering, get, labelled_version
from gateway.responses import Response, document
from gateway.tensors import Tensor
from registry_client.signature import Datatype

SIGNATURE: Final = "serving_default"
_DTYPES: Final = {
    Datatype.BOOL: "DT_BOOL",
    Datatype.FP16: "DT_HALF",
    Datatype.BF16: "DT_BFLOAT16",
    Datatype.FP32: "DT_FLOAT",
    Datatype.FP64: "DT_DOUBLE",
    Datatype.BYTES: "DT_STRING",
}


async def _alive(_: Exchange) -> Response:
    return document({"status": "alive"})


async def _models(asked: Exchange) -> Response:
    return document({"models": sorted(asked.premises.core.lanes.served)})


async def _model(asked: Exchange) -> Response:
    model = await answering(asked.premises.core, asked.model, _version(asked))
    asks_one = asked.version or asked.label
    versions = (
        [model.version] if asks_one else sorted(asked.premises.core.lanes.table[model.name].versions, key=int)
    )
    status = {"error_code": "OK", "error_message": ""}
    statuses = [{"version": version, "state": "AVAILABLE", "status": status} for version in versions]
    return document({"name": model.name, "ready": True, "model_version_status": statuses})


async def _metadata(asked: Exchange) -> Response:
    model = await _find(asked)
    return document(
        {
            "model_spec": {"name": model.name, "signature_name": "", "version": model.version},
            "metadata": {"signature_def": {"signature_def": {SIGNATURE: _signature(model)}}},
        }
    )


async def _find(asked: Exchange) -> LoadedModel:
    return await asked.premises.core.find(asked.model, _version(asked))


def _version(asked: Exchange) -> str | None:
    if asked.label is None:
        return asked.version
    return labelled_version(asked.premises.core, asked.model, asked.label)


def _signature(model: LoadedModel) -> dict[str, Any]:
    return {
        "inputs": {name: _tensor(tensor) for name, tensor in model.inputs.items()},
        "outputs": {tensor.name: _tensor(tensor) for tensor in model.outputs},
        "method_name": "tensorflow/serving/predict",
    }


def _tensor(tensor: Tensor) -> dict[str, Any]:
    dims = [{"size": str(size), "name": ""} for size in tensor.shape]
    return {
        "dtype": _DTYPES.get(tensor.datatype, f"DT_{tensor.datatype.value}"),
        "tensor_shape": {"dim": dims, "unknown_rank": False},
        "name": tensor.name,
    }


ALIVE: Final = get(_alive)
MODELS: Final = get(_models)
MODEL: Final = get(_model)
METADATA: Final = get(_metadata)
