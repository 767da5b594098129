"""Does the export answer as the original did? A pure comparison of two sets of answers.

Rules: labels must be equal except where the original itself was undecided; scores and values must be close;
NaN equals NaN. What differs is told by row, output and both values. It runs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import msgspec
import numpy as np

from registry_client.errors import PublishError

SHOWN: Final = 3
"""How many differences a report shows."""


class Tolerance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far an export may differ from the original.

    Attributes:
        score: greatest absolute difference of a probability (or, for regression, of a value relative to the
            larger of 1 and its magnitude).
        margin: a row may change its label only when the original's two best scores are closer than this.
        rows: how many reference rows may differ by more than that.
    """

    score: float = 1e-3
    margin: float = 1e-4
    rows: int = 0

    def __post_init__(self) -> None:
        """PublishError for what is no tolerance: nothing is greater than NaN, and everything would pass."""
        for name in ("score", "margin", "rows"):
            given = getattr(self, name)
            if not 0 <= given < math.inf:
                raise PublishError(f"tolerance: {name}: wanted a number of at least 0, found {given}")


class Answers(msgspec.Struct, frozen=True):
    """One side of the comparison.

    Attributes:
        values: the predicted classes [rows], or the predicted values [rows, targets].
        scores: probabilities [rows, classes], where the estimator has them.
        margin: per row, the distance between the two best scores; None when it is not known.
    """

    values: np.ndarray
    scores: np.ndarray | None = None
    margin: np.ndarray | None = None


class Difference(msgspec.Struct, frozen=True):
    """One place where the two differ."""

    row: int
    output: str
    original: str
    exported: str


class Disagreement(msgspec.Struct, frozen=True):
    """All that differs beyond the tolerance.

    Attributes:
        rows: reference rows that differ.
        total: reference rows.
        shown: the first few differences.
    """

    rows: int
    total: int
    shown: tuple[Difference, ...]

    def __str__(self) -> str:
        places = "; ".join(
            f"row {place.row} {place.output}: original {place.original}, export {place.exported}"
            for place in self.shown
        )
        return f"{self.rows} of {self.total} reference rows: {places}"


def compare(
    original: Answers, exported: Answers, tolerance: Tolerance, *, outputs: tuple[str, str]
) -> Disagreement | None:
    """The disagreement, or None within the tolerance.

    ``outputs`` names the output of the values and that of the scores, for the report. Values of one dimension
    are classes, of two dimensions numbers.
    """
    if original.values.ndim == 1:
        wrong = _wrong_classes(original, exported.values, tolerance.margin).reshape(-1, 1)
    else:
        scale = np.maximum(1.0, np.abs(original.values.astype(np.float64)))
        wrong = _far(original.values, exported.values, tolerance.score * scale)
    far = np.zeros((len(wrong), 0), dtype=bool)
    if original.scores is not None and exported.scores is not None:
        far = _far(original.scores, exported.scores, np.asarray(tolerance.score))
    bad = np.asarray(wrong.any(axis=1) | far.any(axis=1))
    if int(bad.sum()) <= tolerance.rows:
        return None
    places = [
        *_differences(wrong, outputs[0], original.values, exported.values),
        *_differences(far, outputs[1], original.scores, exported.scores),
    ]
    shown = tuple(sorted(places, key=lambda place: place.row)[:SHOWN])
    return Disagreement(rows=int(bad.sum()), total=len(bad), shown=shown)


def best_margin(scores: np.ndarray) -> np.ndarray:
    """Per row the distance between the two best of [rows, classes]; of [rows], the distance from zero."""
    if scores.ndim == 1:
        return np.asarray(np.abs(scores))
    if scores.shape[1] == 1:
        return np.full(len(scores), np.inf)
    best = np.sort(scores, axis=1)[:, -2:]
    return np.asarray(best[:, 1] - best[:, 0])


def _wrong_classes(original: Answers, exported: np.ndarray, margin: float) -> np.ndarray:
    pairs = zip(original.values.tolist(), exported.tolist(), strict=True)
    wrong = np.array([a != b for a, b in pairs], dtype=bool)
    if original.margin is None:
        return wrong
    return np.asarray(wrong & (original.margin >= margin))


def _far(a: np.ndarray, b: np.ndarray, tolerance: np.ndarray) -> np.ndarray:
    """Elementwise, [rows, width]: neither both NaN, nor equal (also both infinite), nor within tolerance."""
    a, b = a.astype(np.float64), b.astype(np.float64).reshape(a.shape)
    with np.errstate(invalid="ignore"):
        near = (np.isnan(a) & np.isnan(b)) | (a == b) | (np.abs(a - b) <= tolerance)
    return np.asarray(~near)


def _differences(
    bad: np.ndarray, output: str, original: np.ndarray | None, exported: np.ndarray | None
) -> Iterator[Difference]:
    """The first difference of each of the first few rows that have one."""
    if original is None or exported is None:
        return
    for row in np.flatnonzero(bad.any(axis=1))[:SHOWN].tolist():
        cell = int(np.argmax(bad[row]))
        name = output if bad.shape[1] == 1 else f"{output}[{cell}]"
        values = (side.reshape(len(bad), -1)[row].tolist()[cell] for side in (original, exported))
        yield Difference(row, name, *(_shown(value) for value in values))


def _shown(value: object) -> str:
    return f"{value:.9g}" if isinstance(value, float) else repr(value)
