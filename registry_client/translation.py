"""A fitted estimator, put into words that its converter understands.

* A missing text is the empty string in a tensor, so encoders must take "" for what was NaN or None.
* Forests and boosted trees look at float32 whatever they are given, so double inputs are cast before them.
* What cannot be said at all is refused, by the name of the step.

Rules: the caller's estimator is never touched, a copy is; whatever is said here is checked against the
original on the reference rows afterwards. It knows no graph.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from registry_client.errors import ConversionError

_FLOAT32_MODULES: Final = ("sklearn.tree._classes", "sklearn.ensemble._forest", "sklearn.ensemble._gb")
"""Where the estimators live that cast their input to float32 before they compare it."""

_DOUBLE_MODULES: Final = ("sklearn.ensemble._hist_gradient_boosting",)
"""Where the tree models live that compare doubles."""

_EXACT_MODULES: Final = (
    "sklearn.compose.",
    "sklearn.pipeline",
    "sklearn.preprocessing._encoders",
    "sklearn.feature_selection.",
)
"""Where the transformers live that choose or encode values and compute nothing."""

_AS_INFREQUENT: Final = frozenset({"infrequent_if_exist", "warn"})
"""How a OneHotEncoder is told to take categories that it does not know for infrequent ones, if it has any."""

_ENCODERS: Final = frozenset({"OneHotEncoder", "OrdinalEncoder", "TargetEncoder"})


class _MissingText(float):
    """NaN for whoever tests it, "" for whoever prints it: the converters do both."""

    __slots__ = ()

    def __str__(self) -> str:
        return ""


def convertible(estimator: Any, *, doubles: bool) -> Any:
    """A copy of a fitted estimator that skl2onnx converts to the same function of the tensors.

    Cost: one deep copy of the estimator.

    Raises:
        ConversionError: a step that no ONNX graph of ours can express, by name.
    """
    for name, step in walk(estimator):
        _refuse(name, step)
    duplicate = copy.deepcopy(estimator)
    for _, step in walk(duplicate):
        if type(step).__name__ in _ENCODERS and hasattr(step, "categories_"):
            step.categories_ = [_without_gaps(categories) for categories in step.categories_]
        if type(step).__name__ == "OneHotEncoder" and step.handle_unknown in _AS_INFREQUENT:
            step.handle_unknown = "ignore"  # the same, where none is infrequent
        if type(step).__name__ == "KBinsDiscretizer" and step.encode == "onehot":
            step.encode = "onehot-dense"  # the same numbers; a graph's tensors are dense
        if type(step).__name__ == "VotingClassifier":
            step.flatten_transform = False  # a matter of `transform`, which serving never calls
    return _cast_before_trees(duplicate) if doubles else duplicate


def sees_one_matrix(estimator: Any) -> bool:
    """Whether it takes a table's columns together, as numbers side by side, and none of them by name."""
    return all(type(step).__name__ != "ColumnTransformer" for _, step in walk(estimator))


def behind_columns(estimator: Any, names: Sequence[str]) -> Any:
    """The fitted estimator behind a step that puts these columns side by side, in the widest of their types.

    Of most estimators skl2onnx takes one input only; scalers join several, but in float32.
    """
    import pandas as pd  # noqa: PLC0415  heavy and optional
    from sklearn.compose import ColumnTransformer  # noqa: PLC0415  heavy and optional
    from sklearn.pipeline import Pipeline  # noqa: PLC0415  heavy and optional

    columns = ColumnTransformer([("columns", "passthrough", list(names))])
    columns.fit(pd.DataFrame(np.zeros((1, len(names))), columns=list(names)))
    steps = estimator.steps if isinstance(estimator, Pipeline) else [("model", estimator)]
    return Pipeline([(_free("columns", [name for name, _ in steps]), columns), *steps])


def _free(name: str, taken: Sequence[str]) -> str:
    """A step's name that no other has."""
    while name in taken:
        name += "_"
    return name


def needs_doubles(estimator: Any) -> bool:
    """Whether float32 inputs are likely to fall on the other side of a tree's threshold.

    They do where trees see what arithmetic made of the input (scaling, imputing), and where trees compare
    doubles. A tree model that looks at the float32 input itself is exact. Told by the estimator's shape and
    not by trial, so that every refit of a pipeline gets inputs of the same datatypes.
    """
    steps = [step for _, step in walk(estimator)]
    if any(type(step).__module__.startswith(_DOUBLE_MODULES) for step in steps):
        return True
    has_trees = any(_looks_at_float32(step) for step in steps)
    return has_trees and any(_computes(step) for step in steps)


def _computes(step: Any) -> bool:
    """Whether it is a transformer that does more to numbers than to hand them on."""
    is_passthrough = type(step).__name__ == "FunctionTransformer" and step.func is None
    is_exact = type(step).__module__.startswith(_EXACT_MODULES) or is_passthrough
    return hasattr(step, "transform") and not is_exact


def walk(estimator: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every estimator inside a fitted one, itself first, with the path of step names that leads to it."""
    yield name, estimator
    for step, inner in _children(estimator):
        if hasattr(inner, "get_params"):
            yield from walk(inner, f"{name}.{step}" if name else step)


def _children(estimator: Any) -> Iterator[tuple[str, Any]]:
    """Fitted steps of pipelines, column transformers and unions; the inner estimator of wrappers."""
    for entry in getattr(estimator, "transformers_", None) or getattr(estimator, "steps", None) or ():
        yield str(entry[0]), entry[1]
    for step, inner in getattr(estimator, "transformer_list", ()):
        yield str(step), inner
    yield from getattr(estimator, "named_estimators_", {}).items()
    for attribute in ("estimator_", "best_estimator_", "regressor_", "final_estimator_"):
        if hasattr(estimator, attribute):
            yield attribute, getattr(estimator, attribute)


def _refuse(name: str, step: Any) -> None:
    kind = type(step).__name__
    splits = getattr(step, "is_categorical_", None)
    if kind.startswith("HistGradientBoosting") and splits is not None and np.any(splits):
        raise ConversionError(
            f"step {name or kind!r} ({kind}) splits on categories, which ONNX trees cannot; encode them "
            "before it (OneHotEncoder or OrdinalEncoder) and fit with categorical_features=None"
        )
    if kind == "OrdinalEncoder" and _encodes_gaps_as_nan(step):
        raise ConversionError(
            f"step {name or kind!r} (OrdinalEncoder) maps missing categories to NaN, which its converter "
            "cannot say; fit it with encoded_missing_value=-1 or another number"
        )

    if kind == "OneHotEncoder" and step.handle_unknown in _AS_INFREQUENT and _has_infrequent(step):
        raise ConversionError(
            f"step {name or kind!r} (OneHotEncoder) takes a category that it does not know for an infrequent "
            'one, which its converter cannot say; fit it with handle_unknown="ignore"'
        )
    if kind in {"TfidfVectorizer", "TfidfTransformer"} and step.sublinear_tf:
        raise ConversionError(
            f"step {name or kind!r} ({kind}) takes the logarithm of its counts, which its converter computes "
            "otherwise, where a text has a word twice; fit it with sublinear_tf=False"
        )
    if kind in {"CountVectorizer", "TfidfVectorizer"} and step.stop_words and step.ngram_range[1] > 1:
        raise ConversionError(
            f"step {name or kind!r} ({kind}) joins the words on both sides of a stop word, which its "
            "converter does not; fit it with stop_words=None, or with ngram_range=(1, 1)"
        )


def _has_infrequent(encoder: Any) -> bool:
    if encoder.min_frequency is None and encoder.max_categories is None:
        return False
    return any(categories is not None for categories in encoder.infrequent_categories_)


def _encodes_gaps_as_nan(encoder: Any) -> bool:
    has_gaps = any(_is_gap(category) for categories in encoder.categories_ for category in categories)
    return has_gaps and bool(np.isnan(encoder.encoded_missing_value))


def _without_gaps(categories: np.ndarray) -> np.ndarray:
    if categories.dtype.kind != "O":
        return categories
    return np.array([_MissingText("nan") if _is_gap(value) else value for value in categories], object)


def _is_gap(category: Any) -> bool:
    return category is None or bool(category != category)  # noqa: PLR0124  NaN


def _cast_before_trees(estimator: Any) -> Any:
    """Put a cast to float32 before a final tree model, as scikit-learn itself casts."""
    from skl2onnx.sklapi import CastTransformer  # noqa: PLC0415  heavy and optional
    from sklearn.pipeline import Pipeline  # noqa: PLC0415  heavy and optional

    cast = ("float32", CastTransformer(dtype=np.float32))
    if not isinstance(estimator, Pipeline):
        return Pipeline([cast, ("model", estimator)]) if _looks_at_float32(estimator) else estimator
    name, last = estimator.steps[-1]
    if isinstance(last, Pipeline):
        estimator.steps[-1] = (name, _cast_before_trees(last))
    elif _looks_at_float32(last):
        estimator.steps.insert(-1, cast)
    return estimator


def _looks_at_float32(estimator: Any) -> bool:
    """Whether it is a tree model that casts its input, or a wrapper (calibration, bagging) around one."""
    inner = getattr(estimator, "estimator_", None) or getattr(estimator, "estimator", None)
    is_tree = type(estimator).__module__.startswith(_FLOAT32_MODULES)
    return is_tree or (hasattr(inner, "get_params") and _looks_at_float32(inner))
