"""An estimator before it is exported: what it is, whether the reference fits it, and what it says there."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from registry_client.errors import MissingExtraError, PublishError, ReferenceDataError
from registry_client.graph import one_line
from registry_client.manifest import Task
from registry_client.reference import columns_with_missing_texts, is_frame
from registry_client.verification import Answers, best_margin

_SHOWN_NAMES: Final = 5
"""How many columns an error names."""


def task_of(estimator: Any) -> Task:
    """Whether it classifies or predicts numbers; PublishError for what does neither."""
    try:
        from sklearn.base import is_classifier, is_regressor  # noqa: PLC0415  heavy and optional
    except ImportError:
        raise MissingExtraError("scikit-learn is not installed; install driftgate[publish]") from None
    if not hasattr(estimator, "predict"):
        raise PublishError(
            "wanted a fitted scikit-learn estimator, or an ONNX graph (ModelProto, bytes, or the path of an "
            f".onnx file), found {type(estimator).__name__}; give the estimator itself"
        )
    if is_classifier(estimator):
        return "classification"
    if is_regressor(estimator):
        return "regression"
    raise PublishError(
        f"{type(estimator).__name__} is neither a classifier nor a regressor; export it yourself and publish "
        "the .onnx file"
    )


def as_fitted(estimator: Any, reference: Any) -> Any:
    """The reference in the form that the estimator knows.

    A table becomes a matrix for one that was fitted on a matrix, when its columns are that many numbers; its
    only column becomes a list of texts for one that was fitted on such, and so knows of no columns.
    """
    if not is_frame(reference) or hasattr(estimator, "feature_names_in_"):
        return reference
    is_numeric = all(dtype.kind in "biuf" for dtype in reference.dtypes)
    if len(reference.columns) == 1 and not is_numeric and not hasattr(estimator, "n_features_in_"):
        return reference.iloc[:, 0]
    is_as_wide = getattr(estimator, "n_features_in_", None) == len(reference.columns)
    if not (is_numeric and is_as_wide):
        return reference
    return reference.to_numpy(dtype=np.float64, na_value=np.nan)


def refuse_unseen(estimator: Any, reference: Any) -> None:
    """Refuse columns that the estimator was not fitted on: each would become an input that clients must send.

    A ColumnTransformer passes over what it does not know, so labels left among the rows would go unnoticed.
    """
    if not is_frame(reference) or not hasattr(estimator, "feature_names_in_"):
        return
    known = {str(name) for name in estimator.feature_names_in_}
    unseen = [str(name) for name in reference.columns if str(name) not in known]
    if unseen and known <= {str(name) for name in reference.columns}:
        raise ReferenceDataError(
            f"the reference has {_listed(unseen)}, which the {type(estimator).__name__} was not fitted on; "
            "leave it out, or say that it holds the labels: --labels COLUMN or labels="
        )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:_SHOWN_NAMES])
    return shown if len(names) <= _SHOWN_NAMES else f"{shown} and {len(names) - _SHOWN_NAMES} more"


def answers_of(estimator: Any, reference: Any, task: Task) -> Answers:
    """What the original says on the reference rows.

    Its warnings are kept quiet: what they warn of, such as a table for one fitted on a matrix, is decided by
    the comparison.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values, scores, decisions = _said(estimator, reference)
    except Exception as error:  # whatever the estimator raises, the reference did not fit it
        if type(error).__name__ == "NotFittedError":
            raise ReferenceDataError(
                f"{type(estimator).__name__} is not fitted; fit it, then publish it"
            ) from error
        raise ReferenceDataError(
            f"the estimator fails on the reference: {one_line(error).rstrip('.')}; "
            f"give rows in the form it was fitted on{_gaps(reference)}"
        ) from error
    if task == "regression":
        return Answers(values.reshape(len(values), -1))
    if values.ndim != 1:
        raise PublishError("a classifier of several outputs cannot be published; publish one per output")
    return Answers(values, scores, _margin(scores, decisions))


def _margin(scores: np.ndarray | None, decisions: np.ndarray | None) -> np.ndarray | None:
    """How far each row is from another class, by whichever of both tells them apart.

    Probabilities may be alike where the decision is not (SGDClassifier with modified_huber gives a third to
    each of three classes that it all refuses), and the label goes by the decision. A probability changes by a
    quarter of what the decision does, at most.
    """
    margins = [] if scores is None else [best_margin(scores)]
    margins += [] if decisions is None else [best_margin(decisions) * (0.25 if margins else 1.0)]
    return np.maximum.reduce(margins) if margins else None


def _gaps(reference: Any) -> str:
    """A word about missing texts, where there are any: not every estimator takes them, and CSV makes them."""
    found = columns_with_missing_texts(reference)
    if not found:
        return ""
    return (
        f"; texts are missing in {', '.join(map(repr, found[:3]))}, as an empty cell of a CSV file is read: "
        "fill them, or give a .parquet file, which has empty texts too"
    )


def _said(estimator: Any, reference: Any) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Values, and where it has them its probabilities and its decisions."""
    methods = (getattr(estimator, name, None) for name in ("predict_proba", "decision_function"))
    scores, decisions = (None if method is None else np.asarray(method(reference)) for method in methods)
    return np.asarray(estimator.predict(reference)), scores, decisions


def class_text(value: Any) -> str:
    """A class as the label output gives it: whole numbers (booleans too) as digits, text as it is."""
    return str(value) if isinstance(value, str) else str(int(value))
