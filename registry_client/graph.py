"""ONNX graphs as publishing needs them: load, describe, run.

Rules: onnxruntime loads here only when a graph is looked into; every failure of it becomes one line. It knows
no estimator and no registry.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import numpy as np

from registry_client.errors import MissingExtraError, PublishError, SignatureError
from registry_client.manifest import Task
from registry_client.onnx_file import what_it_is
from registry_client.signature import Datatype, Signature, TensorSpec, signature_of
from registry_client.value_info import check_ranks

_SILENT: Final = 4
"""onnxruntime's log severity "fatal": what it would print is in the error that we raise."""

_NOISE: Final = re.compile(
    r"\[ONNXRuntimeError\] : \d+ : \w+ : |/onnxruntime_src/\S+:\d+ [^()]*\([^()]*\) (?:const )?"
)
"""What onnxruntime puts before its sentence: its own name for the error, and a place in its source."""

_PLAINER: Final = (
    (
        re.compile(r"Opset (\d+) is under development.* domain (\S+) is till opset (\d+)"),
        "it is of opset {0} of {1}, and this onnxruntime knows those up to {2}: export it for one of them",
    ),
    (
        re.compile(r"Unsupported model IR version: (\d+), max supported IR version: (\d+)"),
        "it is of IR version {0}, and this onnxruntime reads those up to {1}: write it with an older onnx",
    ),
    (
        re.compile(r"protobuf parsing failed"),
        "it is no ONNX graph, or not the whole of one: export or fetch it again",
    ),
    (
        re.compile(r"Failed to construct locale with name:([^:\s]+)"),
        (
            "it asks for the locale {0}, which this system does not have; export it with another (skl2onnx: "
            'options={{TfidfVectorizer: {{"locale": "C.UTF-8"}}}}), or install this one, where it is served '
            "too"
        ),
    ),
)
"""What onnxruntime says at length or without a way out, and what that means."""

_WHOLE: Final = frozenset(
    {Datatype.BOOL, Datatype.BYTES, Datatype.INT8, Datatype.INT16, Datatype.INT32, Datatype.INT64}
)
_REAL: Final = frozenset({Datatype.FP16, Datatype.FP32, Datatype.FP64})
_VALUE_NAMES: Final = frozenset({"variable", "prediction", "predictions"})
"""What exporters call a regressor's output."""


class Reading(msgspec.Struct, frozen=True):
    """What a graph's outputs mean.

    Attributes:
        task: classification, regression, or unknown when the outputs do not say.
        label_output: the output with the predicted class or value.
        score_output: the output with probabilities or scores.
    """

    task: Task = "unknown"
    label_output: str | None = None
    score_output: str | None = None


class Graph:
    """A loaded graph; lives as long as one publication."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.signature: Signature = signature_of(session.get_inputs(), session.get_outputs())
        self.producer: str = session.get_modelmeta().producer_name

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """All outputs by name.

        Raises:
            PublishError: the graph fails on these rows.
        """
        names = [spec.name for spec in self.signature.outputs]
        try:
            answers = self._session.run(names, dict(feeds))
        except Exception as error:  # onnxruntime's errors share no base of their own
            raise PublishError(f"the graph fails on the reference rows: {one_line(error)}") from error
        return dict(zip(names, (np.asarray(answer) for answer in answers), strict=True))


def load_graph(model: bytes, called: str = "the graph") -> Graph:
    """Load a graph on the processor; an error calls it ``called``.

    Raises:
        PublishError: these bytes are not a graph that onnxruntime loads.
        SignatureError: it has inputs or outputs that are not plain tensors, or none, or an input has no rank.
    """
    # As it is imported it writes a device id and a database into home, unless it is told not to before.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime  # noqa: PLC0415  heavy, and publishing alone needs it here
    except ImportError:
        raise MissingExtraError("onnxruntime is not installed; install driftgate[publish]") from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _SILENT
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no base of their own
        why = what_it_is(model) or one_line(error)
        raise PublishError(f"{called} does not load: {why}") from error
    graph = Graph(session)
    check_ranks(graph.signature, model)
    if not graph.signature.inputs or not graph.signature.outputs:
        raise SignatureError(f"{called} has no inputs or no outputs; export one with both")
    return graph


def read_outputs(signature: Signature) -> Reading:
    """What the outputs of a graph of unknown origin most probably mean; a guess by datatype and name.

    A classifier has exactly one output of whole numbers, booleans or text, of one value per row. A regressor
    has a single real output with a name that exporters give to predictions.
    """
    outputs = signature.outputs
    labels = [spec for spec in outputs if spec.datatype in _WHOLE and _is_single(spec)]
    if len(labels) == 1:
        scores = [spec for spec in outputs if spec.datatype in _REAL and len(spec.shape) == 2]  # noqa: PLR2004
        score = scores[0].name if len(scores) == 1 else None
        return Reading("classification", labels[0].name, score)
    if len(outputs) == 1 and outputs[0].datatype in _REAL and outputs[0].name in _VALUE_NAMES:
        return Reading("regression", outputs[0].name)
    return Reading()


def _is_single(spec: TensorSpec) -> bool:
    """One value per row; LightGBM's exporter says [1] of as many labels as there are rows."""
    return spec.shape in ((-1,), (-1, 1), (1,), (1, 1))


def one_line(error: BaseException) -> str:
    """What the error means, or its message without places in onnxruntime's source: at most 300 characters."""
    text = _NOISE.sub("", " ".join(str(error).split()))
    for known, meaning in _PLAINER:
        if found := known.search(text):
            return meaning.format(*found.groups())
    return text if len(text) <= 300 else text[:297] + "..."  # noqa: PLR2004
