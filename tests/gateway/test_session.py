"""A graph that is loaded."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from gateway.errors import InvalidInputError, LoadError, RunError
from tests.gateway.sessions import opened
from tests.models import identity, logistic, lookup, lower, unranked


@pytest.mark.parametrize("graph", [b"", b"not a graph", logistic()[:-100]])
def test_what_does_not_load_is_one_line_that_names_it(tmp_path: Path, graph: bytes) -> None:
    """Whatever the runtime says, and however long, the error is ours and one line."""
    with pytest.raises(LoadError, match=r"^model m version 1: ") as caught:
        opened(tmp_path, graph)
    assert "\n" not in str(caught.value)


def test_what_the_runtime_says_stands_without_its_source(tmp_path: Path) -> None:
    """A line that is cut at a place in C++ says nothing of the graph, here that it is of a later opset."""
    graph = onnx.load_from_string(logistic())
    graph.opset_import[0].version = 99
    with pytest.raises(LoadError, match=r"does not load: .*opset.*; publish it again$") as caught:
        opened(tmp_path, graph.SerializeToString())
    assert "onnxruntime_src" not in str(caught.value)


def test_weights_in_another_file_are_told_with_what_brings_them_in(tmp_path: Path) -> None:
    """A graph that was put into the registry without the file of its weights wants a push."""
    graph = onnx.load_from_string(logistic())
    onnx.external_data_helper.convert_model_to_external_data(graph, location="gone.bin", size_threshold=0)
    for tensor in graph.graph.initializer:
        tensor.ClearField("raw_data")
    with pytest.raises(LoadError, match=r'"gone\.bin".*`driftgate push` the graph'):
        opened(tmp_path, graph.SerializeToString())


def test_an_input_without_a_rank_is_told_with_what_gives_it_one(tmp_path: Path) -> None:
    """A graph that says nothing of an input's dimensions is not taken for one of a scalar."""
    graph = identity([("x", "FP32", [None, 3]), ("one", "FP32", [])])
    assert opened(tmp_path, graph).signature.inputs[1].shape == ()
    with pytest.raises(LoadError, match=r"^model m version 1: input 'x' has no shape, .*; give the graph's"):
        opened(tmp_path, unranked(graph, "x"))


def test_a_locale_that_is_not_here_is_told_with_what_to_do(tmp_path: Path) -> None:
    """A graph that was exported where there are other locales is refused by the locale's name."""
    graph = lower("xx_XX.UTF-8")
    with pytest.raises(LoadError, match=r"it asks for the locale xx_XX\.UTF-8, which this system does not"):
        opened(tmp_path, graph)


def test_a_failing_node_and_refused_inputs_are_told_apart(tmp_path: Path) -> None:
    """What the graph fails at is a failed run, what it refuses before it runs are the client's inputs."""
    session = opened(tmp_path, lookup())
    with pytest.raises(RunError, match="the model failed on this request"):
        session.run({"keys": np.array([9], np.int64)})
    with pytest.raises(InvalidInputError, match="the graph refuses the inputs"):
        session.run({"keys": np.array([0.5], np.float32)})
    (found,) = session.run({"keys": np.array([2], np.int64)})
    assert found.tolist() == [30.0]


def test_why_a_run_failed_is_told_and_not_where_in_the_runtime(tmp_path: Path) -> None:
    """The reason is not lost behind a place in C++, which comes first and is longer than a line."""
    session = opened(tmp_path, lookup())
    with pytest.raises(
        RunError, match=r"while running Gather node.* indices element out of data bounds, idx=9"
    ):
        session.run({"keys": np.array([9], np.int64)})
    with pytest.raises(RunError) as caught:
        session.run({"keys": np.array([9], np.int64)})
    assert "onnxruntime" not in str(caught.value).lower()


def test_a_closed_session_says_so(tmp_path: Path) -> None:
    """A run after the version was let go is a failed run with a reason, and no crash."""
    session = opened(tmp_path, lookup())
    session.close()
    with pytest.raises(RunError, match="taken out of memory"):
        session.run({"keys": np.array([0], np.int64)})


def test_bfloat16_goes_in_and_out_as_bits(tmp_path: Path) -> None:
    """Its two bytes, for which numpy has no number, come out as they went in, also where there are none."""
    session = opened(tmp_path, identity([("x", "BF16", [None, 2])]))
    for bits in (np.array([[0x3F80, 0x7FC0], [0, 0xFFFF]], np.uint16), np.zeros((0, 2), np.uint16)):
        (found,) = session.run({"x": bits})
        assert found.dtype == np.uint16
        assert found.tolist() == bits.tolist()
