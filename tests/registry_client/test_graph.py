"""Graphs: loading, running, guessing what outputs mean."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from registry_client.errors import PublishError
from registry_client.graph import Reading, load_graph, one_line, read_outputs
from registry_client.signature import Datatype, Signature, TensorSpec
from tests.registry_client.support import a_graph

LABEL = TensorSpec("output_label", Datatype.INT64, (-1,))
SCORES = TensorSpec("scores", Datatype.FP32, (-1, 3))


def test_load_and_run() -> None:
    """A graph tells its signature and answers by output name."""
    graph = load_graph(a_graph(3.0, width=2))
    assert graph.signature.inputs == (TensorSpec("x", Datatype.FP32, (-1, 2)),)
    answers = graph.run({"x": np.ones((2, 2), np.float32)})
    assert answers["prediction"].tolist() == [[3, 3], [3, 3]]


@pytest.mark.parametrize("model", [b"", b"not a graph", a_graph()[:40]])
def test_not_a_graph(model: bytes) -> None:
    """Bytes that are no graph are refused in one line."""
    with pytest.raises(PublishError, match="does not load") as caught:
        load_graph(model)
    assert "\n" not in str(caught.value)


def test_a_graph_that_is_too_new_is_told_with_what_is_known_here() -> None:
    """A later opset or format is named with the latest one that loads here, and with what to do."""
    later = onnx.load_from_string(a_graph())
    later.opset_import[0].version = 99
    with pytest.raises(PublishError, match=r"opset 99 of ai\.onnx, .* up to \d+: export it for one of them$"):
        load_graph(later.SerializeToString())
    later = onnx.load_from_string(a_graph())
    later.ir_version = 99
    with pytest.raises(PublishError, match=r"IR version 99, and .* up to \d+: write it with an older onnx$"):
        load_graph(later.SerializeToString())


def test_a_locale_that_is_not_here() -> None:
    """A graph that asks for a locale of another system is refused by that locale's name, and what to do."""
    text = onnx.helper.make_tensor_value_info
    node = onnx.helper.make_node(
        "StringNormalizer", ["x"], ["y"], case_change_action="LOWER", locale="xx_XX.UTF-8"
    )
    graph = onnx.helper.make_graph(
        [node], "g", [text("x", TensorProto.STRING, [None])], [text("y", TensorProto.STRING, [None])]
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=10)
    with pytest.raises(PublishError, match=r"the locale xx_XX\.UTF-8, which this system does not") as caught:
        load_graph(model.SerializeToString())
    assert str(caught.value).endswith("or install this one, where it is served too")


def test_failing_graph() -> None:
    """A graph that fails on the rows says so in one line."""
    with pytest.raises(PublishError, match="fails on the reference rows"):
        load_graph(a_graph(width=2)).run({"x": np.ones((2, 5), np.float32)})


@pytest.mark.parametrize(
    ("outputs", "reading"),
    [
        ((LABEL, SCORES), Reading("classification", "output_label", "scores")),
        ((SCORES, LABEL), Reading("classification", "output_label", "scores")),
        ((TensorSpec("y", Datatype.BYTES, (-1, 1)),), Reading("classification", "y")),
        ((TensorSpec("label", Datatype.INT64, (1,)), SCORES), Reading("classification", "label", "scores")),
        ((TensorSpec("variable", Datatype.FP32, (-1, 1)),), Reading("regression", "variable")),
        ((TensorSpec("embedding", Datatype.FP32, (-1, 64)),), Reading()),
        ((LABEL, TensorSpec("second", Datatype.INT64, (-1,))), Reading()),
    ],
)
def test_meaning_of_outputs(outputs: tuple[TensorSpec, ...], reading: Reading) -> None:
    """Labels are told by datatype and shape, values by name, and what is unclear stays unknown."""
    assert read_outputs(Signature((), outputs)) == reading


def test_one_line() -> None:
    """An error's message is one line of bounded length that begins with what is wrong."""
    place = (
        "[ONNXRuntimeError] : 1 : FAIL : /onnxruntime_src/core/graph/model.cc:256 onnxruntime::Model::Model("
        "onnx::ModelProto&&, const onnxruntime::ModelOptions&) "
    )
    said = "Unsupported tensor type: 99, max supported type: 13"
    assert one_line(ValueError(place + said)) == said
    assert one_line(ValueError("a\n  b")) == "a b"
    assert len(one_line(ValueError("x" * 1000))) == 300
