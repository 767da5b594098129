"""Small ONNX graphs for the system tests, made without any training.

All take X (float32 [-1, 4]) and give score (float32 [-1, 1]) unless they say otherwise.
"""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

WIDTH = 4


def linear(weight: float) -> bytes:
    """Score = weight * sum(X): tells by its answer which version gave it."""
    return _graph(
        [helper.make_node("MatMul", ["X", "w"], ["score"])],
        {"w": np.full((WIDTH, 1), weight, np.float32)},
    )


def failing() -> bytes:
    """A graph that loads, and fails on every request: it gathers beyond the end of a table."""
    return _graph(
        [
            helper.make_node("ReduceSum", ["X", "axes"], ["total"], keepdims=1),
            helper.make_node("Add", ["total", "far"], ["moved"]),
            helper.make_node("Cast", ["moved"], ["index"], to=TensorProto.INT64),
            helper.make_node("Gather", ["table", "index"], ["picked"]),
            helper.make_node("Reshape", ["picked", "shape"], ["score"]),
        ],
        {
            "axes": np.array([1], np.int64),
            "far": np.array([1e6], np.float32),
            "table": np.zeros(2, np.float32),
            "shape": np.array([-1, 1], np.int64),
        },
    )


def slow_to_load() -> bytes:
    """Score = sum(X), which takes the runtime about a second to find out: constants are folded at a load."""
    powers = [f"power{step}" for step in range(64)]
    products = [
        helper.make_node("MatMul", [before, "ones"], [after])
        for before, after in zip(["ones", *powers], powers, strict=False)
    ]
    return _graph(
        [
            *products,
            helper.make_node("Slice", [powers[-1], "start", "end"], ["w"]),
            helper.make_node("MatMul", ["X", "w"], ["mean"]),
            helper.make_node("Mul", ["mean", "size"], ["score"]),
        ],
        {
            "ones": np.full((1024, 1024), 1 / 1024, np.float32),
            "size": np.array([1024], np.float32),
            "start": np.array([0, 0], np.int64),
            "end": np.array([WIDTH, 1], np.int64),
        },
    )


def slow() -> bytes:
    """A graph whose time grows with the cube of the rows: nothing for one, many seconds for two thousand."""
    powers = [f"power{step}" for step in range(40)]
    squares = [
        helper.make_node("MatMul", [before, before], [after])
        for before, after in zip(["gram", *powers], powers, strict=False)
    ]
    return _graph(
        [
            helper.make_node("Transpose", ["X"], ["turned"], perm=[1, 0]),
            helper.make_node("MatMul", ["X", "turned"], ["gram"]),
            *squares,
            helper.make_node("ReduceMean", [powers[-1]], ["score"], axes=[1], keepdims=1),
        ],
        {},
    )


def wider() -> bytes:
    """A graph whose X has one column more, so that it accepts nothing the others accept."""
    return _graph(
        [helper.make_node("MatMul", ["X", "w"], ["score"])],
        {"w": np.ones((WIDTH + 1, 1), np.float32)},
        width=WIDTH + 1,
    )


def perceptron(size: int, seed: int) -> bytes:
    """X (float32 [-1, 64]) → score (float32 [-1, 8]) by four layers, with about `size` bytes of weights."""
    random = np.random.default_rng(seed)
    middle = int((size / 8) ** 0.5)
    widths = [64, middle, middle, middle, 8]
    nodes, constants, before = [], {}, "X"
    for layer, (rows, columns) in enumerate(itertools.pairwise(widths)):
        constants[f"w{layer}"] = random.normal(size=(rows, columns), scale=rows**-0.5).astype(np.float32)
        after = "score" if columns == widths[-1] else f"h{layer}"
        nodes.append(helper.make_node("MatMul", [before, f"w{layer}"], [after]))
        if after != "score":
            nodes.append(helper.make_node("Relu", [after], [f"r{layer}"]))
        before = f"r{layer}"
    return _graph(nodes, constants, width=64, scores=8)


def put(models: Path, name: str, version: int, graph: bytes) -> Path:
    """Publish a graph as a bare file; appears whole; returns the file."""
    folder = models / name / str(version)
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = models / f".{name}-{version}"
    aside.mkdir()
    (aside / "model.onnx").write_bytes(graph)
    aside.rename(folder)
    return folder / "model.onnx"


def _graph(nodes: list[Any], constants: dict[str, Any], *, width: int = WIDTH, scores: int = 1) -> bytes:
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["rows", width])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["rows", scores])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())
