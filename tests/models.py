"""Tiny ONNX graphs for tests, made with onnx's own helper: each does one thing that a test needs."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from registry_client.manifest import Manifest, digest_of
from registry_client.registry import Registry

ELEMENTS: Final = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "BF16": TensorProto.BFLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BYTES": TensorProto.STRING,
}
Shape = Sequence[int | None]
Values = Sequence[tuple[str, str, Shape]]


def logistic(features: int = 30, *, bias: float = 0.0, sign: float = 1.0) -> bytes:
    """`x` FP32 [-1, features] → `label` INT64 [-1], `probabilities` FP32 [-1, 2]; the weights are fixed."""
    generator = np.random.default_rng(7)
    half = generator.normal(size=features) * sign / 2
    weights = np.stack([-half, half], axis=1).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "weights"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["logits"], ["label"], axis=1, keepdims=0),
    ]
    constants = {"weights": weights, "bias": np.array([-bias / 2, bias / 2], np.float32)}
    outputs: Values = [("label", "INT64", [None]), ("probabilities", "FP32", [None, 2])]
    return _model(nodes, [("x", "FP32", [None, features])], outputs, constants)


def identity(inputs: Values) -> bytes:
    """Every input `n` comes out as `n_out`, whatever its datatype and shape."""
    nodes = [helper.make_node("Identity", [name], [f"{name}_out"]) for name, _, _ in inputs]
    outputs = [(f"{name}_out", datatype, shape) for name, datatype, shape in inputs]
    return _model(nodes, inputs, outputs, {})


def lookup() -> bytes:
    """`keys` INT64 [-1] → `found` FP32 [-1]: fails at run time for a key that is not 0, 1 or 2."""
    nodes = [helper.make_node("Gather", ["table", "keys"], ["found"], axis=0)]
    table = {"table": np.array([10.0, 20.0, 30.0], np.float32)}
    return _model(nodes, [("keys", "INT64", [None])], [("found", "FP32", [None])], table)


def fragile_logistic(features: int = 30) -> bytes:
    """`logistic` in its names and shapes, but fails where the first feature, as a whole number, is no 0."""
    nodes = [
        helper.make_node("Cast", ["x"], ["whole"], to=TensorProto.INT64),
        helper.make_node("Slice", ["whole", "zero", "one", "one"], ["first"]),
        helper.make_node("Gather", ["classes", "first"], ["columns"], axis=0),
        helper.make_node("Squeeze", ["columns", "one"], ["label"]),
        helper.make_node("Slice", ["x", "zero", "two", "one"], ["probabilities"]),
    ]
    constants = {
        "zero": np.array([0], np.int64),
        "one": np.array([1], np.int64),
        "two": np.array([2], np.int64),
        "classes": np.array([1], np.int64),
    }
    outputs: Values = [("label", "INT64", [None]), ("probabilities", "FP32", [None, 2])]
    return _model(nodes, [("x", "FP32", [None, features])], outputs, constants)


def reciprocal() -> bytes:
    """`x` FP32 [-1, 1] → `y` FP32 [-1, 1] = 1 / x: infinite where x is 0."""
    nodes = [helper.make_node("Reciprocal", ["x"], ["y"])]
    return _model(nodes, [("x", "FP32", [None, 1])], [("y", "FP32", [None, 1])], {})


def attending(shape: Shape = (None, None)) -> bytes:
    """`x` FP32, of two sizes → `y` FP32 [1, 1]: takes the square of how many elements `x` has."""
    nodes = [
        helper.make_node("Reshape", ["x", "column"], ["standing"]),
        helper.make_node("Reshape", ["x", "row"], ["lying"]),
        helper.make_node("MatMul", ["standing", "lying"], ["square"]),
        helper.make_node("ReduceSum", ["square"], ["y"], keepdims=1),
    ]
    constants = {"column": np.array([-1, 1], np.int64), "row": np.array([1, -1], np.int64)}
    return _model(nodes, [("x", "FP32", shape)], [("y", "FP32", [1, 1])], constants)


def renamed() -> bytes:
    """`s` BYTES [-1] comes out as `s_bytes`."""
    nodes = [helper.make_node("Identity", ["s"], ["s_bytes"])]
    return _model(nodes, [("s", "BYTES", [None])], [("s_bytes", "BYTES", [None])], {})


def lower(locale: str) -> bytes:
    """`x` BYTES [-1] comes out as `y` in lower case, as `locale` has it."""
    nodes = [helper.make_node("StringNormalizer", ["x"], ["y"], case_change_action="LOWER", locale=locale)]
    return _model(nodes, [("x", "BYTES", [None])], [("y", "BYTES", [None])], {})


def constant() -> bytes:
    """No input → `y` FP32 [3]: 1, 2 and 3, whoever asks."""
    nodes = [helper.make_node("Identity", ["three"], ["y"])]
    return _model(nodes, [], [("y", "FP32", [3])], {"three": np.array([1, 2, 3], np.float32)})


def flat() -> bytes:
    """`x` FP32 [-1, 2] → `y` FP32 [-1], as the graph says: all elements, which are two of each row."""
    nodes = [helper.make_node("Reshape", ["x", "row"], ["y"])]
    inputs: Values = [("x", "FP32", [None, 2])]
    return _model(nodes, inputs, [("y", "FP32", [None])], {"row": np.array([-1], np.int64)})


def vague() -> bytes:
    """`x` FP32 [-1, 2] comes out as `y`, of which neither the graph nor the runtime says how it is shaped."""
    nodes = [
        helper.make_node("Shape", ["x"], ["sizes"]),
        helper.make_node("Compress", ["sizes", "all"], ["shape"]),
        helper.make_node("Reshape", ["x", "shape"], ["y"]),
    ]
    constants = {"all": np.array([True, True])}
    graph = onnx.load_from_string(_model(nodes, [("x", "FP32", [None, 2])], [("y", "FP32", [])], constants))
    graph.graph.output[0].type.tensor_type.ClearField("shape")
    return bytes(graph.SerializeToString())


def unranked(model: bytes, *inputs: str) -> bytes:
    """The same graph, with nothing said of the dimensions of these inputs."""
    found = onnx.load_from_string(model)
    for value in found.graph.input:
        if value.name in inputs:
            value.type.tensor_type.ClearField("shape")
    return bytes(found.SerializeToString())


def publish(registry: Registry, name: str, version: str, model: bytes) -> Manifest:
    """Put these bytes under this version, as a manifest without a signature."""
    manifest = Manifest(
        name=name, version=version, digest=digest_of(model), size=len(model), created="2024-05-01T12:00:00Z"
    )
    return registry.publish(manifest, model, None)


def _model(
    nodes: Sequence[Any],
    inputs: Values,
    outputs: Values,
    constants: dict[str, Any],
) -> bytes:
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [_value(*tensor) for tensor in inputs],
        [_value(*tensor) for tensor in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _value(name: str, datatype: str, shape: Shape) -> Any:
    return helper.make_tensor_value_info(name, ELEMENTS[datatype], list(shape))
