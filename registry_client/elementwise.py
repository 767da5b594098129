"""Functions of one number, as ONNX operators: what stands before a model, and what a target was turned by.

    FunctionTransformer(np.log1p)                                        nodes within the graph
    TransformedTargetRegressor(func=np.log1p, inverse_func=np.expm1)     nodes behind the inner regressor's
    TransformedTargetRegressor(transformer=StandardScaler())             the same

Known are functions of numpy that ONNX has words for; any other is refused by its name, for nobody can read
what it computes. Rules: the caller's estimator is never touched; nothing is computed here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import numpy as np

from registry_client.errors import ConversionError

_OPSET: Final = 13
_FLOAT: Final = 1  # onnx.TensorProto.FLOAT


class Step(msgspec.Struct, frozen=True):
    """One operator; ``operand``, where it takes a second one, has one number, or one for each column."""

    operator: str
    operand: tuple[float, ...] = ()


KNOWN: Final[Mapping[str, tuple[Step, ...]]] = {
    "absolute": (Step("Abs"),),
    "cos": (Step("Cos"),),
    "exp": (Step("Exp"),),
    "expm1": (Step("Exp"), Step("Sub", (1.0,))),
    "log": (Step("Log"),),
    "log10": (Step("Log"), Step("Mul", (1 / math.log(10),))),
    "log1p": (Step("Add", (1.0,)), Step("Log")),
    "log2": (Step("Log"), Step("Mul", (1 / math.log(2),))),
    "negative": (Step("Neg"),),
    "reciprocal": (Step("Reciprocal"),),
    "sin": (Step("Sin"),),
    "sqrt": (Step("Sqrt"),),
    "square": (Step("Pow", (2.0,)),),
    "tanh": (Step("Tanh"),),
}
"""numpy's name to what says the same."""


def steps_of(function: Any, where: str) -> tuple[Step, ...]:
    """The operators of one of numpy's functions; None computes nothing.

    ConversionError, which begins with ``where``, for a function that is not known.
    """
    if function is None:
        return ()
    name = getattr(function, "__name__", repr(function))
    if isinstance(function, np.ufunc) and name in KNOWN:
        return KNOWN[name]
    known = ", ".join(f"np.{one}" for one in KNOWN)
    raise ConversionError(
        f"{where}: what {name} computes cannot be read; use one of numpy's functions {known}, or compute it "
        "before the model, on both sides"
    )


def steps_back(regressor: Any) -> tuple[Step, ...]:
    """How a fitted TransformedTargetRegressor comes from what its inner regressor says to its own answer.

    ConversionError where that is not known.
    """
    transformer, where = regressor.transformer_, type(regressor).__name__
    kind = type(transformer).__name__
    if kind == "FunctionTransformer":
        return steps_of(transformer.inverse_func, where)
    if kind == "StandardScaler":
        scaled = [Step("Mul", _numbers(transformer.scale_))] if transformer.with_std else []
        moved = [Step("Add", _numbers(transformer.mean_))] if transformer.with_mean else []
        return (*scaled, *moved)
    if kind == "MinMaxScaler" and not transformer.clip:
        return (Step("Sub", _numbers(transformer.min_)), Step("Div", _numbers(transformer.scale_)))
    raise ConversionError(
        f"{where}: how {kind} turns a target back cannot be said; use func and inverse_func of numpy, "
        "StandardScaler or MinMaxScaler, or turn the target before fitting and the answers after it"
    )


def inner(estimator: Any) -> tuple[Any, tuple[Step, ...]]:
    """The estimator without the TransformedTargetRegressor at its end, and what is left to do then.

    Its end is the last step of a pipeline, and what a search found; the estimator itself where there is none.
    """
    steps = list(getattr(estimator, "steps", ()))
    last = steps[-1][1] if steps else estimator
    if type(last).__name__ == "TransformedTargetRegressor":
        found, afterwards = last.regressor_, steps_back(last)
    else:
        within = getattr(last, "best_estimator_", last if last is not estimator else None)
        found, afterwards = (None, ()) if within is None else inner(within)
        if found is within:
            return estimator, ()
    if not steps:
        return found, afterwards
    from sklearn.pipeline import Pipeline  # noqa: PLC0415  heavy and optional

    return Pipeline([*steps[:-1], (steps[-1][0], found)]), afterwards


def append(graph: Any, steps: tuple[Step, ...]) -> None:
    """Put the steps behind the one output of a GraphProto, which keeps its name."""
    output = graph.output[0]
    values = [f"{output.name}_{place}_of_{len(steps)}" for place in range(len(steps))] + [output.name]
    for node in graph.node:
        for place, name in enumerate(node.output):
            if name == output.name:
                node.output[place] = values[0]
    for place, step in enumerate(steps):
        inputs = [values[place]]
        if step.operand:
            inputs.append(f"{values[place]}_operand")
            graph.initializer.append(_constant(inputs[1], output.type.tensor_type.elem_type, step.operand))
        graph.node.add(
            op_type=step.operator, input=inputs, output=[values[place + 1]], name=values[place + 1]
        )


def convert_function(scope: Any, operator: Any, container: Any) -> None:
    """A FunctionTransformer, for skl2onnx: all its columns side by side, then one operator after another."""
    from skl2onnx.operator_converters.common import (  # noqa: PLC0415  heavy and optional
        concatenate_variables,
    )
    from skl2onnx.operator_converters.function_transformer import (  # noqa: PLC0415  heavy and optional
        convert_sklearn_function_transformer,
    )

    steps = _taken(operator.raw_operator)
    if not steps:
        convert_sklearn_function_transformer(scope, operator, container)
        return
    value = concatenate_variables(scope, operator.inputs, container)
    element = _element(operator.inputs[0].type)
    for place, step in enumerate(steps, 1):
        inputs = [value]
        if step.operand:
            inputs.append(scope.get_unique_variable_name("operand"))
            container.add_initializer(inputs[1], element, [len(step.operand)], list(step.operand))
        is_last = place == len(steps)
        value = operator.outputs[0].full_name if is_last else scope.get_unique_variable_name("value")
        name = scope.get_unique_operator_name(step.operator)
        container.add_node(step.operator, inputs, [value], name=name, op_version=_OPSET)


def shape_of_function(operator: Any) -> None:
    """The shape and datatype of what a FunctionTransformer gives, for skl2onnx: those of what it gets.

    ConversionError for whole numbers and flags that a function takes: numpy makes doubles of them.
    """
    from skl2onnx.common import data_types  # noqa: PLC0415  heavy and optional

    kinds = {type(one.type) for one in operator.inputs}
    if _taken(operator.raw_operator) and not kinds <= {
        data_types.FloatTensorType,
        data_types.DoubleTensorType,
    }:
        raise ConversionError("FunctionTransformer: a function of numpy takes numbers with a fraction")
    widths = [one.type.shape[1] for one in operator.inputs]
    width = None if None in widths else sum(widths)
    operator.outputs[0].type = type(operator.inputs[0].type)(
        [operator.inputs[0].get_first_dimension(), width]
    )


def _taken(transformer: Any) -> tuple[Step, ...]:
    if transformer.func is not None and transformer.kw_args:
        raise ConversionError("FunctionTransformer: kw_args cannot be said; use a function without")
    return steps_of(transformer.func, "FunctionTransformer")


def _element(kind: Any) -> int:
    from onnx import TensorProto  # noqa: PLC0415  heavy and optional
    from skl2onnx.common import data_types  # noqa: PLC0415  heavy and optional

    return int(TensorProto.DOUBLE if isinstance(kind, data_types.DoubleTensorType) else TensorProto.FLOAT)


def _constant(name: str, element: int, numbers: tuple[float, ...]) -> Any:
    from onnx import numpy_helper  # noqa: PLC0415  heavy and optional

    dtype = np.float32 if element == _FLOAT else np.float64
    return numpy_helper.from_array(np.asarray(numbers, dtype), name)


def _numbers(array: Any) -> tuple[float, ...]:
    return tuple(float(value) for value in np.ravel(array))
