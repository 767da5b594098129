"""From a fitted scikit-learn estimator to the bytes of an ONNX graph.

Rules: the graph's inputs are the DataFrame's columns by their own names (or one matrix), its outputs are
plain tensors; the same estimator and the same datatypes always give the same bytes. Which datatypes are right
is not decided here. It knows no registry.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

import msgspec

from registry_client import elementwise
from registry_client.errors import ConversionError, MissingExtraError
from registry_client.graph import one_line
from registry_client.operators import converters, shape_calculators
from registry_client.reference import Column
from registry_client.signature import Datatype
from registry_client.translation import behind_columns, convertible, sees_one_matrix, walk

OPSETS: Final = {"": 21, "ai.onnx.ml": 3}
"""Operator sets that every onnxruntime since 1.18 runs."""

VALUE_OUTPUT: Final = "prediction"
"""What a regressor's output is called."""

LOCALE: Final = "C.UTF-8"
"""By which texts are put in lower case: Linux systems have it, slim images too. Without one a graph asks for
en_US.UTF-8, which those lack, and does not load there."""


_SIGN: Final = r"[\p{L}\p{N}_]"
"""What Python's \\w is; to onnxruntime (RE2) that is one of ASCII."""

_WORDS: Final[Mapping[str, str]] = {
    r"(?u)\b\w\w+\b": f"{_SIGN}{{2,}}",
    **dict.fromkeys((r"(?u)\b\w+\b", r"\b\w+\b", r"(?u)\w+", r"\w+"), f"{_SIGN}+"),
}
"""How words are written that a text is cut into, scikit-learn's own way first, to what says the same in RE2.

skl2onnx has [a-zA-Z0-9_]+ for the first: words with any other letter are cut, words of one letter count, and
a reference without either does not show it.
"""


class Typing(msgspec.Struct, frozen=True):
    """One way to choose the inputs' datatypes by the kind of their columns."""

    real: Datatype
    whole: Datatype
    truth: Datatype

    def of(self, columns: Sequence[Column]) -> tuple[Datatype, ...]:
        """The datatypes of these columns."""
        chosen = {"float": self.real, "integer": self.whole, "bool": self.truth, "text": Datatype.BYTES}
        return tuple(chosen[column.kind] for column in columns)


TYPINGS: Final = (
    Typing(Datatype.FP32, Datatype.INT64, Datatype.BOOL),
    Typing(Datatype.FP32, Datatype.FP32, Datatype.BOOL),
    Typing(Datatype.FP32, Datatype.FP32, Datatype.FP32),
    Typing(Datatype.FP64, Datatype.INT64, Datatype.BOOL),
    Typing(Datatype.FP64, Datatype.FP64, Datatype.BOOL),
    Typing(Datatype.FP64, Datatype.FP64, Datatype.FP64),
)
"""In the order of preference: natural and small first; doubles where float32 would cross a threshold.

Steps that take columns together want them of one type, so whole numbers follow the real ones. Truth values
follow last: a client that has true and false cannot send them as numbers.
"""


def convert(estimator: Any, columns: Sequence[Column], datatypes: Sequence[Datatype]) -> bytes:
    """The estimator as an ONNX graph with one input per column.

    Raises:
        ConversionError: a step has no converter for these datatypes; says which and what to do.
        MissingExtraError: skl2onnx is not installed.
    """
    try:
        import skl2onnx  # noqa: PLC0415  heavy and optional
    except ImportError:
        raise MissingExtraError("skl2onnx is not installed; install driftgate[publish]") from None
    estimator, afterwards = elementwise.inner(estimator)
    copied = convertible(estimator, doubles=Datatype.FP64 in datatypes)
    if len(columns) > 1 and sees_one_matrix(estimator) and all(one.kind != "text" for one in columns):
        copied = behind_columns(copied, [column.name for column in columns])
    request = {
        "name": "model",
        "initial_types": _initial_types(columns, datatypes),
        "target_opset": dict(OPSETS),
        "custom_conversion_functions": converters(),
        "custom_shape_calculators": shape_calculators(),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the converter warns about what the verification decides
        try:
            graph = _with_plain_outputs(skl2onnx.convert_sklearn, copied, request)
        except ConversionError:
            raise
        except Exception as error:  # the converter raises whatever a step's converter ran into
            raise _unconvertible(estimator, error) from error
    if hasattr(estimator, "classes_"):
        _stand_up(graph.graph)
    elementwise.append(graph.graph, afterwards)
    return _finish(graph, [column.name for column in columns])


def _with_plain_outputs(to_graph: Callable[..., Any], estimator: Any, request: Mapping[str, Any]) -> Any:
    """Convert so that a classifier's scores are one tensor, and texts are read alike on every system.

    Classifiers without that option give one anyway; naming any option of theirs keeps skl2onnx from asking.
    """
    texts = _text_options(estimator)
    if not hasattr(estimator, "classes_"):
        return to_graph(estimator, options=texts, **request)
    last = list(getattr(estimator, "steps", [("", estimator)]))[-1][1]
    with contextlib.suppress(NameError):  # how skl2onnx says that there is no such option
        return to_graph(estimator, options={id(estimator): {"zipmap": False}, **texts}, **request)
    return to_graph(estimator, options={type(last): {"nocl": False}, **texts}, **request)


def _text_options(estimator: Any) -> dict[Any, dict[str, str]]:
    """What every step that counts words is told: the locale, and what words are, where that is known.

    The locale by type, which a step that nobody finds has as well.
    """
    from sklearn.feature_extraction import text  # noqa: PLC0415  heavy and optional

    kinds = (text.CountVectorizer, text.TfidfVectorizer)
    words = {
        id(step): {"tokenexp": _WORDS[step.token_pattern]}
        for _, step in walk(estimator)
        if isinstance(step, kinds) and step.analyzer == "word" and step.token_pattern in _WORDS
    }
    return {**{kind: {"locale": LOCALE} for kind in kinds}, **words}


def _initial_types(columns: Sequence[Column], datatypes: Sequence[Datatype]) -> list[tuple[str, Any]]:
    from skl2onnx.common import data_types  # noqa: PLC0415  heavy and optional

    kinds = {
        Datatype.FP32: data_types.FloatTensorType,
        Datatype.FP64: data_types.DoubleTensorType,
        Datatype.INT64: data_types.Int64TensorType,
        Datatype.BOOL: data_types.BooleanTensorType,
        Datatype.BYTES: data_types.StringTensorType,
    }
    return [
        (column.name, kinds[datatype]([None, column.width]))
        for column, datatype in zip(columns, datatypes, strict=True)
    ]


def _finish(graph: Any, names: Sequence[str]) -> bytes:
    """Give the inputs their own names back, name a regressor's output, and fix the order of the rest.

    An output that is called like a column ("label") makes way for it.
    """
    renamed = {node.name: name for node, name in zip(graph.graph.input, names, strict=True)}
    taken = {name for node in graph.graph.node for name in (*node.input, *node.output)} | set(names)
    if len(graph.graph.output) == 1 and VALUE_OUTPUT not in taken:
        renamed[graph.graph.output[0].name] = VALUE_OUTPUT
    for value in graph.graph.output:
        if value.name in names and value.name not in renamed:
            renamed[value.name] = _free(f"output_{value.name}", taken)
    _rename(graph.graph, renamed)
    for value in (*graph.graph.input, *graph.graph.output):
        value.name = renamed.get(value.name, value.name)
    opsets = sorted((entry.domain, entry.version) for entry in graph.opset_import)
    del graph.opset_import[:]
    for domain, version in opsets:
        graph.opset_import.add(domain=domain, version=version)
    content: bytes = graph.SerializeToString(deterministic=True)
    return content


def with_widths(model: bytes, widths: Mapping[str, tuple[int, ...]]) -> bytes:
    """The graph with outputs of any number of rows, each of this shape, whatever the converter said of them.

    skl2onnx says that a forest of several targets gives one.
    """
    import onnx  # noqa: PLC0415  heavy and optional

    graph = onnx.load_model_from_string(model)
    for value in graph.graph.output:
        sizes = value.type.tensor_type.shape
        del sizes.dim[:]
        sizes.dim.add()
        for size in widths[value.name]:
            sizes.dim.add().dim_value = size
    content: bytes = graph.SerializeToString(deterministic=True)
    return content


def _stand_up(graph: Any) -> None:
    """Have a classifier's labels, [1, rows] by some converters (quadratic discriminants), be [rows]."""
    label = graph.output[0]
    sizes = label.type.tensor_type.shape.dim
    if len(sizes) != 2 or sizes[0].dim_value != 1:  # noqa: PLR2004  a matrix
        return
    taken = {name for node in graph.node for name in (*node.input, *node.output)}
    lying, sides = _free(f"{label.name}_lying", taken), _free("one_side", taken)
    _rename(graph, {label.name: lying})
    graph.initializer.add(name=sides, data_type=7, dims=[1], int64_data=[-1])  # onnx.TensorProto.INT64
    graph.node.add(op_type="Reshape", input=[lying, sides], output=[label.name], name=label.name)
    del sizes[0]


def _free(name: str, taken: Collection[str]) -> str:
    """The name, or a longer one where that is taken."""
    while name in taken:
        name += "_"
    return name


def _rename(graph: Any, renamed: Mapping[str, str]) -> None:
    """Rename tensors wherever nodes name them, inner graphs included."""
    for node in graph.node:
        for names in (node.input, node.output):
            for i, name in enumerate(names):
                names[i] = renamed.get(name, name)
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _rename(attribute.g, renamed)


def _unconvertible(estimator: Any, error: Exception) -> ConversionError:
    text = one_line(error)
    named = [(name, type(step).__name__) for name, step in walk(estimator)]
    where = next((f"step {name!r} ({kind}): " for name, kind in named[::-1] if name and kind in text), "")
    return ConversionError(
        f"{where}the estimator cannot be written as ONNX: {text}; use steps that skl2onnx converts, or "
        "export the graph yourself and publish the .onnx file"
    )
