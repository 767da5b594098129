"""Converters that keep a number's precision where skl2onnx's own do not.

* Forests and boosted trees compare float32 whatever they are given. Over doubles, wherever in the estimator
  they stand (inside a vote, a stack, a bag), they are converted as they are, behind a cast of their input.
* A missing number leaves each node of a tree by the side that scikit-learn has found for it, which is the
  larger one where no row of the training lacked it; skl2onnx sends all of them to the right.
* ``PolynomialFeatures`` multiplies by an operator that onnxruntime has for float32 only: here it is one
  ``Gather`` per degree and products, in scikit-learn's order, so that they round as there.
* ``Normalizer`` leaves a row of zeros as it is, and goes by the largest magnitude, not by the largest number;
  skl2onnx divides doubles by zero, and has no such norm for them.
* ``PowerTransformer`` leaves a missing number missing; skl2onnx makes some other of it.
* ``LinearDiscriminantAnalysis`` of two classes is a logistic function of its decision; skl2onnx writes twice
  that. The same coefficients as those of a ``LogisticRegression`` say what is meant.

Rules: those of `operators`. What these say is checked against the original afterwards.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from registry_client.errors import ConversionError

Converter = Callable[[Any, Any, Any], None]

_PAD: Final = 13
_GATHER: Final = 13
_CAST: Final = 13
_MUL: Final = 14
_ABS: Final = 13
_IS_NAN: Final = 13
_REDUCE: Final = 18
_LESS: Final = 13
_WHERE: Final = 16
_DIV: Final = 14
_NOTHING: Final = 10 * float(np.finfo(np.float64).eps)
"""A norm below this is none to scikit-learn."""


def precise_converters() -> dict[type, Converter]:
    """Conversion functions by estimator class, for skl2onnx."""
    from sklearn import ensemble, tree  # noqa: PLC0415  heavy and optional
    from sklearn.discriminant_analysis import (  # noqa: PLC0415  heavy and optional
        LinearDiscriminantAnalysis,
    )
    from sklearn.preprocessing import (  # noqa: PLC0415  heavy and optional
        Normalizer,
        PolynomialFeatures,
        PowerTransformer,
    )

    trees = [
        getattr(module, f"{family}{task}")
        for module, families in (
            (tree, ("DecisionTree", "ExtraTree")),
            (ensemble, ("RandomForest", "ExtraTrees", "GradientBoosting")),
        )
        for family in families
        for task in ("Classifier", "Regressor")
    ]
    return {
        **{kind: _over_float32(kind) for kind in trees},
        Normalizer: _convert_normalizer,
        PolynomialFeatures: _convert_polynomial,
        PowerTransformer: _convert_power,
        LinearDiscriminantAnalysis: _convert_discriminant,
    }


def _own(kind: type) -> Converter:
    """skl2onnx's own converter of a class."""
    from skl2onnx._supported_operators import (  # noqa: PLC0415  heavy and optional
        sklearn_operator_name_map,
    )
    from skl2onnx.common._registration import get_converter  # noqa: PLC0415  heavy and optional

    found: Converter = get_converter(sklearn_operator_name_map[kind])
    return found


class _Instead:
    """An operator with other inputs, outputs or another estimator than the one that it stands before."""

    def __init__(self, operator: Any, **others: Any) -> None:
        self._operator = operator
        self.__dict__.update(others)

    @property
    def input_full_names(self) -> list[str]:
        """The names of its inputs in the graph."""
        return [variable.full_name for variable in self.inputs]

    @property
    def output_full_names(self) -> list[str]:
        """The names of its outputs in the graph."""
        return [variable.full_name for variable in self.outputs]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._operator, name)


def _over_float32(kind: type) -> Converter:
    """Its own converter, behind a cast of doubles to float32 and before a cast of its scores."""

    def convert(scope: Any, operator: Any, container: Any) -> None:
        from onnx import TensorProto  # noqa: PLC0415  heavy and optional
        from skl2onnx.common import data_types  # noqa: PLC0415  heavy and optional

        container = _SendingGaps(container, operator.raw_operator)
        if not isinstance(operator.inputs[0].type, data_types.DoubleTensorType):
            _own(kind)(scope, operator, container)
            return
        narrow, scores = (
            scope.declare_local_variable(name, data_types.FloatTensorType(variable.type.shape))
            for name, variable in (("narrow", operator.inputs[0]), ("scores", operator.outputs[-1]))
        )
        _cast(scope, container, operator.inputs[0].full_name, narrow.full_name, TensorProto.FLOAT)
        outputs = [*operator.outputs[:-1], scores]
        _own(kind)(scope, _Instead(operator, inputs=[narrow], outputs=outputs), container)
        wanted = data_types.guess_proto_type(operator.outputs[-1].type)
        _cast(scope, container, scores.full_name, operator.outputs[-1].full_name, wanted)

    return convert


class _SendingGaps:
    """Stands before skl2onnx's container and says of each tree's nodes where a missing number goes."""

    def __init__(self, container: Any, fitted: Any) -> None:
        self._container = container
        trees = [fitted] if hasattr(fitted, "tree_") else list(fitted.estimators_)
        # Boosted trees, whose estimators are rows of trees, refuse a missing number themselves.
        self._trees = [getattr(tree, "tree_", None) for tree in trees]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def add_node(self, operation: str, inputs: Any, outputs: Any, **attributes: Any) -> None:
        """Add the node; of a tree's inner nodes 1 is left, where what is at most the threshold goes."""
        if "nodes_treeids" in attributes and None not in self._trees:
            places = zip(attributes["nodes_treeids"], attributes["nodes_nodeids"], strict=True)
            attributes["nodes_missing_value_tracks_true"] = [
                int(self._trees[tree].children_left[node] >= 0 and self._trees[tree].missing_go_to_left[node])
                for tree, node in places
            ]
        self._container.add_node(operation, inputs, outputs, **attributes)


def _cast(scope: Any, container: Any, source: str, target: str, to: int) -> None:
    name = scope.get_unique_operator_name("Cast")
    container.add_node("Cast", [source], [target], name=name, to=to, op_version=_CAST)


def _convert_discriminant(scope: Any, operator: Any, container: Any) -> None:
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415  heavy and optional

    fitted = operator.raw_operator
    same = LogisticRegression()
    same.coef_, same.intercept_ = copy.copy(fitted.coef_), copy.copy(fitted.intercept_)
    same.classes_, same.n_features_in_ = fitted.classes_, fitted.coef_.shape[1]
    _own(LogisticRegression)(scope, _Instead(operator, raw_operator=same), container)


def _convert_normalizer(scope: Any, operator: Any, container: Any) -> None:
    """Each row over its norm, or over one where that is nothing, by the measure that scikit-learn has."""
    from onnx import TensorProto  # noqa: PLC0415  heavy and optional
    from skl2onnx.common import data_types  # noqa: PLC0415  heavy and optional
    from skl2onnx.operator_converters.common import (  # noqa: PLC0415  heavy and optional
        concatenate_variables,
    )

    kind = data_types.guess_proto_type(operator.inputs[0].type)
    if kind not in {TensorProto.FLOAT, TensorProto.DOUBLE}:
        _own(type(operator.raw_operator))(scope, operator, container)
        return

    def step(operation: str, inputs: list[str], version: int, **attributes: Any) -> str:
        found = str(scope.get_unique_variable_name(operation.lower()))
        name = scope.get_unique_operator_name(operation)
        container.add_node(operation, inputs, [found], name=name, op_version=version, **attributes)
        return found

    axes, least, one = (scope.get_unique_variable_name(name) for name in ("axes", "least", "one"))
    rows = concatenate_variables(scope, operator.inputs, container)
    container.add_initializer(axes, TensorProto.INT64, [1], [1])
    container.add_initializer(least, kind, [], [_NOTHING])
    container.add_initializer(one, kind, [], [1.0])
    reduce = {"l1": "ReduceL1", "l2": "ReduceL2", "max": "ReduceMax"}[operator.raw_operator.norm]
    measured = step("Abs", [rows], _ABS) if reduce == "ReduceMax" else rows
    norm = step(reduce, [measured, axes], _REDUCE, keepdims=1)
    divisor = step("Where", [step("Less", [norm, least], _LESS), one, norm], _WHERE)
    name = scope.get_unique_operator_name("Div")
    container.add_node("Div", [rows, divisor], [operator.outputs[0].full_name], name=name, op_version=_DIV)


def _convert_power(scope: Any, operator: Any, container: Any) -> None:
    from skl2onnx.common import data_types  # noqa: PLC0415  heavy and optional
    from skl2onnx.operator_converters.common import (  # noqa: PLC0415  heavy and optional
        concatenate_variables,
    )

    own = _own(type(operator.raw_operator))
    if not isinstance(operator.inputs[0].type, data_types.FloatTensorType):
        own(scope, operator, container)
        return
    turned = scope.declare_local_variable("turned", operator.outputs[0].type)
    own(scope, _Instead(operator, outputs=[turned]), container)
    rows = concatenate_variables(scope, operator.inputs, container)
    missing, name = scope.get_unique_variable_name("missing"), scope.get_unique_operator_name("IsNaN")
    container.add_node("IsNaN", [rows], [missing], name=name, op_version=_IS_NAN)
    kept, name = operator.outputs[0].full_name, scope.get_unique_operator_name("Where")
    container.add_node("Where", [missing, rows, turned.full_name], [kept], name=name, op_version=_WHERE)


def _convert_polynomial(scope: Any, operator: Any, container: Any) -> None:
    """Every column is a product of as many input columns as the degree; a column of ones fills it up."""
    from onnx import TensorProto  # noqa: PLC0415  heavy and optional
    from skl2onnx.common import data_types  # noqa: PLC0415  heavy and optional

    kind = data_types.guess_proto_type(operator.inputs[0].type)
    if kind not in {TensorProto.FLOAT, TensorProto.DOUBLE}:
        raise ConversionError("PolynomialFeatures of whole numbers has no converter; scale them before it")
    width = int(operator.raw_operator.n_features_in_)
    pads, one, padded = (scope.get_unique_variable_name(name) for name in ("pads", "one", "padded"))
    container.add_initializer(pads, TensorProto.INT64, [4], [0, 0, 0, 1])
    container.add_initializer(one, kind, [], [1.0])
    container.add_node(
        "Pad", [operator.inputs[0].full_name, pads, one], [padded], op_version=_PAD, mode="constant",
        name=scope.get_unique_operator_name("Pad"),
    )  # fmt: skip
    factors = [
        _columns(scope, container, padded, indices)
        for indices in _factors(operator.raw_operator.powers_, width)
    ]
    product = factors[0]
    for factor in factors[1:]:
        product, before = scope.get_unique_variable_name("product"), product
        name = scope.get_unique_operator_name("Mul")
        container.add_node("Mul", [before, factor], [product], name=name, op_version=_MUL)
    name = scope.get_unique_operator_name("Identity")
    container.add_node("Identity", [product], [operator.outputs[0].full_name], name=name, op_version=1)


def _columns(scope: Any, container: Any, source: str, indices: Sequence[int]) -> str:
    from onnx import TensorProto  # noqa: PLC0415  heavy and optional

    chosen, found = (scope.get_unique_variable_name(name) for name in ("chosen", "columns"))
    container.add_initializer(chosen, TensorProto.INT64, [len(indices)], list(indices))
    name = scope.get_unique_operator_name("Gather")
    container.add_node("Gather", [source, chosen], [found], name=name, axis=1, op_version=_GATHER)
    return str(found)


def _factors(powers: np.ndarray, ones: int) -> list[list[int]]:
    """For each degree the input column that each output column is multiplied by, the last column first.

    `powers` is [outputs, inputs]; a column of lower degree is filled up with the column `ones`.
    """
    combinations = [
        [column for column, power in enumerate(row) for _ in range(power)][::-1] for row in powers.tolist()
    ]
    degree = max(1, *map(len, combinations))
    return [
        [(([ones] * (degree - len(chosen))) + chosen)[place] for chosen in combinations]
        for place in range(degree)
    ]
