"""ONNX files as people have them: with weights in other files beside them, or no ONNX at all.

Rules: what is published is one sequence of bytes that holds everything; a file that holds all of itself is
taken byte for byte. Nothing is run here, and whether a graph loads is not decided here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from registry_client.errors import MissingExtraError, PublishError

_LOCATION: Final = b"location"
"""The key under which a tensor names its file: without it in the bytes no tensor does, and none is parsed."""

_OTHERS: Final = (
    (b"version https://git-lfs", "it is a pointer of Git LFS: fetch the file itself with `git lfs pull`"),
    (b"<", "it is a page of HTML or XML: fetch the model again"),
    (b"PK\x03\x04", "it is a zip archive, such as torch.save or Keras write: export the model to ONNX"),
    (b"\x89HDF", "it is an HDF5 file, such as Keras writes: export the model to ONNX"),
    (b"\x80", "it is a pickle: give it as .joblib if it is a scikit-learn estimator, else export it to ONNX"),
)


def read_whole(file: Path) -> bytes:
    """The graph in this file, with weights that stand in files beside it brought in.

    Cost: one read; a graph with weights elsewhere is parsed and written again, at twice its size in memory.

    Raises:
        PublishError: the file cannot be read, or the weights beside it cannot, or all is too large for one.
        MissingExtraError: the onnx library is not installed, and there are weights elsewhere.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise PublishError(f"model file {file}: {error.strerror}; give the path of an .onnx file") from None
    model, places = _elsewhere(content)
    if not places:
        return content
    import onnx  # noqa: PLC0415  heavy and optional

    try:
        onnx.load_external_data_for_model(model, str(file.parent))
        whole: bytes = model.SerializeToString(deterministic=True)
    except Exception as error:  # a missing or foreign file, or more than 2 GiB: each has its own kind
        raise PublishError(
            f"model file {file}: its weights stand in {_named(places)} and cannot be brought into one file "
            f"({' '.join(str(error).split()):.200}); put the files beside each other, or save it as one file"
        ) from error
    return whole


def require_whole(content: bytes) -> None:
    """Refuse bytes whose weights stand in other files: bytes have no place beside them to look in.

    Raises:
        PublishError: they do.
    """
    _, places = _elsewhere(content)
    if places:
        raise PublishError(
            f"the graph's weights stand in {_named(places)}; give the path of the .onnx file, so that they "
            "are brought in, or load it with onnx.load first"
        )


def what_it_is(content: bytes) -> str:
    """What bytes that are no graph are instead, and what to do; empty where they do not say."""
    if not content:
        return "it is empty: fetch or export it again"
    start = content[:64].lstrip()
    return next((said for mark, said in _OTHERS if start.startswith(mark)), "")


def _elsewhere(content: bytes) -> tuple[Any, list[str]]:
    """The parsed graph and the files that its tensors name; nothing is parsed where none can."""
    if _LOCATION not in content:
        return None, []
    try:
        import onnx  # noqa: PLC0415  heavy and optional
    except ImportError:
        raise MissingExtraError("onnx is not installed; install driftgate[publish]") from None
    try:
        model = onnx.load_model_from_string(content)
    except Exception:  # noqa: BLE001  no graph: loading it says so better
        return None, []
    outside = [one for one in _tensors(model.graph) if one.data_location == onnx.TensorProto.EXTERNAL]
    entries = (entry for tensor in outside for entry in tensor.external_data)
    return model, sorted({entry.value for entry in entries if entry.key == "location"})


def _tensors(graph: Any) -> Iterator[Any]:
    """Every tensor of a graph, those in attributes and inner graphs too."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield attribute.t
            yield from attribute.tensors
            for inner in (attribute.g, *attribute.graphs):
                yield from _tensors(inner)


def _named(places: list[str]) -> str:
    shown = ", ".join(places[:3])
    return shown if len(places) <= 3 else f"{shown} and {len(places) - 3} more"  # noqa: PLR2004  three suffice
