"""ONNX files with weights beside them, and files that are no ONNX."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from registry_client import publish
from registry_client.directory import DirectoryRegistry
from registry_client.errors import PublishError
from registry_client.memory import MemoryRegistry
from registry_client.onnx_file import read_whole, what_it_is
from tests.registry_client.support import a_graph


def _with_weights_beside(folder: Path, *, inner: bool = False) -> Path:
    """A graph whose one weight stands in `weights.bin`; inner: as the value of a Constant node."""
    model = onnx.load_model_from_string(a_graph(3.0))
    weight = model.graph.initializer[0]
    weight.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weight).reshape(1), "factor"))
    if inner:
        node = onnx.helper.make_node("Constant", [], ["factor"], value=weight)
        del model.graph.initializer[:]
        model.graph.node.insert(0, node)
    file = folder / "model.onnx"
    onnx.save_model(
        model,
        str(file),
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
        convert_attribute=True,
    )
    return file


@pytest.mark.parametrize("inner", [False, True])
def test_weights_beside_are_brought_in(tmp_path: Path, inner: bool) -> None:  # noqa: FBT001  a parameter of the test
    """A version holds its weights, wherever the exporter left them."""
    file = _with_weights_beside(tmp_path, inner=inner)
    registry = DirectoryRegistry(tmp_path / "models")
    manifest = publish(file, name="m", registry=registry)
    (tmp_path / "weights.bin").unlink()
    stored = onnx.load_model_from_string(registry.artifact(manifest).read_bytes())
    tensors = [*stored.graph.initializer, *(one.t for node in stored.graph.node for one in node.attribute)]
    assert [onnx.numpy_helper.to_array(tensor).tolist() for tensor in tensors] == [[3.0]]


def test_a_whole_file_is_taken_as_it_is(tmp_path: Path) -> None:
    """A file that holds all its weights is published byte for byte, also where it says "location"."""
    model = onnx.load_model_from_string(a_graph())
    model.doc_string = "location"
    file = tmp_path / "model.onnx"
    file.write_bytes(model.SerializeToString())
    assert read_whole(file) == file.read_bytes()


def test_weights_that_are_gone(tmp_path: Path) -> None:
    """Weights that are not where the graph says are named."""
    file = _with_weights_beside(tmp_path)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(PublishError, match=r"model\.onnx: its weights stand in weights\.bin and cannot"):
        publish(file, name="m", registry=MemoryRegistry())


def test_bytes_without_their_weights(tmp_path: Path) -> None:
    """Bytes cannot say where the files beside them are, so they are refused."""
    content = _with_weights_beside(tmp_path).read_bytes()
    with pytest.raises(PublishError, match=r"stand in weights\.bin; give the path"):
        publish(content, name="m", registry=MemoryRegistry())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1f\n", "git lfs pull"),
        (b"\n<!DOCTYPE html><title>404</title>", "a page of HTML"),
        (b"PK\x03\x04rest", "a zip archive"),
        (b"\x80\x04rest", "a pickle"),
        (a_graph()[:40], "no ONNX graph, or not the whole of one"),
    ],
)
def test_no_onnx(tmp_path: Path, content: bytes, said: str) -> None:
    """What is no ONNX file is refused by its name, and by what it is where that can be seen."""
    file = tmp_path / "model.onnx"
    file.write_bytes(content)
    with pytest.raises(PublishError, match=rf"model\.onnx does not load: .*({said})"):
        publish(file, name="m", registry=MemoryRegistry())


def test_a_graph_says_nothing_of_itself() -> None:
    """Bytes of a graph look like nothing else."""
    assert not what_it_is(a_graph())
