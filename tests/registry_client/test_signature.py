"""Signatures: what a newer version may change, and how names are made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from registry_client.errors import SignatureError
from registry_client.signature import (
    Datatype,
    Signature,
    TensorSpec,
    numpy_dtype,
    signature_of,
)

X = TensorSpec("x", Datatype.FP32, (-1, 4))
LABEL = TensorSpec("label", Datatype.INT64, (-1,))
SCORES = TensorSpec("probabilities", Datatype.FP32, (-1, 2))
OLD = Signature((X,), (LABEL,))


@dataclass(frozen=True)
class Node:
    """An input or output as onnxruntime describes it."""

    name: str
    type: str
    shape: Sequence[int | str | None]


def test_compatible_changes() -> None:
    """A newer version may free an input's size, add outputs and leave an output's size open."""
    freed = TensorSpec("x", Datatype.FP32, (-1, -1))
    assert OLD.incompatibility(OLD) is None
    assert OLD.incompatibility(Signature((freed,), (LABEL, SCORES))) is None
    open_scores = TensorSpec("probabilities", Datatype.FP32, (-1, -1))
    assert Signature((X,), (SCORES,)).incompatibility(Signature((X,), (open_scores,))) is None


@pytest.mark.parametrize(
    ("newer", "said"),
    [
        (Signature((TensorSpec("z", Datatype.FP32, (-1, 4)), X), (LABEL,)), "input 'z' is new"),
        (Signature((), (LABEL,)), "input 'x' is gone"),
        (Signature((TensorSpec("x", Datatype.FP64, (-1, 4)),), (LABEL,)), "wanted FP32, found FP64"),
        (Signature((TensorSpec("x", Datatype.FP32, (-1, 5)),), (LABEL,)), "[-1, 4], found [-1, 5]"),
        (Signature((TensorSpec("x", Datatype.FP32, (4,)),), (LABEL,)), "[-1, 4], found [4]"),
        (Signature((X,), ()), "output 'label' is gone"),
        (Signature((X,), (TensorSpec("label", Datatype.BYTES, (-1,)),)), "wanted INT64, found BYTES"),
        (Signature((X,), (TensorSpec("label", Datatype.INT64, (-1, 1)),)), "[-1], found [-1, 1]"),
    ],
)
def test_incompatible_changes(newer: Signature, said: str) -> None:
    """A change that would refuse an old request, or take something from an old answer, is named."""
    reason = OLD.incompatibility(newer)
    assert reason is not None
    assert said in reason
    assert "\n" not in reason


def test_narrower_input_is_incompatible() -> None:
    """An input that was free and is now fixed refuses requests that were fine."""
    freed = Signature((TensorSpec("x", Datatype.FP32, (-1, -1)),), (LABEL,))
    assert freed.incompatibility(OLD) is not None


def test_signature_of_nodes() -> None:
    """Named and unknown sizes are -1, and types are read by ONNX's names."""
    read = signature_of([Node("x", "tensor(string)", ["N", 1])], [Node("y", "tensor(double)", [None])])
    assert read == Signature(
        (TensorSpec("x", Datatype.BYTES, (-1, 1)),), (TensorSpec("y", Datatype.FP64, (-1,)),)
    )


def test_labels_of_one_row_are_labels_of_every_row() -> None:
    """LightGBM's exporter says [1] where it gives a label per row; other outputs stay as they are."""
    rows = [Node("input", "tensor(float)", [None, 4])]
    told = [Node("label", "tensor(int64)", [1]), Node("mean", "tensor(float)", [1])]
    assert [spec.shape for spec in signature_of(rows, told).outputs] == [(-1,), (1,)]
    one_row = [Node("input", "tensor(float)", [1, 4])]
    assert [spec.shape for spec in signature_of(one_row, told).outputs] == [(1,), (1,)]


def test_zipmap_is_refused() -> None:
    """A list of maps is no tensor, and the advice says how to get one."""
    with pytest.raises(SignatureError, match="zipmap=False"):
        signature_of([], [Node("output_probability", "seq(map(int64,tensor(float)))", [])])


@pytest.mark.parametrize("role", ["input", "output"])
def test_a_tensor_that_never_has_an_element_is_refused(role: str) -> None:
    """A size that is always 0 is named with its tensor, for no request could carry it and no row keep it."""
    nodes = {"input": [Node("x", "tensor(float)", [None, 2])], "output": [Node("y", "tensor(float)", [None])]}
    nodes[role] = [Node("z", "tensor(float)", [None, 0])]
    with pytest.raises(SignatureError, match=rf"{role} 'z' has shape \[-1, 0\], .*; leave that size open"):
        signature_of(nodes["input"], nodes["output"])


@pytest.mark.parametrize("datatype", list(Datatype))
def test_every_datatype_has_a_numpy_name(datatype: Datatype) -> None:
    """Every datatype has a name that numpy understands, as little-endian."""
    assert np.dtype(numpy_dtype(datatype)).byteorder in "|<="
