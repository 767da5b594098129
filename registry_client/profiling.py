"""Builds reference profiles from arrays.

Rules: arrays are taken *as the model was fed* (a float64 column that is served as float32 is profiled as
float32, or a live value would fall on the other side of an edge); nothing of a row is kept but counts, and a
text that was seen only once is not named. It knows neither estimators nor graphs.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec
import numpy as np

from groundwork.elements import element_names
from registry_client.errors import ReferenceDataError
from registry_client.profile import (
    CATEGORIES,
    EDGES,
    CategoricalColumn,
    Column,
    NumericColumn,
    Profile,
    Risk,
    category_text,
)

CATEGORY_BYTES: Final = 2_000
"""Most bytes of JSON that one column's category names may take: 100 columns stay below 300 kB."""

REPEATS: Final = 2
"""A text is named only if it was seen this often; seen once, it could single out a person."""


def build_profile(
    inputs: Mapping[str, np.ndarray],
    outputs: Mapping[str, np.ndarray],
    *,
    labels: np.ndarray | None = None,
    predictions: np.ndarray | None = None,
    held_out: bool = False,
) -> Profile:
    """The profile of reference rows; whose it is stays empty until ``profile.identify`` says so.

    Cost: one sort per numeric column, one pass over the values per text column.

    Args:
        inputs: tensors by input name, each [rows, …]; numeric, bool or text.
        outputs: what the model answered on the same rows, by output name.
        labels: the true values, [rows]; None or NaN where unknown.
        predictions: the predicted values to compare them with, [rows].
        held_out: the caller's statement that the model was not trained on these rows.

    Raises:
        ReferenceDataError: no rows, arrays of differing length, labels without predictions.
    """
    rows = _rows({**inputs, **outputs})
    risk = None if labels is None else _risk(labels, predictions, rows)
    return Profile(
        rows=rows,
        held_out=held_out,
        columns=_columns(inputs),
        outputs=_columns(outputs),
        risk=risk,
    )


def _rows(arrays: Mapping[str, np.ndarray]) -> int:
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) != 1:
        raise ReferenceDataError(f"reference arrays must have the same rows, found {lengths}")
    rows = next(iter(lengths.values()))
    if rows == 0:
        raise ReferenceDataError("the reference has no rows; give a few hundred at least")
    return rows


def _columns(arrays: Mapping[str, np.ndarray]) -> tuple[Column, ...]:
    return tuple(_column(name, values) for name, values in _flatten(arrays))


def _flatten(arrays: Mapping[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    for name, array in arrays.items():
        names = element_names(name, array.shape[1:])
        if array.dtype.kind not in "biufOUS":
            raise ReferenceDataError(
                f"{name!r}: wanted numbers, booleans or text, found {array.dtype}; convert it"
            )
        matrix = array.reshape(len(array), len(names))
        for i, element in enumerate(names):
            yield element, matrix[:, i]


def _column(name: str, values: np.ndarray) -> Column:
    if values.dtype.kind in "OUS":
        return _categorical(name, _texts(values))
    numbers = _numbers(values)
    return _numeric(name, numbers, len(values) - len(numbers))


def _numbers(values: np.ndarray) -> np.ndarray:
    """The finite values, float64."""
    numbers = values.astype(np.float64)
    return numbers[np.isfinite(numbers)]


def _texts(values: np.ndarray) -> list[str]:
    return [category_text(value) for value in values]


def _edges(numbers: np.ndarray) -> np.ndarray:
    """Every distinct value when there are few, else 64 quantiles that are values themselves."""
    distinct = np.unique(numbers)
    if len(distinct) <= EDGES:
        return distinct
    shares = np.arange(1, EDGES + 1) / (EDGES + 1)
    return np.unique(np.quantile(numbers, shares, method="inverted_cdf"))


def _numeric(name: str, numbers: np.ndarray, missing: int) -> NumericColumn:
    edges = _edges(numbers)
    bins = np.searchsorted(edges, numbers, side="left")
    counts = np.bincount(bins, minlength=len(edges) + 1)
    with np.errstate(over="ignore", invalid="ignore"):
        # Scaled by the greatest magnitude, so that the mean of huge values does not overflow.
        scale = float(np.abs(numbers).max(initial=0.0)) or 1.0
        mean = float((numbers / scale).mean()) * scale if len(numbers) else 0.0
        m2 = float(np.square(numbers - mean).sum())
    return NumericColumn(
        name=name,
        n=len(numbers),
        missing=missing,
        minimum=float(numbers.min()) if len(numbers) else 0.0,
        maximum=float(numbers.max()) if len(numbers) else 0.0,
        mean=_finite(mean),
        m2=_finite(m2),
        edges=tuple(edges.tolist()),
        counts=tuple(counts.tolist()),
    )


def _categorical(name: str, texts: list[str]) -> CategoricalColumn:
    seen = Counter(texts)
    missing = seen.pop("", 0)
    named = _named(seen)
    counts = tuple(seen[category] for category in named)
    n = len(texts) - missing
    return CategoricalColumn(
        name=name,
        n=n,
        missing=missing,
        categories=named,
        counts=counts,
        other=n - sum(counts),
        singletons=sum(count == 1 for count in seen.values()),
    )


def _named(seen: Counter[str]) -> tuple[str, ...]:
    """The categories worth naming: most frequent first, ties by text, within the limits of this module."""
    named: list[str] = []
    room = CATEGORY_BYTES
    for text, count in sorted(seen.items(), key=lambda item: (-item[1], item[0])):
        room -= len(msgspec.json.encode(text)) + 1
        if count < REPEATS or room < 0 or len(named) == CATEGORIES:
            break
        named.append(text)
    return tuple(named)


def _risk(labels: np.ndarray, predictions: np.ndarray | None, rows: int) -> Risk:
    if predictions is None:
        raise ReferenceDataError("labels were given without predictions to compare them with")
    if len(labels) != rows or len(predictions) != rows:
        raise ReferenceDataError(
            f"wanted one label per reference row ({rows}), found {len(labels)} labels "
            f"and {len(predictions)} predictions"
        )
    known = np.array([label is not None and label == label for label in labels.tolist()], dtype=bool)  # noqa: PLR0124  NaN
    truth, answers = labels[known], predictions[known]
    if answers.dtype.kind == "f":
        gaps = np.abs(truth.astype(np.float64) - answers.astype(np.float64))
        return Risk(len(truth), _finite(float(gaps.sum())), "absolute")
    wrong = sum(a != b for a, b in zip(truth.tolist(), answers.tolist(), strict=True))
    return Risk(len(truth), float(wrong), "zero-one")


def _finite(value: float) -> float:
    """The value, or the greatest float of its sign where arithmetic has overflowed (JSON has no infinity)."""
    return max(-sys.float_info.max, min(sys.float_info.max, value))
