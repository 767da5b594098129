"""The works that every server is given: a model, one request body, and what the answer must be.

A work is the same for all servers, so that a ratio compares servers and nothing else.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Work:
    """One kind of request: `features` float32 per row, `rows` rows, sent as OIP JSON or binary tensors."""

    name: str
    model: Path
    rows: int
    features: int
    binary: bool = False

    def rows_of_input(self) -> Array:
        """The input of every request, shape [rows, features]; fixed by a seed."""
        return np.random.default_rng(7).standard_normal((self.rows, self.features)).astype(np.float32)

    def request(self) -> tuple[bytes, dict[str, str]]:
        """The body of one request and the headers that go with it."""
        values = self.rows_of_input()
        tensor = {"name": "X", "shape": list(values.shape), "datatype": "FP32"}
        if not self.binary:
            body = {"inputs": [{**tensor, "data": [round(float(v), 4) for v in values.ravel()]}]}
            return json.dumps(body).encode(), {"Content-Type": "application/json"}
        raw = values.tobytes()
        head = json.dumps(
            {
                "inputs": [{**tensor, "parameters": {"binary_data_size": len(raw)}}],
                "parameters": {"binary_data_output": True},
            }
        ).encode()
        headers = {
            "Content-Type": "application/octet-stream",
            "Inference-Header-Content-Length": str(len(head)),
        }
        return head + raw, headers


def logistic_regression(features: int = 30, classes: int = 2) -> onnx.ModelProto:
    """X [n, features] → label int64 [n], probabilities float32 [n, classes]."""
    random = np.random.default_rng(1)
    nodes = [
        helper.make_node("MatMul", ["X", "w"], ["xw"]),
        helper.make_node("Add", ["xw", "b"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["probabilities"], ["label"], axis=1, keepdims=0),
    ]
    weights = {
        "w": random.standard_normal((features, classes)).astype(np.float32),
        "b": random.standard_normal(classes).astype(np.float32),
    }
    outputs = [
        helper.make_tensor_value_info("label", TensorProto.INT64, ["n"]),
        helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", classes]),
    ]
    return _graph(nodes, weights, features, outputs)


def perceptron(sizes: tuple[int, ...] = (512, 2048, 2048, 10)) -> onnx.ModelProto:
    """X [n, sizes[0]] → scores float32 [n, sizes[-1]]; 21 MB of weights at the default sizes."""
    random = np.random.default_rng(2)
    nodes, weights, last = [], {}, "X"
    for layer, (wide, out) in enumerate(itertools.pairwise(sizes)):
        weights[f"w{layer}"] = (random.standard_normal((wide, out)) / np.sqrt(wide)).astype(np.float32)
        final = layer == len(sizes) - 2
        product, result = f"p{layer}", "scores" if final else f"h{layer}"
        nodes.append(helper.make_node("MatMul", [last, f"w{layer}"], [result if final else product]))
        if not final:
            nodes.append(helper.make_node("Relu", [product], [result]))
        last = result
    outputs = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", sizes[-1]])]
    return _graph(nodes, weights, sizes[0], outputs)


def tower(layers: int, width: int = 256) -> onnx.ModelProto:
    """X [n, width] → scores float32 [n, width]: so many layers, all of the same small weights."""
    weights = (np.random.default_rng(3).standard_normal((width, width)) / np.sqrt(width)).astype(np.float32)
    nodes, last = [], "X"
    for layer in range(layers):
        result = "scores" if layer == layers - 1 else f"h{layer}"
        nodes.append(helper.make_node("MatMul", [last, "w"], [f"p{layer}"]))
        nodes.append(helper.make_node("Tanh", [f"p{layer}"], [result]))
        last = result
    outputs = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", width])]
    return _graph(nodes, {"w": weights}, width, outputs)


def _graph(
    nodes: list[onnx.NodeProto],
    weights: Mapping[str, Array],
    features: int,
    outputs: list[onnx.ValueInfoProto],
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "work",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["n", features])],
        outputs,
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def _saved(models: Path, name: str, build: Callable[[], onnx.ModelProto]) -> Path:
    path = models / name / "1" / "model.onnx"
    if not path.exists():
        path.parent.mkdir(parents=True)
        path.write_bytes(build().SerializeToString())
    return path


WORKS: Final = ("one-row", "rows-json", "rows-binary", "perceptron")


def work(name: str, models: Path) -> Work:
    """The work called `name`; its model is built below `models` the first time."""
    if name == "perceptron":
        return Work(name, _saved(models, "mlp", perceptron), rows=1, features=512)
    model = _saved(models, "lr", logistic_regression)
    if name == "one-row":
        return Work(name, model, rows=1, features=30)
    return Work(name, model, rows=256, features=30, binary=name == "rows-binary")
