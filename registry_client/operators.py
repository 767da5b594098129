"""Converters of single estimators, where skl2onnx's own cannot say what ONNX can.

* ``SimpleImputer`` has no double-precision operator and its text form knows no NaN: ``IsNaN`` (or ``Equal``
  to the empty string, which is a missing text) and ``Where`` say the same for all datatypes.
* ``HistGradientBoosting…`` carries flags where ONNX's protobuf takes only integers, and loses its
  double-precision thresholds: trees over doubles are written with tensor attributes (ai.onnx.ml 3).

Rules: a converter adds nodes and nothing else; what it says is checked against the original afterwards. The
arguments are skl2onnx's (scope, operator, container), which has no types of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from registry_client.elementwise import convert_function, shape_of_function
from registry_client.errors import ConversionError
from registry_client.precision import Converter, precise_converters

_STRING_EQUAL: Final = 19
_IS_NAN: Final = 13
_WHERE: Final = 16
_DOUBLE_TREES: Final = 3
_TREE_NUMBERS: Final = frozenset(
    {"base_values", "class_weights", "nodes_hitrates", "nodes_values", "target_weights"}
)


def converters() -> dict[type, Converter]:
    """Conversion functions by estimator class, for skl2onnx."""
    from sklearn.ensemble import (  # noqa: PLC0415  heavy and optional
        HistGradientBoostingClassifier,
        HistGradientBoostingRegressor,
    )
    from sklearn.impute import SimpleImputer  # noqa: PLC0415  heavy and optional
    from sklearn.preprocessing import FunctionTransformer  # noqa: PLC0415  heavy and optional

    return {
        **precise_converters(),
        FunctionTransformer: convert_function,
        SimpleImputer: _convert_imputer,
        HistGradientBoostingClassifier: _convert_histogram_trees,
        HistGradientBoostingRegressor: _convert_histogram_trees,
    }


def shape_calculators() -> dict[type, Callable[[Any], None]]:
    """The shape functions of the same classes: skl2onnx's own, but for what it does not know."""
    from skl2onnx._supported_operators import (  # noqa: PLC0415  heavy and optional
        sklearn_operator_name_map,
    )
    from skl2onnx.common._registration import (  # noqa: PLC0415  heavy and optional
        get_shape_calculator,
    )
    from sklearn.impute import SimpleImputer  # noqa: PLC0415  heavy and optional
    from sklearn.preprocessing import FunctionTransformer  # noqa: PLC0415  heavy and optional

    known = {kind: get_shape_calculator(sklearn_operator_name_map[kind]) for kind in converters()}
    return {**known, FunctionTransformer: shape_of_function, SimpleImputer: _shape_of_imputer}


def _convert_imputer(scope: Any, operator: Any, container: Any) -> None:
    """Where a value is missing take the column's statistic; whole numbers and booleans are never missing."""
    from skl2onnx.common import data_types  # noqa: PLC0415  heavy and optional
    from skl2onnx.operator_converters.common import (  # noqa: PLC0415  heavy and optional
        concatenate_variables,
    )

    _check_imputer(operator.raw_operator)
    flagged = _flagged(operator.raw_operator)
    values = concatenate_variables(scope, operator.inputs, container)
    result, kind = operator.outputs[0].full_name, operator.inputs[0].type
    if isinstance(kind, data_types.StringTensorType):
        missing = _missing_texts(scope, container, values)
        if flagged:
            raise ConversionError("SimpleImputer(add_indicator=True) has no converter for texts")
    elif isinstance(kind, (data_types.FloatTensorType, data_types.DoubleTensorType)):
        missing = scope.get_unique_variable_name("missing")
        _add(scope, container, "IsNaN", [values], missing, _IS_NAN)
    elif flagged:
        raise ConversionError("SimpleImputer(add_indicator=True) wants numbers with a fraction")
    else:
        _add(scope, container, "Identity", [values], result, 1)
        return
    fill = _statistics(scope, container, operator.raw_operator.statistics_, kind)
    filled = scope.get_unique_variable_name("filled") if flagged else result
    _add(scope, container, "Where", [missing, fill, values], filled, _WHERE)
    if flagged:
        _flag(scope, container, missing, flagged, filled, result)


def _flagged(imputer: Any) -> list[int]:
    """Of which columns it says in columns of their own whether a value was missing."""
    return [int(column) for column in imputer.indicator_.features_] if imputer.add_indicator else []


def _flag(scope: Any, container: Any, missing: str, columns: list[int], filled: str, result: str) -> None:
    """The filled values, and beside them 1 where one was missing in these columns."""
    from onnx import TensorProto  # noqa: PLC0415  heavy and optional

    names = ("columns", "chosen", "flags")
    chosen_columns, chosen, flags = (scope.get_unique_variable_name(name) for name in names)
    container.add_initializer(chosen_columns, TensorProto.INT64, [len(columns)], columns)
    gather, alike, beside = (scope.get_unique_operator_name(name) for name in ("Gather", "Cast", "Concat"))
    container.add_node("Gather", [missing, chosen_columns], [chosen], axis=1, op_version=13, name=gather)
    container.add_node("CastLike", [chosen, filled], [flags], op_version=15, name=alike)
    container.add_node("Concat", [filled, flags], [result], axis=1, op_version=13, name=beside)


def _shape_of_imputer(operator: Any) -> None:
    """As skl2onnx has it, and the flags' columns."""
    from skl2onnx.common._registration import (  # noqa: PLC0415  heavy and optional
        get_shape_calculator,
    )

    get_shape_calculator("SklearnSimpleImputer")(operator)
    shape = operator.outputs[0].type.shape
    if shape[1] is not None:
        shape[1] += len(_flagged(operator.raw_operator))


def _check_imputer(imputer: Any) -> None:
    marker = imputer.missing_values
    if marker is not None and marker == marker:  # noqa: PLR0124  NaN
        raise ConversionError(
            f"SimpleImputer(missing_values={marker!r}) has no converter; mark missing values as NaN or None"
        )


def _missing_texts(scope: Any, container: Any, values: str) -> str:
    from onnx import TensorProto  # noqa: PLC0415  heavy and optional

    empty, missing = (scope.get_unique_variable_name(name) for name in ("empty", "missing"))
    container.add_initializer(empty, TensorProto.STRING, [1], [b""])
    _add(scope, container, "Equal", [values, empty], missing, _STRING_EQUAL)
    return str(missing)


def _statistics(scope: Any, container: Any, statistics: np.ndarray, kind: Any) -> str:
    from onnx import TensorProto  # noqa: PLC0415  heavy and optional
    from skl2onnx.common import data_types  # noqa: PLC0415  heavy and optional

    fill = scope.get_unique_variable_name("fill")
    if isinstance(kind, data_types.StringTensorType):
        content: list[Any] = [str(value).encode() for value in statistics]
        element = TensorProto.STRING
    else:
        content = [float(value) for value in statistics]
        is_double = isinstance(kind, data_types.DoubleTensorType)
        element = TensorProto.DOUBLE if is_double else TensorProto.FLOAT
    container.add_initializer(fill, element, [1, len(statistics)], content)
    return str(fill)


def _add(scope: Any, container: Any, operation: str, inputs: list[str], output: str, opset: int) -> None:
    name = scope.get_unique_operator_name(operation)
    container.add_node(operation, inputs, [output], name=name, op_version=opset)


def _convert_histogram_trees(scope: Any, operator: Any, container: Any) -> None:
    """skl2onnx's converter, with its nodes put into a form that ONNX accepts."""
    from skl2onnx.common.data_types import DoubleTensorType  # noqa: PLC0415  heavy and optional
    from skl2onnx.operator_converters import random_forest  # noqa: PLC0415  heavy and optional

    is_double = isinstance(operator.inputs[0].type, DoubleTensorType)
    mended = _TreeContainer(scope, container, is_double=is_double)
    version = _DOUBLE_TREES if is_double else 1
    if hasattr(operator.raw_operator, "classes_"):
        random_forest.convert_sklearn_random_forest_classifier(scope, operator, mended, op_version=version)
    else:
        random_forest.convert_sklearn_random_forest_regressor_converter(
            scope, operator, mended, op_version=version
        )


class _TreeContainer:
    """Stands before skl2onnx's container and mends the tree node that is added to it."""

    def __init__(self, scope: Any, container: Any, *, is_double: bool) -> None:
        self._scope = scope
        self._container = container
        self._is_double = is_double

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def add_node(self, operation: str, inputs: Any, outputs: Any, **attributes: Any) -> None:
        """Add the node; trees over doubles give float scores, which are cast to what was declared."""
        plain = {name: _plain(value) for name, value in attributes.items()}
        if not (self._is_double and operation.startswith("TreeEnsemble")):
            self._container.add_node(operation, inputs, outputs, **plain)
            return
        from onnx import TensorProto  # noqa: PLC0415  heavy and optional

        names = [outputs] if isinstance(outputs, str) else list(outputs)
        scores = self._scope.get_unique_variable_name("scores")
        doubles = dict(_as_tensor(name, value) for name, value in plain.items())
        self._container.add_node(operation, inputs, [*names[:-1], scores], **doubles)
        self._container.add_node(
            "Cast", [scores], [names[-1]], to=TensorProto.DOUBLE, op_version=_IS_NAN,
            name=self._scope.get_unique_operator_name("Cast"),
        )  # fmt: skip


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [int(item) if isinstance(item, (bool, np.bool_, np.integer)) else item for item in value]
    return value


def _as_tensor(name: str, value: Any) -> tuple[str, Any]:
    from onnx import numpy_helper  # noqa: PLC0415  heavy and optional

    if name not in _TREE_NUMBERS:
        return name, value
    tensor = f"{name}_as_tensor"
    return tensor, numpy_helper.from_array(np.asarray(value, dtype=np.float64), tensor)
