"""The OpenAPI 3.1 document of the data port, made from the very tables that route it.

Of every path it says which statuses may come and in which shape; those of a connection (408, 414, 431 and the
503 of too many) and our own mistake (500) are on each. A path whose target has no words in ABOUT is left out:
there is nothing to be asked of it. So is one that changes what answers everybody, unless it is asked for: who
tries whatever the document offers, as a fuzzer does, shall not take a model from all others. For one model
the document is concrete: the model's name stands in the paths, its tensors in the request, and an example of
zeros that the model takes.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from gateway.about import ABOUT, JSON, About
from gateway.model import LoadedModel
from gateway.schemas import SCHEMAS, Schema, ref
from gateway.tensors import Tensor
from registry_client.signature import Datatype

_STATUSES: Final[Mapping[int, str]] = {
    400: "The request is not what the protocol or the model wants",
    401: "A key is wanted, or this one is not known",
    403: "The key, or this port, does not allow this",
    404: "There is no such model or version",
    408: "The request did not come in time",
    409: "What stands does not allow this",
    413: "The body is too long, as it came or inflated",
    414: "The URL is too long",
    415: "The body has a type or a coding that is not read here",
    429: "The key's rate is used up",
    431: "The headers are too large",
    500: "The model, or this program, failed",
    501: "Not offered by this port",
    503: "Not now; Retry-After says when",
    504: "The request's deadline has passed, or is shorter than any run",
}
_ANY: Final = (408, 414, 431, 500, 503)
_BODY: Final = (400, 413, 415)
_KEYED: Final = (401, 403, 429)
_MODELS: Final = ("/v1/models/", "/v2/models/", "/v2/repository/models/")
"""Where paths begin that name a model, or what is beside the models."""
_EMPTY_MODEL: Final = "{model}"
_EDGES: Final[Mapping[Datatype, tuple[int, int]]] = {
    kind: (0 if unsigned else -(2 ** (bits - 1)), 2**bits - 1 if unsigned else 2 ** (bits - 1) - 1)
    for bits in (8, 16, 32, 64)
    for unsigned, kind in ((False, Datatype(f"INT{bits}")), (True, Datatype(f"UINT{bits}")))
}


def describe(
    targets: Mapping[str, str],
    version: str,
    model: LoadedModel | None = None,
    *,
    keyed: bool = False,
    operator: bool = False,
) -> dict[str, Any]:
    """The document for these paths; with a `model`, of that model alone. `keyed`: keys are wanted.

    `operator`: the paths that change what answers everybody are among them.
    """
    schemas: dict[str, Any] = dict(SCHEMAS)
    paths = {}
    if model is not None:
        schemas["InferenceRequest"] = _concrete(model)
    for path, target in targets.items():
        if target not in ABOUT or (ABOUT[target].operator and not operator):
            continue
        shown = path if model is None else path.replace(_EMPTY_MODEL, model.name)
        paths[shown] = _path(shown, target, keyed=keyed)
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "Driftgate" if model is None else f"Driftgate: model {model.name}",
            "version": version,
            "description": "One port, every client's protocol. Answers to predictions carry X-Prediction-Id, "
            "X-Model-Version and X-Driftgate-Arm.",
        },
        "paths": paths,
        "components": {"schemas": schemas},
    }
    if keyed:
        document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"key": []}]
    return document


def _path(path: str, target: str, *, keyed: bool) -> dict[str, Any]:
    about = ABOUT[target]
    operation: dict[str, Any] = {
        "tags": [about.tag],
        "summary": about.summary,
        "parameters": [*_parameters(path), *_others("header", about.headers), *_others("query", about.query)],
        "responses": _responses(path, about, keyed=keyed),
    }
    if about.takes:
        operation["requestBody"] = {"required": not about.bodiless, "content": _content(about.takes)}
    return {"post" if about.takes else "get": operation}


def _parameters(path: str) -> Iterable[dict[str, Any]]:
    schemas: Mapping[str, Schema] = {
        "model": {"type": "string", "minLength": 1},
        "version": {"type": "string", "pattern": "^[1-9][0-9]{0,17}$"},
        "label": {"type": "string", "enum": ["stable", "candidate"]},
    }
    for name, schema in schemas.items():
        if f"{{{name}}}" in path:
            yield {"name": name, "in": "path", "required": True, "schema": schema}


def _others(place: str, named: Mapping[str, str]) -> Iterable[dict[str, Any]]:
    for name, meaning in named.items():
        yield {"name": name, "in": place, "description": meaning, "schema": {"type": "string"}}


def _responses(path: str, about: About, *, keyed: bool) -> dict[str, Any]:
    good = {"description": about.summary, "content": _content(about.gives)}
    statuses = {*_ANY, *about.errors, *(_BODY if about.takes else ()), *(_KEYED if keyed else ())}
    if any(path.startswith(models) for models in _MODELS):
        statuses.add(404)
    failures = {
        str(status): {
            "description": _STATUSES[status],
            "content": {JSON: {"schema": _fault(about)}},
        }
        for status in sorted(statuses)
    }
    return {str(about.status): good, **failures}


def _fault(about: About) -> Schema:
    """A refused connection has the shape of most, whatever was to be asked."""
    return ref("Error") if about.fault == "Error" else {"anyOf": [ref(about.fault), ref("Error")]}


def _content(content: Mapping[str, str]) -> dict[str, Any]:
    return {media: {"schema": ref(name)} for media, name in content.items()}


def _concrete(model: LoadedModel) -> dict[str, Any]:
    """The schema of a request for one model, with an example that it takes."""
    general: dict[str, Any] = dict(SCHEMAS["InferenceRequest"])
    tensors = list(model.inputs.values())
    properties = dict(general["properties"])
    properties["inputs"] = {
        "type": "array",
        "minItems": len(tensors),
        "maxItems": len(tensors),
        "items": {"oneOf": [_tensor(tensor) for tensor in tensors]},
    }
    concrete = {**general, "properties": properties}
    if not any(tensor.datatype in (Datatype.FP16, Datatype.BF16) for tensor in tensors):
        concrete["example"] = {"inputs": [_example(tensor) for tensor in tensors]}
    return concrete


def _tensor(tensor: Tensor) -> dict[str, Any]:
    sizes = [{"type": "integer", "minimum": 1} if size == -1 else {"const": size} for size in tensor.shape]
    properties = {
        "name": {"const": tensor.name},
        "datatype": {"const": tensor.datatype.value},
        "shape": {"type": "array", "prefixItems": sizes, "minItems": len(sizes), "maxItems": len(sizes)},
        "data": {"type": "array", "items": {"anyOf": [_element(tensor.datatype), {"type": "array"}]}},
    }
    return {"type": "object", "required": list(properties), "properties": properties}


def _element(datatype: Datatype) -> Schema:
    if datatype in _EDGES:
        least, most = _EDGES[datatype]
        return {"type": "integer", "minimum": least, "maximum": most}
    if datatype is Datatype.BYTES:
        return {"type": "string"}
    return {"type": "boolean"} if datatype is Datatype.BOOL else {"type": ["number", "null"]}


def _example(tensor: Tensor) -> dict[str, Any]:
    shape = [1 if size == -1 else size for size in tensor.shape]
    count = 1
    for size in shape:
        count *= size
    zero: Any = {Datatype.BOOL: False, Datatype.BYTES: ""}.get(tensor.datatype, 0)
    return {"name": tensor.name, "datatype": tensor.datatype.value, "shape": shape, "data": [zero] * count}
