"""What a graph's bytes say of the ranks of its inputs."""

import mmap
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from registry_client.errors import SignatureError
from registry_client.graph import load_graph
from registry_client.signature import Datatype, Signature, TensorSpec
from registry_client.value_info import check_ranks
from tests.models import identity, unranked

SCALARS = Signature(
    tuple(TensorSpec(name, Datatype.FP32, shape) for name, shape in (("a", ()), ("b", ()), ("c", (-1,)))),
    (),
)
INPUTS = [("a", "FP32", []), ("b", "FP32", []), ("c", "FP32", [None])]


def test_an_input_without_a_shape_is_no_scalar(tmp_path: Path) -> None:
    """ONNX calls a shape that is not there an unknown rank: the input is named, and how to give it one."""
    check_ranks(SCALARS, identity(INPUTS))
    graph = unranked(identity(INPUTS), "b")
    with pytest.raises(SignatureError, match=r"^input 'b' has no shape, .*shape\.dim\.add\(\)"):
        check_ranks(SCALARS, graph)
    with pytest.raises(SignatureError, match="input 'b' has no shape"):
        load_graph(graph)
    (tmp_path / "model.onnx").write_bytes(graph)
    with (
        (tmp_path / "model.onnx").open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
        pytest.raises(SignatureError, match="input 'b' has no shape"),
    ):
        check_ranks(SCALARS, mapped)


def test_what_the_advice_says_mends_it() -> None:
    """The input that was refused is served once each dimension is added as the error says."""
    graph = onnx.load_from_string(unranked(identity([("x", "FP32", [None, 3])]), "x"))
    with pytest.raises(SignatureError, match="input 'x' has no shape"):
        load_graph(graph.SerializeToString())
    (value,) = graph.graph.input
    value.type.tensor_type.shape.dim.add().dim_param = "rows"
    value.type.tensor_type.shape.dim.add().dim_value = 3
    assert load_graph(graph.SerializeToString()).signature.inputs[0].shape == (-1, 3)


def test_shapes_that_are_inferred_do_not_matter() -> None:
    """An input whose rank the runtime has found out by itself is served, whatever the bytes lack."""
    ranked = Signature((TensorSpec("c", Datatype.FP32, (-1,)),), ())
    check_ranks(ranked, unranked(identity(INPUTS), "c"))


def test_weights_are_stepped_over() -> None:
    """Whatever else a graph holds, of every kind of field, changes nothing of what is found."""
    graph = onnx.load_from_string(unranked(identity(INPUTS), "a"))
    graph.graph.initializer.append(helper.make_tensor("w", TensorProto.FLOAT, [1000], [0.5] * 1000))
    graph.metadata_props.add(key="k", value="v" * 300)
    graph.graph.node[0].attribute.append(helper.make_attribute("alpha", 0.5))
    with pytest.raises(SignatureError, match="input 'a'"):
        check_ranks(SCALARS, graph.SerializeToString())


@pytest.mark.parametrize("cut", [1, 7, 50, 90])
def test_bytes_that_are_no_graph_are_nobodys_scalars(cut: int) -> None:
    """Whether bytes are a graph is said by who loads them: cut ones are no error here."""
    graph = unranked(identity(INPUTS), "a")
    check_ranks(SCALARS, graph[: len(graph) - cut])
    check_ranks(SCALARS, bytes(range(256)) * cut)
    check_ranks(SCALARS, b"")
